// What the command line asks of the machine: files, processes, terminal, network, clock, environment.
// Everything is done when a function returns, for the command line is not asynchronous.

import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { isatty } from "node:tty";
import { MessageChannel, receiveMessageOnPort, Worker } from "node:worker_threads";

const isWindows = process.platform === "win32";

/** A path with `/` between its names, which Node takes on every system. */
export function typedPath(path, windows = isWindows) {
  return windows ? path.replaceAll("\\", "/") : path;
}

export function read(path) {
  return fs.readFileSync(path);
}

export function kind(path) {
  try {
    return fs.statSync(path).isDirectory() ? "directory" : "file";
  } catch {
    // Nothing is there, or it cannot be told: a file stands where a directory should, links lead to one another.
    return undefined;
  }
}

export function isLink(path) {
  try {
    return fs.lstatSync(path).isSymbolicLink();
  } catch {
    return false;
  }
}

export function entries(directory) {
  return fs.readdirSync(directory);
}

export function realPath(path) {
  return typedPath(fs.realpathSync.native(path));
}

export function replace(path, content) {
  // Made anew under a name that nobody knows beforehand: one that is there may be a link to somewhere else.
  const partial = join(dirname(path), `.calendar-webhooks-${randomUUID()}`);
  const { mode } = fs.statSync(path, { throwIfNoEntry: false }) ?? {};
  try {
    fs.writeFileSync(partial, content, { flag: "wx", mode: mode ?? 0o666 });
    if (mode !== undefined) fs.chmodSync(partial, mode);
    fs.renameSync(partial, path);
  } catch (error) {
    fs.rmSync(partial, { force: true });
    throw error;
  }
}

export function createDirectories(path) {
  fs.mkdirSync(path, { recursive: true });
}

export function rename(from, to) {
  fs.renameSync(from, to);
}

export function removeFile(path) {
  fs.unlinkSync(path);
}

export function removeEmptyDirectory(path) {
  fs.rmdirSync(path);
}

export function createTemporaryDirectory() {
  return typedPath(fs.mkdtempSync(join(tmpdir(), "calendar-webhooks-")));
}

export function removeTemporaryDirectory(path) {
  fs.rmSync(path, { recursive: true, force: true });
}

export function variable(name) {
  return process.env[name];
}

export function now() {
  return Date.now();
}

export function sleep(milliseconds) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

export function uuid() {
  return randomUUID();
}

export function write(descriptor, text) {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(fs.writeSync(descriptor, rest));
    } catch (error) {
      // EAGAIN: the reader is slow. Anything else: it has gone.
      if (error.code !== "EAGAIN") return;
      sleep(5);
    }
  }
}

export function readLine() {
  const typed = [];
  const byte = Buffer.alloc(1);
  while (typed.at(-1) !== 10) {
    try {
      if (fs.readSync(0, byte) === 0) break;
      typed.push(byte[0]);
    } catch (error) {
      if (error.code === "EOF") break;
      if (error.code !== "EAGAIN") throw error;
      sleep(20);
    }
  }
  return Buffer.from(typed).toString();
}

export function isTerminal(descriptor) {
  return isatty(descriptor);
}

export function columns() {
  return process.stdout.columns;
}

/** `process` is JSON, and so is what is returned: `{ code, output, errors }`. */
export function run(json) {
  const { program, arguments: given, environment, isCaptured } = JSON.parse(json);
  const secret = given.find((argument) => "secret" in argument)?.secret;
  const file = secret === undefined ? undefined : secretFile(secret);
  try {
    const outputs = isCaptured ? "pipe" : "inherit";
    const ended = spawnSync(
      program,
      given.map(({ text }) => text ?? file.path),
      {
        stdio: [file?.descriptor ?? "ignore", outputs, outputs],
        env: { ...process.env, ...environment },
        encoding: "utf8",
        maxBuffer: Infinity,
        windowsHide: true,
      },
    );
    if (ended.error) throw ended.error;
    return JSON.stringify({ code: ended.status, output: ended.stdout ?? "", errors: ended.stderr ?? "" });
  } finally {
    file?.remove();
  }
}

/** A file that nobody else can read. Where it can be had, one without a name, of which nothing is left whatever happens. */
export function secretFile(content, windows = isWindows) {
  const directory = createTemporaryDirectory();
  const path = join(directory, "secrets");
  if (windows) {
    fs.writeFileSync(path, content, { flag: "wx" });
    return { path, remove: () => removeTemporaryDirectory(directory) };
  }
  const descriptor = fs.openSync(path, "wx+", 0o600);
  removeTemporaryDirectory(directory);
  // Written at a place, which leaves the reader at the beginning.
  fs.writeSync(descriptor, content, 0);
  return { path: "/dev/stdin", descriptor, remove: () => fs.closeSync(descriptor) };
}

/** Requests and replies are JSON; see network.js. */
export function sendAll(json) {
  const requests = JSON.parse(json);
  const longest = Math.max(...requests.map(({ milliseconds }) => milliseconds));
  return JSON.stringify(ask({ requests }, longest) ?? []);
}

export function resolve(host, milliseconds) {
  return ask({ host, milliseconds }, milliseconds) ?? [];
}

let network;

/** Has another thread do what takes time, and waits for it. Returns nothing where that thread does not answer at all. */
function ask(question, milliseconds) {
  network ??= startNetwork();
  const isAnswered = new Int32Array(new SharedArrayBuffer(4));
  network.worker.postMessage({ question, isAnswered, port: network.theirs }, network.theirs ? [network.theirs] : []);
  network.theirs = undefined;
  if (Atomics.wait(isAnswered, 0, 0, milliseconds + 10_000) === "timed-out") {
    network.worker.terminate();
    network = undefined;
    return undefined;
  }
  return receiveMessageOnPort(network.ours)?.message;
}

function startNetwork() {
  const worker = new Worker(new URL("network.js", import.meta.url));
  worker.unref();
  const { port1: ours, port2: theirs } = new MessageChannel();
  ours.unref();
  return { worker, ours, theirs };
}
