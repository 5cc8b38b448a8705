#!/usr/bin/env node
// The command google-calendar-webhooks: starts the WASM module, in which everything is decided.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { initSync, main } from "./cli.js";
import { typedPath } from "./machine.js";

initSync({ module: readFileSync(new URL("cli.wasm", import.meta.url)) });
process.exitCode = main(typedPath(fileURLToPath(new URL("..", import.meta.url))), process.argv.slice(2));
