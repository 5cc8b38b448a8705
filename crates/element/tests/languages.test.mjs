// The languages that the element speaks: chosen by the place where it stands, one at a time, and at home in every
// width.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";

import { Scene, eventually, launch } from "./scene.mjs";
import { inDays, row } from "./supabase.mjs";

const LANGUAGES = ["de", "es", "fr", "it", "ja", "pt"];

async function textsOf(language) {
  const file = language === "en" ? "texts.json" : `texts.${language}.json`;
  return JSON.parse(await readFile(new URL(`../npm/${file}`, import.meta.url)));
}

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

const speak = (scene, language) => scene.page.evaluate((language) => void (document.documentElement.lang = language), language);
const spoken = (scene, text) => scene.element.getByText(text, { exact: true }).first().waitFor();

/** One of every kind, with what stands under Details. */
const rows = [
  row({ calendar_name: "ada@example.com" }),
  row({ id: "0190b000-0000-7000-8000-000000000002", status: "reconnect_required", webhook_error: "permission_missing" }),
  row({ id: "0190b000-0000-7000-8000-000000000003", status: "expired", webhook_expiration: inDays(-1), sync_status: "failing", sync_error: "recalculate_500" }),
  row({ id: "0190b000-0000-7000-8000-000000000004", status: "paused", calendar_name: "Team" }),
  row({ id: "0190b000-0000-7000-8000-000000000005", status: "disconnected", calendar_name: "Family" }),
];

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** Every text that is shown, without names, times and numbers. */
const shown = (scene) =>
  scene.part("panel").evaluate((panel) => {
    const walker = document.createTreeWalker(panel, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) {
      const { parentElement, data } = walker.currentNode;
      const isFact = parentElement.matches("bdi, time, dd") || parentElement.closest("[hidden]");
      if (!isFact && data.trim()) texts.push(data);
    }
    return texts;
  });

describe("in every language", { concurrency: 2 }, () => {
  for (const language of LANGUAGES) {
    it(`${language} is all that is said, and fits into every width`, async (test) => {
      const [texts, english] = [await textsOf(language), await textsOf("en")];
      const scene = await Scene.open(test, browser, { rows, before: (scene) => speak(scene, language) });
      await spoken(scene, texts.permissionMissing);
      const own = Object.values(texts).map((text) => text.split(/\{\w+\}/).map(escaped).join(".+"));
      const isOwn = new RegExp(`^(${own.join("|")})$`);
      const foreign = (await shown(scene)).filter((text) => !isOwn.test(text));
      assert.deepEqual(foreign, []);
      const expected = new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(-2, "hour");
      assert.equal(await scene.part("last-sync").first().textContent(), expected);
      assert.notEqual(texts.permissionMissing, english.permissionMissing);
      for (const width of [280, 400, 720, 1200]) {
        await scene.page.setViewportSize({ width: width + 16, height: 640 });
        const overflows = await scene.part("panel").evaluate((panel) => {
          const { left, right } = panel.getBoundingClientRect();
          const nodes = [...panel.querySelectorAll(":not(.spoken)")].filter((node) => node.getClientRects().length);
          return nodes.filter((node) => node.getBoundingClientRect().left < left - 1 || node.getBoundingClientRect().right > right + 1 || node.scrollWidth > node.clientWidth + 1 && node.matches(".badge, .button, dd, dt")).map((node) => node.outerHTML);
        });
        assert.deepEqual(overflows, [], `${width}`);
        const overlapping = await scene.part("card").evaluateAll((cards) =>
          cards.filter((card) => {
            const [badge, actions] = [".badge", ".actions"].map((part) => card.querySelector(part).getBoundingClientRect());
            return badge.right > actions.left && badge.left < actions.right && badge.bottom > actions.top && badge.top < actions.bottom;
          }).map((card) => card.textContent));
        assert.deepEqual(overlapping, [], `${width}`);
        await scene.screenshot(`language-${language}-${width}`);
      }
    });
  }
});

