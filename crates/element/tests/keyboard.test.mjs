// Everything by the keyboard alone, and where it is to be seen.

import assert from "node:assert/strict";
import { after, before, it } from "node:test";

import { Scene, eventually, launch } from "./scene.mjs";
import { row } from "./supabase.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

const focused = (scene) =>
  scene.page.evaluate(() => document.querySelector("google-calendar-integration").shadowRoot.activeElement?.innerText.trim() ||
    document.querySelector("google-calendar-integration").shadowRoot.activeElement?.ariaLabel);

it("Tab goes through the buttons in their order, each with a ring that is seen, and out again", async (test) => {
  const other = row({ id: "0190b000-0000-7000-8000-000000000002", calendar_id: "work@example.com", status: "paused" });
  const scene = await Scene.open(test, browser, { rows: [row(), other] });
  await scene.card(1).waitFor();
  const seen = [];
  for (let stop = 0; stop < 7; stop++) {
    await scene.page.keyboard.press("Tab");
    seen.push(await focused(scene));
    const outline = await scene.page.evaluate(() => {
      const { activeElement } = document.querySelector("google-calendar-integration").shadowRoot;
      const { outlineStyle, outlineWidth } = getComputedStyle(activeElement);
      return `${outlineWidth} ${outlineStyle}`;
    });
    assert.equal(outline, "2px solid");
  }
  assert.deepEqual(seen, [
    "Refresh", "More", "Details", "Resume", "More", "Details", "Add another account",
  ]);
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

it("a connection is given up by the keyboard, after a question, and kept by Escape", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  await scene.card().waitFor();
  const press = async (...keys) => {
    for (const key of keys) await scene.page.keyboard.press(key);
  };
  await press("Tab", "Tab", "Enter");
  await scene.part("menu").waitFor();
  await press("Escape");
  await scene.part("menu").waitFor({ state: "hidden" });
  assert.equal(await focused(scene), "More");
  await press("Enter", "Tab");
  assert.equal(await focused(scene), "Pause");
  await press("Tab", "Enter");
  await scene.part("ask").waitFor();
  assert.equal(await focused(scene), "Keep connected");
  await press("Escape");
  await eventually(() => focused(scene), (focused) => focused === "Disconnect", "the focus is back in the menu");
  assert.equal(scene.supabase.calls.length, 0);
  await press("Enter");
  await press("Tab");
  assert.equal(await focused(scene), "Disconnect");
  await press("Enter");
  await scene.button("Connect again").waitFor();
  await scene.part("ask").waitFor({ state: "hidden" });
  await scene.part("menu").waitFor({ state: "hidden" });
  assert.equal(await focused(scene), "Connect again");
});

it("Escape gives the focus back to the menu's button from an item, and the answer Keep closes question and menu", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  await scene.card().waitFor();
  const press = async (...keys) => {
    for (const key of keys) await scene.page.keyboard.press(key);
  };
  const isClosed = () => scene.part("menu").waitFor({ state: "hidden" });
  const isBack = () => eventually(() => focused(scene), (focused) => focused === "More", "the focus is back at the button");
  await press("Tab", "Tab", "Enter", "Tab");
  assert.equal(await focused(scene), "Pause");
  await press("Escape");
  await isClosed();
  await isBack();
  await press("Enter", "Tab", "Tab", "Enter");
  await scene.part("ask").waitFor();
  assert.equal(await focused(scene), "Keep connected");
  await press("Enter");
  await isClosed();
  await isBack();
  assert.equal(scene.supabase.calls.length, 0);
});

it("a question and its menu close where Tab leaves them", async (test) => {
  const other = row({ id: "0190b000-0000-7000-8000-000000000002", calendar_id: "work@example.com" });
  const scene = await Scene.open(test, browser, { rows: [row(), other] });
  await scene.card(1).waitFor();
  for (const key of ["Tab", "Tab", "Enter", "Tab", "Tab", "Enter"]) await scene.page.keyboard.press(key);
  await scene.part("ask").first().waitFor();
  await scene.page.keyboard.press("Tab");
  assert.equal(await focused(scene), "Disconnect");
  await scene.page.keyboard.press("Tab");
  await scene.part("ask").first().waitFor({ state: "hidden" });
  await scene.part("menu").first().waitFor({ state: "hidden" });
  assert.equal(await focused(scene), "Details");
});

it("a question and its menu close where Shift+Tab leaves them", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  await scene.card().waitFor();
  for (const key of ["Tab", "Tab", "Enter", "Tab", "Tab", "Enter"]) await scene.page.keyboard.press(key);
  await scene.part("ask").waitFor();
  // Over whichever of the buttons between a browser stops at.
  for (let press = 0; press < 4 && await focused(scene) !== "Refresh"; press++) await scene.page.keyboard.press("Shift+Tab");
  assert.equal(await focused(scene), "Refresh");
  await scene.part("ask").waitFor({ state: "hidden" });
  await scene.part("menu").waitFor({ state: "hidden" });
});

it("a press within a question, in a page that takes the focus for it, leaves it open", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  await scene.page.evaluate(() => (document.body.tabIndex = -1));
  await scene.openMenu();
  await scene.button("Disconnect").click();
  await scene.part("ask").locator(".message").click();
  await scene.part("ask").getByRole("button", { name: "Disconnect" }).click();
  await scene.button("Connect again").waitFor();
});

it("everything that can be pressed says of which calendar it is", async (test) => {
  const other = row({ id: "0190b000-0000-7000-8000-000000000002", calendar_id: "work@example.com" });
  const scene = await Scene.open(test, browser, { rows: [row(), other] });
  await scene.card(1).waitFor();
  const described = await scene.part("cards").locator("button:visible, summary:visible").evaluateAll((targets) =>
    targets.map((target) => {
      const calendar = target.getRootNode().getElementById(target.getAttribute("aria-describedby"));
      return `${target.textContent || target.ariaLabel}: ${calendar.textContent}`;
    }),
  );
  assert.deepEqual(described, [
    "Refresh: Primary calendar",
    "More: Primary calendar",
    "Details: Primary calendar",
    "Refresh: work@example.com",
    "More: work@example.com",
    "Details: work@example.com",
  ]);
});
