// What matters to a user, in Firefox and in WebKit.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { eventually } from "./scene.mjs";
import { Supabase, row } from "./supabase.mjs";
import { startFirefox, startWebKit } from "./webdriver.mjs";

/** Refuses all that the element can do without. */
const STRICT =
  "default-src 'none'; connect-src 'self'; img-src data:; require-trusted-types-for 'script'; trusted-types 'none'; script-src 'self'";

/** In the page: keeps what is complained of, signs in, and puts the element on the page. */
async function start() {
  window.complaints = [];
  for (const kind of ["error", "warn"]) console[kind] = (...words) => complaints.push(words.join(" "));
  addEventListener("error", ({ message, target }) => complaints.push(message ?? target.outerHTML), true);
  addEventListener("unhandledrejection", ({ reason }) => complaints.push(`${reason}`));
  addEventListener("securitypolicyviolation", ({ effectiveDirective }) => complaints.push(effectiveDirective));
  await new Promise((resolve) => addEventListener("DOMContentLoaded", resolve));
  const client = supabase.createClient(location.origin, "sb_publishable_test");
  await client.auth.signInWithPassword({ email: "ada@example.com", password: "secret" });
  const element = document.createElement("google-calendar-integration");
  element.client = client;
  document.querySelector("main").append(element);
  const root = element.shadowRoot;
  const nameOf = (node) => node && (node.ariaLabel ?? node.innerText.trim());
  window.panel = () => root.querySelector(".panel");
  window.focused = () => root.activeElement;
  window.nameOfFocused = () => nameOf(root.activeElement);
  window.visible = (selector, name) =>
    [...root.querySelectorAll(selector)].find((node) => node.checkVisibility({ visibilityProperty: true }) && name === (name && nameOf(node)));
}

class Page {
  /** A page with the element in it, closed with the test, which any other complaint than those expected fails. */
  static async open(test, browser, { html = 'lang="en"', policy = `${STRICT} 'wasm-unsafe-eval'`, expected = /(?!)/, faults = {} } = {}) {
    const page = new Page();
    page.browser = browser;
    page.supabase = Object.assign(await Supabase.start(), { rows: [row()], faults });
    test.after(() => page.#close(expected));
    page.supabase.site = {
      "/start.js": { type: "text/javascript", body: `(${start})()` },
      "/settings": {
        type: "text/html",
        headers: { "content-security-policy": policy },
        body: `<!doctype html><html ${html}><meta charset="utf-8"><link rel="icon" href="data:,"><title>Settings</title>
          <script src="/start.js"></script><script src="/supabase.js"></script><script type="module" src="/element.js"></script>
          <main></main>`,
      },
    };
    await browser.goto(`${page.supabase.url}/settings`);
    return page;
  }

  async #close(expected) {
    const complaints = await this.execute(() => window.complaints);
    await this.browser.goto("about:blank");
    await this.supabase.stop();
    assert.deepEqual(complaints.filter((complaint) => !expected.test(complaint)), []);
  }

  execute(run, ...args) {
    return this.browser.execute(run, ...args);
  }

  shows(text) {
    const seen = () => this.execute(() => window.panel?.().innerText ?? "");
    return eventually(seen, (seen) => seen.includes(text), `the panel shows ${JSON.stringify(text)}`);
  }

  async click(name) {
    const find = (name) => {
      const box = window.visible?.("button", name)?.getBoundingClientRect();
      return box && [Math.round(box.x + box.width / 2), Math.round(box.y + box.height / 2)];
    };
    await this.browser.click(...(await eventually(() => this.execute(find, name), Boolean, `there is a button ${name}`)));
  }

  press(...keys) {
    return this.browser.press(...keys);
  }

  focuses(name) {
    return eventually(() => this.execute(() => nameOfFocused()), (focused) => focused === name, `${name} has the focus`);
  }

  /** Where these are, by the names of their classes. */
  boxes(...names) {
    const find = (names) => names.map((name) => [name, visible(`.${name}`)?.getBoundingClientRect().toJSON()]);
    const isThere = (boxes) => boxes.every(([, box]) => box);
    return eventually(() => this.execute(find, names), isThere, `${names} are seen`).then(Object.fromEntries);
  }
}

const relative = (language) => new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(-2, "hour");