it("no English is seen before the page's language is loaded", async (test) => {
  let serve;
  const served = new Promise((resolve) => (serve = resolve));
  const scene = await Scene.open(test, browser, {
    rows,
    before: async (scene) => {
      await speak(scene, "de-CH");
      await scene.context.route("**/texts.de.js", async (route) => {
        await served;
        await route.continue();
      });
    },
  });
  await scene.page.waitForTimeout(300);
  assert.equal(await scene.element.evaluate((element) => element.shadowRoot.textContent.trim()), "");
  const header = () => scene.part("header").evaluate((header) => header.getBoundingClientRect().height);
  const before = await header();
  serve();
  await spoken(scene, "Verbunden");
  assert.equal(await header(), before, "nothing moves when the words come");
});

it("a language that is not built in is answered in English, dates too, unless the page brings its words", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()], before: (scene) => speak(scene, "pl") });
  await spoken(scene, "2 hours ago");
  await spoken(scene, "Last sync");
  assert.equal(await scene.part("panel").getAttribute("lang"), "en");
  await scene.page.evaluate(() => {
    document.querySelector("google-calendar-integration").texts = { lastSync: "Ostatnia synchronizacja" };
  });
  await spoken(scene, "2 godziny temu");
  assert.equal(await scene.part("panel").getAttribute("lang"), "pl");
});

it("the page's own texts come before the built-in ones", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()], before: (scene) => speak(scene, "fr") });
  await scene.button("Actualiser").waitFor();
  await scene.page.evaluate(() => {
    document.querySelector("google-calendar-integration").texts = { refresh: "Synchroniser" };
  });
  await scene.button("Synchroniser").waitFor();
  await spoken(scene, "Connecté");
});

it("an element within another language, and one whose language changes, speak that", async (test) => {
  const scene = await Scene.open(test, browser, {
    rows: [row()],
    before: (scene) => scene.page.evaluate(() => void (document.querySelector("main").lang = "it")),
  });
  await spoken(scene, "Collegato");
  await scene.page.evaluate(() => void (document.querySelector("main").lang = "ja"));
  await spoken(scene, "接続済み");
  await scene.page.evaluate(() => void (document.querySelector("google-calendar-integration").lang = "not a language"));
  await spoken(scene, "2 hours ago");
});

it("an element that is moved speaks the language and has the colours of where it then stands", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  await spoken(scene, "Connected");
  const move = (lang, how) =>
    scene.page.evaluate(
      ([lang, how]) => {
        const place = document.createElement("div");
        document.body.append(place);
        place.lang = lang;
        place.className = lang === "de" ? "dark" : "light";
        place[how](document.querySelector("google-calendar-integration"), null);
      },
      [lang, how],
    );
  const scheme = () => scene.part("panel").evaluate((panel) => panel.style.colorScheme);
  await move("de", "insertBefore");
  await spoken(scene, "Verbunden");
  assert.equal(await scheme(), "dark");
  await move("fr", "moveBefore");
  await spoken(scene, "Connecté");
  assert.equal(await scheme(), "light");
  // What changes around its new place is seen, too.
  await scene.page.evaluate(() => void (document.querySelector("google-calendar-integration").parentNode.lang = "it"));
  await spoken(scene, "Collegato");
});

it("a language that is set while the module starts is the one that is spoken", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  await spoken(scene, "Connected");
  await scene.page.evaluate(() => {
    document.querySelector("google-calendar-integration").remove();
    mount().lang = "es";
  });
  await spoken(scene, "Conectado");
});

it("a language that cannot be loaded is replaced by English, and the console says which file is missing", async (test) => {
  const warnings = [];
  const scene = await Scene.open(test, browser, {
    rows: [row()],
    before: async (scene) => {
      scene.page.on("console", (message) => message.type() === "warning" && warnings.push(message.text()));
      await scene.context.route("**/texts.pt.js", (route) => route.fulfill({ status: 404, body: "" }));
      await speak(scene, "pt-BR");
    },
  });
  await spoken(scene, "2 hours ago");
  await eventually(() => warnings, (warnings) => warnings.some((text) => text.includes("texts.pt.js")), "it says so");
});
