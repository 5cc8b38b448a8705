// The whole story through the page, in Chromium: nobody clicks anything, and the sessions make room.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { openScene } from "./scene.mjs";

/** A day in the middle of the week, wherever it begins. */
const DAY = 3;

let scene;
before(async () => {
  scene = await openScene();
});
after(() => scene?.close());

test("an event that is drawn over a session moves it, and the page tells when", async (t) => {
  const grace = await scene.newcomer();
  await grace.signUp("grace@example.com");

  await t.test("the element offers to connect, and is up to date after the consent", async () => {
    await grace.connect();
    assert.match(await grace.told.textContent(), /^Connected\./);
    assert.equal(new URL(grace.page.url()).search, "", "the outcome does not stay in the address");
  });

  await t.test("a session that is drawn with the mouse is there", async () => {
    await grace.draw("Session", DAY, 10, 11);
    await grace.block(/^Session .* 10:00 to 11:00$/).waitFor();
  });

  await t.test("an event over it moves it out of the way", async () => {
    await grace.draw("Event", DAY, 9.5, 10.5);
    await grace.block(/^Event Dentist, .* 9:30 to 10:30$/).waitFor();
    await grace.block(/^Session .* 10:30 to 11:30, gave way, wanted at 10:00$/).waitFor();
    assert.match(await grace.followed(), /^1 session moved \d+\.\d+ s after the change\b/);
    const steps = await grace.page.locator("#steps li").allTextContents();
    for (const step of ["Event added", "Google stored it", "Google notified", "Recalculated", "Sessions moved"]) {
      assert.equal(steps.filter((text) => text.startsWith(step)).length, 1, `${step} in ${steps}`);
    }
    await grace.shot("story-moved");
  });

  await t.test("moving the event with the keyboard moves the session on", async () => {
    const event = grace.block(/^Event Dentist/);
    await event.focus();
    await event.press("ArrowDown");
    await event.press("ArrowDown");
    await grace.block(/^Event Dentist, .* 10:00 to 11:00$/).waitFor();
    await grace.block(/^Session .* 11:00 to 12:00, gave way, wanted at 10:00$/).waitFor();
    await grace.followed();
  });

  await t.test("deleting the event lets the session return", async () => {
    await grace.block(/^Event Dentist/).press("Delete");
    await grace.block(/^Session .* 10:00 to 11:00$/).waitFor();
    assert.equal(await grace.block(/^Event/).count(), 0);
  });

  await t.test("Enter adds an event where the keyboard is", async () => {
    const cursor = grace.page.locator(".cursor");
    await cursor.focus();
    await cursor.press("ArrowUp");
    const label = await cursor.getAttribute("aria-label");
    await cursor.press("Enter");
    const event = grace.block(/^Event Lunch with Grace/);
    await event.waitFor();
    assert.ok((await event.getAttribute("aria-label")).includes(label.replace("Add at ", "")), label);
    await event.press("Delete");
    await event.waitFor({ state: "detached" });
  });

  await t.test("a second user sees nothing of it", async () => {
    const bob = await scene.newcomer();
    await bob.continueAs("Bob");
    await bob.integration.getByRole("button", { name: "Connect Google Calendar" }).waitFor();
    await bob.connect();
    await bob.draw("Event", DAY, 14, 15);
    await bob.followed();
    assert.equal(await bob.block(/^Session/).count(), 0);
    assert.equal(await bob.block(/^Event/).count(), 1);
    assert.deepEqual(bob.failed, [], "the console of somebody who has just come shows no failing request");
    await grace.looks();
    assert.equal(await grace.block(/^Event/).count(), 0);
    await bob.context.close();
  });

  await t.test("Start over clears the week", async () => {
    await grace.button("Start over").click();
    await grace.page.getByText("All sessions and events are gone.").waitFor();
    await grace.page.locator(".block").first().waitFor({ state: "detached" });
  });

  await t.test("no token of Google's has reached the page, and the browser had no complaint", async () => {
    // Beginnings of the fake Google's tokens, as of the real one's.
    const received = await grace.received();
    const secrets = received.filter(({ body }) => /ya29\.|1\/\/0/.test(body));
    assert.deepEqual(secrets.map(({ url }) => url), []);
    assert.ok(received.some(({ url }) => url.includes("/app/calendar/events")));
    assert.deepEqual(grace.complaints, []);
  });
});

