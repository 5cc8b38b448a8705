// What is the package's own: its content, size and speed, and how it behaves at a terminal.

import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const folder = process.env.CALENDAR_WEBHOOKS_PACKAGE_IN;
const installed = join(folder, "node_modules/google-calendar-webhooks");
const program = join(installed, "cli/main.js");
const manifest = JSON.parse(readFileSync(join(installed, "package.json")));
const cargo = readFileSync(new URL("../../../Cargo.toml", import.meta.url), "utf8");

/** What it prints and how it ends, without a terminal. */
function said(...words) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...words], { cwd: folder, encoding: "utf8" });
  return { status, stdout, stderr };
}

/** What a terminal with so many columns shows. */
async function shown(columns, command, variables = {}) {
  const typed = `stty cols ${columns}; '${process.execPath}' '${program}' ${command}`;
  const env = { ...process.env, ...variables };
  // Exit codes are not what is looked at.
  const { stdout } = await run("script", ["--quiet", "--command", typed, "/dev/null"], { cwd: folder, env });
  return stdout.replaceAll("\r", "");
}

/** A project that is in no folder of the package. */
function emptyProject(test) {
  const project = mkdtempSync(join(tmpdir(), "a project "));
  test.after(() => rmSync(project, { recursive: true }));
  mkdirSync(join(project, "supabase"));
  writeFileSync(join(project, "supabase/config.toml"), 'project_id = "x"\n');
  return project;
}

function files(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

it("the package asks for nothing but Node, and runs nothing when it is installed", () => {
  assert.equal(manifest.version, cargo.match(/^version = "(.*)"$/m)[1]);
  const others = ["dependencies", "optionalDependencies", "peerDependencies", "scripts"];
  assert.deepEqual(others.filter((name) => name in manifest), []);
  assert.deepEqual(manifest.engines, { node: ">=20" });
});

it("the package is at most 3 MB once installed, and holds no hidden file", () => {
  const bytes = files(installed).reduce((sum, file) => sum + statSync(file).size, 0);
  assert.ok(bytes <= 3_000_000, `${bytes} bytes`);
  assert.deepEqual(files(installed).filter((file) => /\/\.[^/]+$/.test(file)), []);
});

it("npx finds the command, which tells the package's version", async () => {
  const { stdout } = await run("npx", ["--no-install", "google-calendar-webhooks", "--version"], { cwd: folder });
  assert.equal(stdout, `${manifest.version}\n`);
});

it("without a command, or with one that is not there, it says so and does not repeat what was typed", () => {
  assert.match(said().stderr, /Usage: npx google-calendar-webhooks <command>/);
  assert.equal(said().status, 2);
  const unknown = said("sb_secret_by_mistake");
  assert.equal(unknown.status, 2);
  assert.doesNotMatch(unknown.stderr, /sb_secret/);
  assert.equal(said("install", "--nonsense").status, 2);
});

it("every command tells its options, as they are typed here", () => {
  assert.equal(said("--help").status, 0);
  for (const command of ["install", "deploy", "doctor", "uninstall"]) {
    assert.match(said("--help").stdout, new RegExp(`^  ${command} `, "m"));
    const { status, stdout } = said(command, "--help");
    assert.equal(status, 0);
    assert.match(stdout, new RegExp(`Usage: npx google-calendar-webhooks ${command} `));
    assert.doesNotMatch(stdout, /scripts\//);
  }
});

it("it starts within 0.4 s", () => {
  // The shortest of several, for the machine may be busy.
  const times = Array.from({ length: 10 }, () => {
    const started = performance.now();
    said("doctor", "--help");
    return performance.now() - started;
  });
  assert.ok(Math.min(...times) <= 400, `${times} ms`);
});

it("the Supabase CLI of the PATH is taken where npm has installed none, if it is new enough", (test) => {
  const project = emptyProject(test);
  const deploy = () => {
    const words = ["deploy", "--yes", "--project-ref", "abcdefghijklmnopqrst", "--skip", "secrets"];
    const env = { ...process.env, PATH: `${project}/bin:/bin` };
    return spawnSync(process.execPath, [program, ...words], { cwd: project, env, encoding: "utf8" }).stderr;
  };
  assert.match(deploy(), /neither in node_modules nor in the PATH: npm install --save-dev supabase/);
  mkdirSync(join(project, "bin"));
  const cli = (version) => writeFileSync(join(project, "bin/supabase"), `#!/bin/sh\necho ${version}\n`, { mode: 0o755 });
  cli("2.122.1");
  assert.match(deploy(), /of version 2\.122\.1, and 3 or newer is needed/);
  cli("3.1.0");
  assert.match(deploy(), /index\.ts is missing: run npx google-calendar-webhooks install/);
});

it("under Deno it does the same", (test) => {
  const tools = new URL("../../../scripts/node_modules/@deno/", import.meta.url);
  const deno = readdirSync(tools).map((platform) => fileURLToPath(new URL(`${platform}/deno`, tools)))[0];
  const project = emptyProject(test);
  const run = (...words) => spawnSync(deno, ["run", "--allow-all", program, ...words], { cwd: project, encoding: "utf8" });
  assert.match(run("install", "--yes").stdout, /\nDone\./);
  assert.match(run("doctor", "--url", "http://127.0.0.1:1").stdout, /✗ project .* it refuses connections\n/);
  assert.match(run("uninstall", "--yes").stdout, /\nDone\./);
  assert.deepEqual(readdirSync(join(project, "supabase")), ["config.toml"]);
});

it("help is as wide as the terminal, and no wider than is easy to read", async () => {
  const longest = (text) => Math.max(...text.split("\n").filter((line) => /^\S/.test(line)).map((line) => line.length));
  const narrow = await shown(60, "deploy --help");
  assert.ok(longest(narrow.split("Examples:")[0]) <= 60, narrow);
  assert.ok(longest(await shown(300, "deploy --help")) <= 120);
});

it("colours are for terminals, and for those who want them", async () => {
  const doctor = "doctor --url http://127.0.0.1:1 || true";
  assert.match(await shown(80, doctor), /\u001b\[31m✗/);
  assert.doesNotMatch(await shown(80, doctor, { NO_COLOR: "1" }), /\u001b\[\d/);
  assert.doesNotMatch(said("doctor", "--url", "http://127.0.0.1:1").stdout, /\u001b/);
});
