// A browser, and pages with the element in them.

import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import { Supabase } from "./supabase.mjs";

const require = createRequire(new URL("../../../scripts/package.json", import.meta.url));
const { chromium } = require("playwright-core");

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
if (!existsSync(executablePath)) {
  throw new Error(`${executablePath} is missing: install Chromium (Debian: chromium), or set CHROMIUM to where it is`);
}

export const launch = (args = []) =>
  chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-background-networking", ...args] });

const screenshots = fileURLToPath(new URL("../screenshots/", import.meta.url));

/** In the page: counts the elements' requests. Each of them ends with the abort of its signal, answered or not. */
function countRequests() {
  let underWay = 0;
  window.AbortController = class extends AbortController {
    constructor() {
      super();
      underWay += 1;
    }

    abort(reason) {
      if (!this.signal.aborted) underWay -= 1;
      super.abort(reason);
    }
  };
  window.requestsUnderWay = () => underWay;
}

export class Scene {
  /** Closed with the test; an error that the page did not catch fails it. */
  static async open(test, browser, { rows = [], events = [], faults = {}, signedIn = true, clock = false, context = {}, before = () => {} } = {}) {
    const scene = new Scene();
    test.after(() => scene.#close());
    scene.supabase = await Supabase.start();
    Object.assign(scene.supabase, { rows, events, faults: { ...faults } });
    scene.context = await browser.newContext({ viewport: { width: 720, height: 640 }, ...context });
    scene.context.setDefaultTimeout(15_000);
    scene.page = await scene.newPage(clock);
    if (signedIn) await scene.signIn("ada@example.com");
    await before(scene);
    await scene.mount();
    return scene;
  }

  async newPage(clock = false) {
    const page = await this.context.newPage();
    this.errors ??= [];
    page.on("pageerror", (error) => this.errors.push(error));
    if (clock) await page.clock.install();
    await page.addInitScript(countRequests);
    await page.goto(this.supabase.url);
    return page;
  }

  async #close() {
    await this.context.close();
    await this.supabase.stop();
    if (this.errors.length) throw this.errors[0];
  }

  signIn(email, page = this.page) {
    return page.evaluate((email) => client.auth.signInWithPassword({ email, password: "secret" }).then(() => {}), email);
  }

  mount(page = this.page) {
    return page.evaluate(() => void mount());
  }

  refresh() {
    return this.page.evaluate(() => document.querySelector("google-calendar-integration").refresh());
  }

  /**
   * Waits until the element has nothing under way. Then every answer is shown and the timer of the next look is set, so
   * that requests can be counted and the clock be moved.
   */
  atRest(page = this.page) {
    const isAtRest = () => {
      const mounted = document.querySelector("google-calendar-integration")?.shadowRoot?.hasChildNodes();
      return mounted && requestsUnderWay() === 0;
    };
    return eventually(() => page.evaluate(isAtRest), Boolean, "the element is at rest");
  }

  /** From here on time passes by `pass` alone. The jump to a full minute later makes the element look once more. */
  async stopClock() {
    await this.atRest();
    await this.page.clock.pauseAt(Date.now() + 60_000);
    await this.atRest();
  }

  /** Lets time pass, and waits for the answers to what the element has asked by then. */
  async pass(milliseconds) {
    await this.atRest();
    await this.page.clock.runFor(milliseconds);
    await this.atRest();
  }

  get element() {
    return this.page.locator("google-calendar-integration");
  }

  card(at = 0) {
    return this.element.getByRole("list").first().getByRole("listitem").nth(at);
  }

  part(name, within = this.element) {
    return within.locator(`[part~="${name}"]`);
  }

  button(name) {
    return this.element.getByRole("button", { name, exact: true });
  }

  /** Opens a card's menu. */
  async openMenu(at = 0) {
    await this.part("more", this.card(at)).click();
    await this.part("menu", this.card(at)).waitFor();
  }

  events(name) {
    return this.page.evaluate((name) => events.filter((event) => event.name === name), name);
  }

  async screenshot(name) {
    await mkdir(screenshots, { recursive: true });
    await this.element.screenshot({ path: `${screenshots}${name}.png`, animations: "disabled" });
  }
}

/** Waits until what is asked for is so; says what it is when it never becomes so. */
export async function eventually(ask, isSo, what) {
  const deadline = Date.now() + 15_000;
  for (;;) {
    const seen = await ask();
    if (isSo(seen)) return seen;
    if (Date.now() > deadline) throw new Error(`${what}: still ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