for (const [name, startBrowser] of Object.entries({ Firefox: startFirefox, WebKit: startWebKit })) {
  describe(`in ${name}`, () => {
    let browser;
    before(async () => (browser = await startBrowser()));
    after(() => browser?.close());

    it("the panel is there before the module, and nothing moves when the card takes its place", async (test) => {
      let serve;
      const served = new Promise((resolve) => (serve = resolve));
      const page = await Page.open(test, browser, { faults: { "module.js": () => served } });
      await page.shows("Loading…");
      const height = () => page.execute(() => panel().getBoundingClientRect().height);
      const before = await height();
      assert.ok(before > 150, `${before} px`);
      serve();
      await page.shows("Updates from Google arrive as they happen.");
      await page.shows(relative("en"));
      const after = await height();
      assert.ok(Math.abs(after - before) <= 2, `${before} px become ${after}`);
    });

    it("by mouse: the button, the menu below its button, and a question before a calendar is given up", async (test) => {
      const page = await Page.open(test, browser);
      await page.click("Refresh");
      await page.shows("Refreshed.");
      await page.click("More");
      const { menu, more } = await page.boxes("menu", "more");
      assert.ok(menu.top >= more.bottom && Math.abs(menu.right - more.right) <= 1, JSON.stringify({ menu, more }));
      await page.click("Pause");
      await page.click("Resume");
      await page.shows("Connected");
      await page.click("More");
      await page.click("Disconnect");
      await page.click("Keep connected");
      await page.focuses("More");
      assert.equal(page.supabase.rows[0].status, "active");
      await page.click("More");
      await page.click("Disconnect");
      await page.boxes("ask");
      await page.click("Disconnect");
      await page.click("Connect again");
      await page.shows("Waiting for your consent at Google…");
    });

    it("by keyboard: the same, and the focus is seen and never lost", async (test) => {
      const page = await Page.open(test, browser);
      await page.shows("Connected");
      await page.press("Tab", "Space");
      await page.shows("Refreshed.");
      await page.focuses("Refresh");
      const ring = () => page.execute(() => getComputedStyle(focused()).outline);
      assert.match(await ring(), /2px/);
      await page.press("Tab", "Enter");
      await page.boxes("menu");
      await page.press("Escape");
      await page.focuses("More");
      await page.press("Enter", "Tab");
      await page.focuses("Pause");
      await page.press("Tab", "Enter");
      await page.focuses("Keep connected");
      assert.match(await ring(), /2px/);
      await page.press("Escape");
      await page.focuses("Disconnect");
      assert.equal(page.supabase.rows[0].status, "active");
      await page.press("Enter");
      await page.focuses("Keep connected");
      await page.press("Tab", "Enter");
      await page.focuses("Connect again");
      assert.equal(page.supabase.rows[0].status, "disconnected");
    });

    it("it is as dark as the page", async (test) => {
      const page = await Page.open(test, browser, { html: 'lang="en" class="dark"' });
      await page.shows("Connected");
      const colour = () => page.execute(() => getComputedStyle(panel()).backgroundColor);
      const [dark, light] = ["rgb(22, 24, 29)", "rgb(255, 255, 255)"];
      assert.equal(await colour(), dark);
      await page.execute(() => void (document.documentElement.className = "light"));
      await eventually(colour, (colour) => colour === light, "it is light");
      await page.execute(() => void (document.documentElement.style.colorScheme = "dark"));
      await page.execute(() => void (document.documentElement.className = ""));
      await eventually(colour, (colour) => colour === dark, "it is dark");
    });

    it("it stands from right to left in a page in Arabic", async (test) => {
      const page = await Page.open(test, browser, { html: 'lang="ar" dir="rtl"' });
      await page.click("More");
      const { menu, more, button, logo, title } = await page.boxes("menu", "more", "button", "logo", "title");
      assert.ok(title.right < logo.left && more.right < button.left, JSON.stringify({ title, logo, more, button }));
      assert.ok(menu.top >= more.bottom && Math.abs(menu.left - more.left) <= 1, JSON.stringify({ menu, more }));
    });

    it("it speaks the page's language, with its dates, and hyphenates none but long words", async (test) => {
      const page = await Page.open(test, browser, { html: 'lang="de-CH"' });
      await page.shows("Updates von Google kommen sofort an.");
      await page.shows(relative("de-CH"));
      assert.equal(await page.execute(() => getComputedStyle(panel()).hyphens), "auto");
      // The width at which the button has no room for all of its label.
      const tooWide = () => {
        document.querySelector("main").style.inlineSize = "260px";
        const { right } = panel().getBoundingClientRect();
        return [...panel().querySelectorAll("*")].filter((node) => node.getBoundingClientRect().right > right).map((node) => node.outerHTML);
      };
      assert.deepEqual(await page.execute(tooWide), []);
      const linesOfWord = () => {
        const [label] = visible(".add > .label").childNodes;
        const word = document.createRange();
        word.setStart(label, label.data.indexOf("hinzufügen"));
        word.setEnd(label, label.length);
        return word.getClientRects().length;
      };
      assert.equal(await page.execute(linesOfWord), 1);
      await page.execute(() => void (document.documentElement.lang = "ja"));
      await page.shows(relative("ja"));
    });

    it("it runs where the page demands Trusted Types and allows no policy", async (test) => {
      const page = await Page.open(test, browser, { expected: /^require-trusted-types-for$/ });
      await page.shows("Connected");
      const parse = () => {
        try {
          document.createElement("p").innerHTML = "<b>";
        } catch (error) {
          return error.name;
        }
      };
      assert.equal(await page.execute(parse), "TypeError");
    });

    it("where the page's policy refuses WebAssembly, the panel says what the page's owner must set", async (test) => {
      const page = await Page.open(test, browser, { policy: STRICT, expected: /CompileError|^script-src$/ });
      await page.shows("must allow 'wasm-unsafe-eval' in script-src.");
    });
  });
}
