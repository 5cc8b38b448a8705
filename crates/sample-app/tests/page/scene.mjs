// What the tests of the page share: the stack as `scripts/dev` runs it, a browser, and people in front of it.
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

export const REPOSITORY = fileURLToPath(new URL("../../../../", import.meta.url));
const SCREENSHOTS = fileURLToPath(new URL("../../screenshots/", import.meta.url));

const require = createRequire(`${REPOSITORY}scripts/package.json`);
const { chromium } = require("playwright-core");
const axe = require("axe-core").source;

/** For whatever happens in the background; machines that run tests are busy. */
export const PATIENCE = 60_000;

/** Starts everything; `close` ends it. */
export async function openScene() {
  mkdirSync(SCREENSHOTS, { recursive: true });
  const stack = await startStack();
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--headless", "--disable-background-networking"],
  });
  return {
    url: stack.url,
    google: stack.google,
    browser,
    /** A window of a browser of its own. */
    async newcomer(options = {}) {
      const context = await browser.newContext({
        viewport: { width: 1440, height: 1000 },
        locale: "en-GB",
        timezoneId: "Europe/Amsterdam",
        ...options,
      });
      context.setDefaultTimeout(PATIENCE);
      return Person.enter(context, stack.url);
    },
    async close() {
      await tellWhatIsOpen(browser);
      await browser.close();
      await stack.stop();
    },
  };
}

/** Only a test that failed leaves its window open: what it shows says why. */
async function tellWhatIsOpen(browser) {
  for (const page of browser.contexts().flatMap((context) => context.pages())) {
    const text = await page.locator("body").innerText({ timeout: 5_000 }).catch(String);
    console.error(`still open, ${page.url()}:\n${text.replace(/^/gm, "  ")}`);
  }
}

