// Two tabs of one user.

import assert from "node:assert/strict";
import { after, before, it } from "node:test";

import { Scene, launch } from "./scene.mjs";
import { row } from "./supabase.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

const within = (page) => page.locator("google-calendar-integration");

async function twoTabs(test, rows) {
  const scene = await Scene.open(test, browser, { rows });
  const second = await scene.newPage();
  await scene.mount(second);
  await within(second).getByRole("listitem").first().waitFor();
  return [scene, second];
}

it("what one tab has done the other shows as soon as it is looked at", async (test) => {
  const [scene, second] = await twoTabs(test, [row({ status: "expired" })]);
  await scene.page.bringToFront();
  await scene.button("Refresh").click();
  await scene.part("badge").getByText("Connected", { exact: true }).waitFor();
  await second.bringToFront();
  await second.evaluate(() => void window.dispatchEvent(new Event("focus")));
  await within(second).getByText("Connected", { exact: true }).waitFor();
});

it("signing out in one tab is noticed in the other", async (test) => {
  const [scene, second] = await twoTabs(test, [row()]);
  await scene.page.evaluate(() => client.auth.signOut());
  await within(second).getByText("You are signed out").waitFor();
});

it("two tabs that both find a connection without a channel set it up to one result", async (test) => {
  const [scene, second] = await twoTabs(test, [row()]);
  scene.supabase.rows[0].status = "not_set_up";
  const look = (page) => page.evaluate(() => document.querySelector("google-calendar-integration").refresh());
  await Promise.all([look(scene.page), look(second)]);
  await within(second).getByText("Connected", { exact: true }).waitFor();
  await scene.part("badge").getByText("Connected", { exact: true }).waitFor();
  for (const page of [scene.page, second]) await scene.atRest(page);
  assert.ok(scene.supabase.calledWith("setup-calendar-webhook").length <= 2, "each tab asks once at the most");
});
