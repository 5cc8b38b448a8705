// Slow, failing and absent networks, and servers that refuse.

import assert from "node:assert/strict";
import { after, before, it } from "node:test";

import { Scene, eventually, launch } from "./scene.mjs";
import { row } from "./supabase.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

it("a slow answer is waited for, and shown when it comes", async (test) => {
  let release;
  const faults = { calendar_connection_status: () => new Promise((resolve) => (release = resolve)) };
  const scene = await Scene.open(test, browser, { rows: [row()], faults });
  await eventually(() => release, Boolean, "it asks");
  await scene.element.getByText("Loading…").waitFor();
  release(undefined);
  await scene.card().waitFor();
  assert.equal(await scene.part("panel").getAttribute("aria-busy"), "false");
});

it("an answer that never comes is given up, and asked for again", async (test) => {
  const faults = { calendar_connection_status: "hang" };
  const scene = await Scene.open(test, browser, { rows: [row()], faults, clock: true });
  await eventually(() => scene.supabase.reads, (reads) => reads === 1, "it asks");
  await scene.page.clock.fastForward(21_000);
  await scene.element.getByText("The server cannot be reached.").waitFor();
  scene.supabase.faults = {};
  await scene.pass(5_000);
  await scene.card().waitFor();
});

it("a session that cannot be told is given up on as well", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()], clock: true });
  await scene.card().waitFor();
  await scene.page.evaluate(() => {
    const stuck = { getSession: () => new Promise(() => {}), onAuthStateChange: () => ({ data: {} }) };
    document.querySelector("google-calendar-integration").client = { auth: stuck, from() {} };
  });
  await scene.page.clock.fastForward(21_000);
  await scene.element.getByText("The server cannot be reached.").waitFor();
});

it("a function that hangs leaves its button usable in the end", async (test) => {
  const faults = { "refresh-calendar-webhook": "hang" };
  const scene = await Scene.open(test, browser, { rows: [row()], faults, clock: true });
  await scene.button("Refresh").click();
  await scene.button("Refreshing…").waitFor();
  await scene.page.clock.fastForward(76_000);
  await scene.card().getByRole("status").getByText("The server cannot be reached.").waitFor();
  await scene.button("Refresh").waitFor();
});

it("Try again asks at once", async (test) => {
  const faults = { calendar_connection_status: { status: 500, body: "no" } };
  const scene = await Scene.open(test, browser, { rows: [row()], faults, clock: true });
  await scene.element.getByText("The server has a problem.").waitFor();
  await scene.stopClock();
  scene.supabase.faults = {};
  await scene.button("Try again").click();
  await scene.card().waitFor();
});

it("failures are asked again after longer and longer pauses, and nothing that was shown goes away", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()], clock: true });
  await scene.card().waitFor();
  scene.supabase.faults = { calendar_connection_status: { status: 503, body: "no" } };
  await scene.stopClock();
  let expected = 2;
  assert.equal(scene.supabase.reads, expected);
  for (const pause of [4_000, 8_000, 16_000, 30_000]) {
    assert.match(await scene.part("notice").textContent(), /^The server has a problem\./);
    await scene.pass(pause - 100);
    assert.equal(scene.supabase.reads, expected, `not before ${pause} ms`);
    await scene.pass(200);
    assert.equal(scene.supabase.reads, ++expected, `after ${pause} ms`);
  }
  await scene.part("badge").getByText("Connected", { exact: true }).waitFor();
  scene.supabase.faults = {};
  await scene.refresh();
  assert.equal(await scene.part("notice").textContent(), "");
});

it("offline is said, hides nothing, and ends as soon as the network is back", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  await scene.card().waitFor();
  await scene.context.setOffline(true);
  await scene.part("notice").getByText("You are offline.").waitFor();
  await scene.button("Refresh").click();
  await scene.card().getByRole("status").getByText("You are offline. Try again when you are back online.").waitFor();
  scene.supabase.rows[0].status = "expired";
  await scene.context.setOffline(false);
  await scene.part("badge").getByText("Updates stopped").waitFor();
  assert.equal(await scene.part("notice").textContent(), "");
});

it("a setup that met no network is made when there is one", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [] });
  await scene.button("Connect Google Calendar").waitFor();
  await scene.page.route("**/functions/v1/**", (route) => route.abort());
  scene.supabase.rows = [row({ status: "not_set_up", webhook_id: null })];
  await scene.refresh();
  await scene.card().getByRole("status").getByText("The server cannot be reached.").waitFor();
  await scene.page.unroute("**/functions/v1/**");
  await scene.page.evaluate(() => void window.dispatchEvent(new Event("online")));
  await scene.part("badge").getByText("Connected", { exact: true }).waitFor();
});

it("a session that the functions refuse is said on the card", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  await scene.card().waitFor();
  scene.supabase.faults["refresh-calendar-webhook"] = {
    status: 401,
    body: { error: { code: "unauthenticated", message: "no" } },
  };
  await scene.button("Refresh").click();
  await scene.card().getByRole("status").getByText("Your session has ended.").waitFor();
});

it("errors without a body that can be read are told by their status", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  await scene.card().waitFor();
  for (const [status, words] of [[546, "The server has a problem."], [404, "Tell the people who run this app"], [500, "The server has a problem."]]) {
    scene.supabase.faults["refresh-calendar-webhook"] = { status, type: "text/html", body: "<h1>no</h1>" };
    await scene.button("Refresh").click();
    await scene.card().getByRole("status").getByText(words).waitFor();
  }
});
