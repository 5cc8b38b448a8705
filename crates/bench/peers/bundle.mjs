// Makes one file of a peer and of what it imports from npm, so that both Denos serve it as it is deployed: without
// asking npm. Usage: node bundle.mjs node_modules index.ts out.js

import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, input, file] = process.argv.slice(2);
const require = createRequire(join(modules, "package.json"));
const { rolldown } = await import(pathToFileURL(require.resolve("rolldown")));
const bundle = await rolldown({ input, platform: "node", resolve: { modules: [modules] }, logLevel: "silent" });
// Google's client copies the own properties of `process`, among which Deno 2.1 has no `env`.
const banner = 'import nodeProcess from "node:process";' +
  'Object.defineProperty(nodeProcess, "env", { value: nodeProcess.env, enumerable: true });';
await bundle.write({ file, format: "esm", codeSplitting: false, banner });
