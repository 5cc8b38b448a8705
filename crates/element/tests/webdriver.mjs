// Firefox and WebKit, driven by the commands of W3C WebDriver. Firefox takes them on a socket of its own, which it
// calls Marionette. WebKit has a driver that takes them by HTTP, and needs a display.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { eventually } from "./scene.mjs";

const firefox = process.env.FIREFOX ?? "/usr/bin/firefox-esr";
if (!existsSync(firefox)) {
  throw new Error(`${firefox} is missing: install Firefox, but no snap (Debian: firefox-esr), or set FIREFOX to where it is`);
}
const webkit = "/usr/bin/WebKitWebDriver";
if (!existsSync(webkit)) throw new Error(`${webkit} is missing: install it, and Xvfb (Debian: webkit2gtk-driver xvfb)`);

const KEYS = { Tab: "\uE004", Enter: "\uE007", Escape: "\uE00C", Space: " " };

export class Browser {
  #programs;
  #send;

  /** With the programs that it needs, and what sends it a command: its name for Firefox, its path for WebKit, its body. */
  constructor(programs, send) {
    this.#programs = programs;
    this.#send = send;
  }

  goto(url) {
    return this.#send("Navigate", "url", { url });
  }

  /** Calls the function in the page. Arguments and result are JSON. */
  execute(run, ...args) {
    return this.#send("ExecuteScript", "execute/sync", { script: `return (${run})(...arguments)`, args });
  }

  click(x, y) {
    const press = [{ type: "pointerDown", button: 0 }, { type: "pointerUp", button: 0 }];
    return this.#perform({ type: "pointer", id: "mouse", actions: [{ type: "pointerMove", x, y }, ...press] });
  }

  async press(...keys) {
    for (const value of keys.map((key) => KEYS[key])) {
      await this.#perform({ type: "key", id: "keyboard", actions: [{ type: "keyDown", value }, { type: "keyUp", value }] });
    }
  }

  #perform(source) {
    return this.#send("PerformActions", "actions", { actions: [source] });
  }

  close() {
    return this.#programs.end();
  }
}

/** The programs of one browser, with a home of their own. */
class Programs {
  #running = [];

  /** Makes a browser of them, or ends what has started. */
  static async open(start) {
    const programs = new Programs();
    programs.home = await mkdtemp(join(tmpdir(), "browser-"));
    try {
      return new Browser(programs, await start(programs));
    } catch (error) {
      await programs.end();
      throw error;
    }
  }

  run(path, args, env = {}) {
    const child = spawn(path, args, { env: { ...process.env, HOME: this.home, ...env } });
    // A full pipe would stop it.
    child.stdout.resume();
    child.stderr.resume();
    this.#running.unshift(child);
    return child;
  }

  async end() {
    for (const child of this.#running) {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) continue;
      child.kill();
      await once(child, "exit");
    }
    await rm(this.home, { recursive: true, maxRetries: 10 });
  }
}

/** Waits for what a program prints when it has started. */
function printed(child, expected) {
  return new Promise((resolve, reject) => {
    let text = "";
    const fail = (how) => reject(new Error(`${child.spawnfile} ${how}: ${text}`));
    setTimeout(fail, 60_000, "does not start").unref();
    child.on("error", reject);
    child.on("exit", () => fail("has ended"));
    for (const output of [child.stdout, child.stderr]) {
      output.on("data", (data) => {
        text += data;
        const found = expected.exec(text);
        if (found) resolve(found[1]);
      });
    }
  });
}

/** A message is its length and JSON: https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html. */
class Marionette {
  #socket;
  #received = Buffer.alloc(0);
  #waiting;

  static async connect(port) {
    const marionette = new Marionette();
    marionette.#socket = connect(port, "127.0.0.1");
    marionette.#socket.on("data", (data) => marionette.#receive(data));
    // Firefox speaks first, of itself.
    await new Promise((resolve) => (marionette.#waiting = resolve));
    return marionette;
  }

  async send(name, body) {
    const message = JSON.stringify([0, 1, `WebDriver:${name}`, body]);
    const answered = new Promise((resolve) => (this.#waiting = resolve));
    this.#socket.write(`${Buffer.byteLength(message)}:${message}`);
    const [, , error, result] = await answered;
    if (error) throw new Error(`${error.error}: ${error.message}`);
    return result.value;
  }

  #receive(data) {
    this.#received = Buffer.concat([this.#received, data]);
    const start = this.#received.indexOf(":") + 1;
    const end = start + Number(this.#received.subarray(0, start - 1));
    if (start === 0 || this.#received.length < end) return;
    const message = JSON.parse(this.#received.subarray(start, end));
    this.#received = this.#received.subarray(end);
    this.#waiting(message);
  }
}

export const startFirefox = () =>
  Programs.open(async (programs) => {
    // Any free port.
    await writeFile(join(programs.home, "user.js"), 'user_pref("marionette.port", 0);');
    const args = ["--headless", "--no-remote", "--profile", programs.home, "--marionette"];
    const port = await printed(programs.run(firefox, args), /Listening on port (\d+)/);
    const marionette = await Marionette.connect(port);
    await marionette.send("NewSession", {});
    return (name, path, body) => marionette.send(name, body);
  });

export const startWebKit = () =>
  Programs.open(async (programs) => {
    const display = await printed(programs.run("Xvfb", ["-displayfd", "1", "-nolisten", "tcp"]), /^(\d+)\n/m);
    const port = await freePort();
    programs.run(webkit, [`--port=${port}`], { DISPLAY: `:${display}` });
    const session = `http://127.0.0.1:${port}/session`;
    const send = async (path, body) => {
      const response = await fetch(path, { method: "POST", body: JSON.stringify(body) });
      const { value } = await response.json();
      if (!response.ok) throw new Error(`${value.error}: ${value.message}`);
      return value;
    };
    // The driver prints nothing when it has started.
    const isUp = () => fetch(`http://127.0.0.1:${port}/status`).then(({ ok }) => ok, () => false);
    await eventually(isUp, Boolean, "WebKit's driver answers");
    const { sessionId } = await send(session, { capabilities: {} });
    return (name, path, body) => send(`${session}/${sessionId}/${path}`, body);
  });

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