/** The program behind `scripts/dev`, with sweeps that come sooner. */
async function startStack() {
  const command = ["run", "--quiet", "--package", "dev-stack", "--", "--port", "0", "--sweep-every", "2"];
  const program = spawn("cargo", command, { cwd: REPOSITORY, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((resolve) => program.once("exit", resolve));
  let printed = "";
  const ready = new Promise((resolve, reject) => {
    for (const pipe of [program.stdout, program.stderr]) {
      pipe.setEncoding("utf8").on("data", (text) => {
        printed += text;
        if (/Ctrl-C stops everything/.test(printed)) resolve();
      });
    }
    ended.then(() => reject(new Error(`dev-stack ended:\n${printed}`)));
  });
  await ready;
  const address = (name) => new RegExp(`^ *${name}  (\\S+)$`, "m").exec(printed)[1];
  return {
    url: address("Demo page"),
    google: new URL(address("Google's faults")).origin,
    async stop() {
      program.kill("SIGTERM");
      await ended;
    },
  };
}

/** Somebody with a window of the page. */
export class Person {
  /** Everything that the page was sent, and what is yet to come of it. */
  #received = [];
  /** What the browser complained about. */
  complaints = [];
  /** Requests that failed, as the console shows them. */
  failed = [];

  static async enter(context, url) {
    const person = new Person();
    person.context = context;
    person.url = url;
    person.page = await context.newPage();
    person.#listen();
    await person.page.goto(url);
    return person;
  }

  #listen() {
    this.page.on("response", (response) => {
      // What the page has left has no body any more.
      const body = response.text().catch(() => "");
      if (response.status() >= 400) this.failed.push(`${response.status()} ${response.url()}`);
      this.#received.push(body.then((body) => ({ url: response.url(), body })));
    });
    this.page.on("pageerror", (error) => this.complaints.push(String(error)));
    this.page.on("console", (message) => {
      if (/Content Security Policy|Refused to/.test(message.text())) this.complaints.push(message.text());
    });
  }

  /** Everything that the page was sent. */
  received() {
    return Promise.all(this.#received);
  }

  /** Has the page look for events as when somebody comes back to it; returns once it has an answer of now. */
  async looks() {
    const asked = this.page.waitForRequest((request) => request.method() === "GET" && request.url().includes("/calendar/events"));
    await this.page.evaluate(() => void window.dispatchEvent(new Event("focus")));
    const response = await (await asked).response();
    await response.finished();
    await this.page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve))));
  }

  /** One more window of the same browser. */
  anotherWindow() {
    return Person.enter(this.context, this.url);
  }

  get integration() {
    return this.page.locator("google-calendar-integration");
  }

  get outcome() {
    return this.page.locator("#outcome");
  }

  /** What is said about the calendar's events. */
  get problem() {
    return this.page.locator("#calendar-problem");
  }

  /** What is said about the buttons. */
  get told() {
    return this.page.locator("#told");
  }

  block(name) {
    return this.page.getByRole("group", { name });
  }

  button(name) {
    return this.page.getByRole("button", { name, exact: true });
  }

  async continueAs(name) {
    await this.button(`Continue as ${name}`).click();
    await this.integration.waitFor();
  }

  async signUp(email) {
    this.email = email;
    await this.page.getByLabel("E-mail").fill(email);
    await this.button("Sign up").click();
    await this.integration.waitFor();
  }

  /** Presses a button of the element that leads to Google, agrees there and comes back. */
  async agree(button) {
    await this.integration.getByRole("button", { name: button }).click();
    // Whose calendar it is, is not known to the app before the calendar was first read: then Google asks.
    const account = this.page.getByLabel("Account");
    if (await account.inputValue() === "") await account.fill(this.email);
    await this.page.getByRole("button", { name: "Allow" }).click();
    await this.page.waitForURL(this.url);
    await this.isConnected();
  }

  async connect() {
    await this.agree("Connect Google Calendar");
  }

  async isConnected() {
    await this.integration.getByText("Connected", { exact: true }).waitFor();
    await this.integration.getByText("Up to date", { exact: true }).waitFor();
  }

  /** With the mouse, on one day of the week (0 to 6), by hours. What is touched counts whole. */
  async draw(kind, day, from, to) {
    await this.page.getByRole("radio", { name: kind }).check();
    await this.drag(await this.pointAt(day, from + 0.1), await this.pointAt(day, to - 0.1));
  }

  async drag(from, to) {
    const { mouse } = this.page;
    await mouse.move(from.x, from.y);
    await mouse.down();
    await mouse.move((from.x + to.x) / 2, (from.y + to.y) / 2);
    await mouse.move(to.x, to.y);
    await mouse.up();
  }

  /** Waits until nothing on the page glides: what still moves is not where it is measured once it is pressed. */
  async still() {
    await this.page.waitForFunction(() =>
      document.getAnimations().every(({ effect, playState }) => {
        const goesOnForEver = effect.getComputedTiming().endTime === Infinity;
        return playState !== "running" || goesOnForEver;
      }),
    );
  }

  /** Where a block is, once nothing glides. */
  async boxOf(name) {
    await this.block(name).waitFor();
    await this.still();
    return this.block(name).boundingBox();
  }

  async pointAt(day, hour) {
    await this.still();
    const { x, y, width, height } = await this.page.locator(".days").boundingBox();
    return { x: x + ((day + 0.5) / 7) * width, y: y + (hour / 24) * height };
  }

  /** Waits until the newest change has been followed to its end, and returns what is said about it. */
  async followed() {
    await this.page.locator('#outcome[data-outcome="done"]').waitFor();
    return this.outcome.textContent();
  }

  async shot(name) {
    await this.page.screenshot({ path: `${SCREENSHOTS}${name}.png`, animations: "disabled" });
  }

  /** What axe-core finds wrong. */
  async violations() {
    await this.still();
    await this.page.evaluate(axe);
    const { violations } = await this.page.evaluate(() => axe.run());
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`);
  }

  close() {
    return this.page.close();
  }
}