// Users of their own, also because many changes in a row of one user are gathered, and the tests would wait.
test("with the mouse an event is made longer and moved to another day", async () => {
  const hal = await scene.newcomer();
  await hal.signUp("hal@example.com");
  await hal.connect();
  await hal.draw("Session", DAY, 10, 11);
  await hal.draw("Event", DAY, 9, 10);
  const { x, y, width, height } = await hal.boxOf(/^Event Dentist/);
  const handle = { x: x + width / 2, y: y + height - 3 };
  await hal.drag(handle, { x: handle.x, y: (await hal.pointAt(DAY, 11.5)).y });
  await hal.block(/^Event Dentist, .* 9:00 to 11:30$/).waitFor();
  await hal.block(/^Session .* 11:30 to 12:30, gave way/).waitFor();

  await hal.drag(await hal.pointAt(DAY, 10.5), await hal.pointAt(DAY + 1, 12.5));
  await hal.block(/^Event Dentist, .* 11:00 to 13:30$/).waitFor();
  await hal.block(/^Session .* 10:00 to 11:00$/).waitFor();
  await hal.context.close();
});

test("a finger that rests first draws an event, and one that does not scrolls", async () => {
  const fay = await scene.newcomer({ hasTouch: true });
  await fay.signUp("fay@example.com");
  await fay.connect();
  const devtools = await fay.context.newCDPSession(fay.page);
  const touch = (type, ...touchPoints) => devtools.send("Input.dispatchTouchEvent", { type, touchPoints });
  const draw = async (rest) => {
    const [from, to] = [await fay.pointAt(DAY, 9.1), await fay.pointAt(DAY, 10.9)];
    const start = touch("touchStart", from);
    if (rest) await fay.page.waitForTimeout(rest);
    // A finger that does not rest is not kept waiting for answers, which a busy machine may give too late.
    const half = touch("touchMove", { x: to.x, y: (from.y + to.y) / 2 });
    await Promise.all([start, half, touch("touchMove", to), touch("touchEnd")]);
  };
  await draw(0);
  assert.equal(await fay.block(/^Event/).count(), 0);
  await fay.page.locator("#week .scroller").evaluate((scroller) => void (scroller.scrollTop = 0));
  await draw(700);
  await fay.block(/^Event Dentist, .* 9:00 to 11:00$/).waitFor();
  await fay.context.close();
});

test("Escape takes a drag back", async () => {
  const may = await scene.newcomer();
  await may.signUp("may@example.com");
  await may.draw("Session", DAY, 10, 11);
  const session = /^Session .* 10:00 to 11:00$/;
  const place = await may.boxOf(session);
  const from = await may.pointAt(DAY, 10.5);
  const to = await may.pointAt(DAY + 1, 12.5);
  await may.page.mouse.move(from.x, from.y);
  await may.page.mouse.down();
  await may.page.mouse.move(to.x, to.y);
  await may.page.locator(".block.held").waitFor();
  await may.page.keyboard.press("Escape");
  await may.page.locator(".block.held").waitFor({ state: "detached" });
  await may.page.mouse.up();
  assert.deepEqual(await may.boxOf(session), place);
  await may.context.close();
});

test("in a second window of the same user the session moves too", async () => {
  const here = await scene.newcomer();
  await here.signUp("two@example.com");
  await here.connect();
  await here.draw("Session", DAY, 10, 11);
  const there = await here.anotherWindow();
  await there.page.getByLabel("E-mail").fill("two@example.com");
  await there.button("Sign in").click();
  await there.block(/^Session .* 10:00 to 11:00$/).waitFor();
  await there.isConnected();

  await here.draw("Event", DAY, 9.5, 10.5);
  await here.block(/^Session .* 10:30 to 11:30, gave way/).waitFor();
  await there.block(/^Session .* 10:30 to 11:30, gave way/).waitFor();
  assert.deepEqual(there.complaints, []);
  await here.context.close();
});
