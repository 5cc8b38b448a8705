// On a phone, by touch alone.

import assert from "node:assert/strict";
import { after, before, it } from "node:test";

import { Scene, eventually, launch } from "./scene.mjs";
import { row } from "./supabase.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

/** High enough for a picture of all: Chromium forgets the finger when it has to make more room for one. */
const phone = (width) => ({ viewport: { width, height: 1000 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
const all = [
  row(),
  row({ id: "0190b000-0000-7000-8000-000000000002", calendar_id: "work@example.com", status: "paused" }),
  row({ id: "0190b000-0000-7000-8000-000000000003", calendar_id: "team@example.com", status: "unsupported" }),
];

/** The boxes of all that can be pressed, which are the fewest CSS pixels either way. */
async function smallest(scene) {
  const targets = scene.element.locator("button:visible, summary:visible");
  const sides = await targets.evaluateAll((targets) =>
    targets.map((target) => target.getBoundingClientRect()).flatMap(({ width, height }) => [width, height]),
  );
  assert.ok(sides.length > 0);
  return Math.min(...sides);
}

for (const width of [320, 375, 768]) {
  it(`at ${width} px nothing is too small for a finger or wider than the page`, async (test) => {
    const scene = await Scene.open(test, browser, { context: phone(width) });
    await scene.button("Connect Google Calendar").waitFor();
    assert.ok((await smallest(scene)) >= 44);
    scene.supabase.rows = structuredClone(all);
    await scene.refresh();
    await scene.card(2).waitFor();
    assert.ok((await smallest(scene)) >= 44);
    await scene.part("more", scene.card(0)).tap();
    await scene.part("menu", scene.card(0)).waitFor();
    assert.ok((await smallest(scene)) >= 44);
    await scene.page.keyboard.press("Escape");
    assert.equal(await scene.page.evaluate(() => document.documentElement.scrollWidth), width);
    await scene.screenshot(`touch-${width}`);
  });
}

it("with a mouse nothing is smaller than 24 px", async (test) => {
  for (const width of [296, 720, 1216]) {
    const scene = await Scene.open(test, browser, { rows: all, context: { viewport: { width, height: 640 } } });
    await scene.card(2).waitFor();
    assert.ok((await smallest(scene)) >= 24, `${width}`);
  }
});

it("a tap connects", async (test) => {
  const scene = await Scene.open(test, browser, { context: phone(320) });
  await scene.button("Connect Google Calendar").tap();
  assert.deepEqual(await eventually(() => scene.events("calendar-connect"), ({ length }) => length, "is asked for"), [
    { name: "calendar-connect", detail: { connection_id: null, reason: "connect" }, cancelable: true, bubbles: true, composed: true },
  ]);
  await scene.element.getByText("Waiting for your consent at Google…").waitFor();
});

it("a tap refreshes, once, and leaves no hover behind", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()], context: phone(375) });
  const refresh = scene.button("Refresh");
  await refresh.waitFor();
  const colour = () => refresh.evaluate((button) => getComputedStyle(button).backgroundColor);
  const before = await colour();
  await refresh.tap();
  await scene.card().getByText("Refreshed.").waitFor();
  await scene.atRest();
  assert.deepEqual(scene.supabase.calledWith("refresh-calendar-webhook"), [row().id]);
  await eventually(colour, (now) => now === before, "it looks as before");
});

it("the exact times, a hover's with a mouse, are a tap away", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()], context: phone(320) });
  await scene.card().waitFor();
  const hovers = await scene.card().locator("time[title]").evaluateAll((times) => times.map(({ title }) => title));
  assert.equal(hovers.length, 2);
  const details = scene.part("details");
  await scene.element.getByText("Details").tap();
  for (const moment of hovers) await details.getByText(moment).waitFor();
  await scene.element.getByText("Details").tap();
  await details.getByText(hovers[0]).waitFor({ state: "hidden" });
});
