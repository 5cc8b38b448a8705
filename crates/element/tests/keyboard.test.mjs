// Everything by the keyboard alone, and where it is to be seen.

import assert from "node:assert/strict";
import { after, before, it } from "node:test";

import { Scene, eventually, launch } from "./scene.mjs";
import { row } from "./supabase.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

const focused = (scene) =>
  scene.page.evaluate(() => document.querySelector("google-calendar-integration").shadowRoot.activeElement?.textContent);

it("Tab goes through the buttons in their order, each with a ring that is seen, and out again", async (test) => {
  const other = row({ id: "0190b000-0000-7000-8000-000000000002", calendar_id: "work@example.com", status: "paused" });
  const scene = await Scene.open(test, browser, { rows: [row(), other] });
  await scene.card(1).waitFor();
  const seen = [];
  for (let stop = 0; stop < 4; stop++) {
    await scene.page.keyboard.press("Tab");
    seen.push(await focused(scene));
    const outline = await scene.page.evaluate(() => {
      const { activeElement } = document.querySelector("google-calendar-integration").shadowRoot;
      const { outlineStyle, outlineWidth } = getComputedStyle(activeElement);
      return `${outlineWidth} ${outlineStyle}`;
    });
    assert.equal(outline, "2px solid");
  }
  assert.deepEqual(seen, ["Refresh", "Details", "Resume", "Details"]);
  await scene.page.keyboard.press("Tab");
  assert.equal(await focused(scene), undefined);
});

it("Enter and Space press, and the focus stays where it was", async (test) => {
  let answer;
  const faults = { "refresh-calendar-webhook": () => new Promise((resolve) => (answer = resolve)) };
  const scene = await Scene.open(test, browser, { rows: [row()], faults });
  await scene.card().waitFor();
  await scene.page.keyboard.press("Tab");
  await scene.page.keyboard.press("Enter");
  await scene.button("Refreshing…").waitFor();
  await scene.page.keyboard.press("Space");
  assert.equal(await focused(scene), "Refreshing…");
  await eventually(() => answer, Boolean, "the request has arrived");
  answer(undefined);
  await scene.card().getByText("Refreshed.").waitFor();
  assert.equal(await focused(scene), "Refresh");
  await scene.atRest();
  assert.equal(scene.supabase.calledWith("refresh-calendar-webhook").length, 1);
  await scene.page.keyboard.press("Tab");
  await scene.page.keyboard.press("Space");
  assert.equal(await scene.part("details").evaluate((details) => details.open), true);
});

it("a calendar is connected without a mouse", async (test) => {
  const scene = await Scene.open(test, browser);
  await scene.button("Connect Google Calendar").waitFor();
  await scene.page.keyboard.press("Tab");
  await scene.page.keyboard.press("Space");
  assert.equal((await scene.events("calendar-connect")).length, 1);
  scene.supabase.rows = [row()];
  await scene.card().waitFor();
  await scene.page.keyboard.press("Tab");
  assert.equal(await focused(scene), "Refresh");
});

it("everything that can be pressed says of which calendar it is", async (test) => {
  const other = row({ id: "0190b000-0000-7000-8000-000000000002", calendar_id: "work@example.com" });
  const scene = await Scene.open(test, browser, { rows: [row(), other] });
  await scene.card(1).waitFor();
  const described = await scene.element.locator("button:visible, summary:visible").evaluateAll((targets) =>
    targets.map((target) => {
      const calendar = target.getRootNode().getElementById(target.getAttribute("aria-describedby"));
      return `${target.textContent}: ${calendar.textContent}`;
    }),
  );
  assert.deepEqual(described, [
    "Refresh: Primary calendar",
    "Details: Primary calendar",
    "Refresh: work@example.com",
    "Details: work@example.com",
  ]);
});
