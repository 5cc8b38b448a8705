// Node as the machine: what the command line asks of it, by the functions that the WASM module imports.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, it } from "node:test";
import { pathToFileURL } from "node:url";

const cli = join(process.env.CALENDAR_WEBHOOKS_PACKAGE_IN, "node_modules/google-calendar-webhooks/cli");
const url = pathToFileURL(join(cli, "machine.js")).href;
const machine = await import(url);

const directory = mkdtempSync(join(tmpdir(), "machine-"));
after(() => rmSync(directory, { recursive: true }));
// Others may leave files of the same names in the system's.
process.env.TMPDIR = directory;

const get = (url, milliseconds = 5_000) => ({ method: "GET", url, headers: [], longest: 1_000, milliseconds });

/** The address of a server of another process, for what is tested here waits without letting this one answer. */
async function serve(test, listener) {
  const program = `const { createServer } = require("node:net");
    const server = createServer(${listener}).listen(0, "127.0.0.1", () => console.log(server.address().port));`;
  const server = spawn(process.execPath, ["--eval", program], { stdio: ["ignore", "pipe", "inherit"] });
  test.after(() => server.kill());
  const [port] = await new Promise((resolve) => server.stdout.once("data", (data) => resolve(String(data).split("\n"))));
  return `http://127.0.0.1:${port}/`;
}

it("a path of Windows becomes one with slashes, and one of other systems stays as it is", () => {
  assert.equal(machine.typedPath("..\\my app\\supabase", true), "../my app/supabase");
  assert.equal(machine.typedPath("C:\\Users\\ada", true), "C:/Users/ada");
  assert.equal(machine.typedPath("\\\\server\\share\\x", true), "//server/share/x");
  assert.equal(machine.typedPath("a\\b", false), "a\\b");
});

it("a file is replaced whole, keeps its permissions, and leaves nothing else behind", () => {
  const path = join(directory, "file");
  writeFileSync(path, "before");
  chmodSync(path, 0o640);
  machine.replace(path, Buffer.from("after"));
  assert.equal(readFileSync(path, "utf8"), "after");
  assert.equal(statSync(path).mode & 0o777, 0o640);
  assert.throws(() => machine.replace(join(directory, "missing/file"), Buffer.from("x")), { code: "ENOENT" });
  assert.deepEqual(readdirSync(directory), ["file"]);
});

it("what cannot be told is nothing that is there", () => {
  assert.equal(machine.kind(directory), "directory");
  for (const path of ["missing", "file/below"]) {
    assert.equal(machine.kind(join(directory, path)), undefined, path);
    assert.equal(machine.isLink(join(directory, path)), false, path);
  }
});

it("a program gets a secret in a file that has no name, and its variables beside those that are there", () => {
  const print = "const fs = require('fs'); console.log(process.env.ADDED, !!process.env.PATH, fs.readFileSync(process.argv[1], 'utf8'))";
  const given = [{ text: "--eval" }, { text: print }, { secret: "GOCSPX-secret" }];
  const process_ = { program: process.execPath, arguments: given, environment: { ADDED: "x" }, isCaptured: true };
  assert.deepEqual(JSON.parse(machine.run(JSON.stringify(process_))), { code: 0, output: "x true GOCSPX-secret\n", errors: "" });
  assert.throws(() => machine.run(JSON.stringify({ ...process_, program: "there-is-no-such-program" })), { code: "ENOENT" });
  assert.deepEqual(readdirSync(tmpdir()).filter((name) => name.startsWith("calendar-webhooks-")), []);
});

it("on Windows, where every file has a name, a secret is in one of a directory of its own, and gone afterwards", () => {
  const file = machine.secretFile("GOCSPX-secret", true);
  assert.equal(readFileSync(file.path, "utf8"), "GOCSPX-secret");
  assert.equal(statSync(join(file.path, "..")).mode & 0o077, 0, "others may not look into it");
  file.remove();
  assert.ok(!existsSync(join(file.path, "..")));
});

it("a line that is typed is read to its end, and the end of the input is one", () => {
  const program = `import(${JSON.stringify(url)}).then(({ readLine }) => console.log(JSON.stringify([readLine(), readLine()])))`;
  const { stdout } = spawnSync(process.execPath, ["--eval", program], { input: "yes\r\nmore", encoding: "utf8" });
  assert.deepEqual(JSON.parse(stdout), ["yes\r\n", "more"]);
});

it("requests are answered in their order, all at the same time", async (test) => {
  const slow = await serve(test, `(socket) => socket.once("data", () => setTimeout(() =>
    socket.end("HTTP/1.1 200 OK\\r\\ndate: Sun, 29 Nov 2026 12:00:00 GMT\\r\\ncontent-length: 4\\r\\n\\r\\nslow"), 400))`);
  const away = await serve(test, `(socket) => socket.end("HTTP/1.1 302 Found\\r\\nlocation: /there\\r\\ncontent-length: 0\\r\\n\\r\\n")`);
  const replies = JSON.parse(machine.sendAll(JSON.stringify([get(slow), get(away), get(slow), get(slow)])));
  const slowOnes = [replies[0], replies[2], replies[3]];
  const lastStart = Math.max(...slowOnes.map(({ before }) => before));
  assert.ok(slowOnes.every(({ after }) => after > lastStart), "each began before another ended");
  assert.deepEqual(replies.map(({ status }) => status), [200, 302, 200, 200]);
  const [{ body, date, before, after }, { location }] = replies;
  assert.deepEqual([body, date, location], ["slow", "Sun, 29 Nov 2026 12:00:00 GMT", "/there"]);
  assert.ok(after - before >= 390);
});

it("why there is no answer is told apart", async (test) => {
  const silent = await serve(test, "() => {}");
  const broken = await serve(test, `(socket) => socket.once("data", () => socket.resetAndDestroy())`);
  const endless = await serve(test, `(socket) => { socket.on("error", () => {}); socket.write("HTTP/1.1 200 OK\\r\\n\\r\\n");
    socket.write("x".repeat(2_000)); }`);
  const plain = silent.replace("http:", "https:");
  const requests = [
    get("http://127.0.0.1:1/"),
    get(silent, 300),
    get(broken),
    get(endless),
    get(endless.replace("http:", "https:")),
    get("http://no-such-host.invalid/"),
    get("no address"),
  ];
  const replies = JSON.parse(machine.sendAll(JSON.stringify(requests)));
  assert.deepEqual(
    replies.map(({ silence }) => silence),
    ["connection_refused", "timed_out", "connection_broken", "connection_broken", "tls_failed", "no_such_host", "connection_broken"],
  );
  assert.equal(JSON.parse(machine.sendAll(JSON.stringify([get(plain, 300)])))[0].silence, "timed_out");
});

it("a name is resolved, or not", () => {
  assert.ok(machine.resolve("localhost", 5_000).length > 0);
  assert.deepEqual(machine.resolve("no-such-host.invalid", 5_000), []);
});
