// What can go wrong, and how the page looks while it does.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { openScene } from "./scene.mjs";

const DAY = 3;

let scene;
before(async () => {
  scene = await openScene();
});
after(() => scene?.close());

test("a paused calendar is not followed until it is resumed", async () => {
  const ada = await scene.newcomer();
  await ada.continueAs("Ada");
  await ada.connect();
  await ada.draw("Session", DAY, 10, 11);
  await ada.button("Pause").click();
  await ada.integration.getByText("Paused", { exact: true }).waitFor();

  await ada.draw("Event", DAY, 9.5, 10.5);
  await ada.page.locator('#outcome[data-outcome="not watched"]').waitFor();
  await ada.block(/^Session .* 10:00 to 11:00$/).waitFor();
  await ada.shot("paused");

  await ada.page.locator(".controls").getByRole("button", { name: "Resume" }).click();
  await ada.isConnected();
  await ada.block(/^Session .* 10:30 to 11:30, gave way/).waitFor();
  await ada.context.close();
});

test("after the consent is revoked the element asks to reconnect, and everything follows again", async () => {
  const eve = await scene.newcomer();
  await eve.signUp("eve@example.com");
  await eve.connect();
  await eve.draw("Event", DAY, 9, 10);
  await eve.followed();

  await eve.button("Access is revoked at Google").click();
  await eve.problem.getByText("Google no longer lets this app see the calendar.").waitFor();
  await eve.block(/^Event/).waitFor();
  await eve.button("Weeks pass").click();
  await eve.integration.getByText("Reconnect needed", { exact: true }).waitFor();
  await eve.shot("reconnect");

  await eve.agree("Reconnect");
  await eve.draw("Session", DAY, 11, 12);
  await eve.draw("Event", DAY, 10.5, 11.5);
  await eve.block(/^Session .* 11:30 to 12:30, gave way/).waitFor();
  await eve.context.close();
});

test("a channel near its end is renewed by a sweep", async () => {
  const mia = await scene.newcomer();
  await mia.signUp("mia@example.com");
  await mia.connect();
  const channels = async () => {
    const all = await (await fetch(`${scene.google}/control/channels?email=mia@example.com`)).json();
    return all.map(({ state }) => state);
  };
  assert.deepEqual(await channels(), ["live"]);
  await mia.button("Weeks pass").click();
  for (const deadline = Date.now() + 60_000; (await channels()).join() !== "stopped,live";) {
    assert.ok(Date.now() < deadline, `the channels are ${await channels()}`);
    await mia.page.waitForTimeout(100);
  }
  await mia.isConnected();
  await mia.context.close();
});

test("a channel that Google has forgotten is noticed by a look and replaced", async () => {
  const ida = await scene.newcomer();
  await ida.signUp("ida@example.com");
  await ida.connect();
  await ida.draw("Session", DAY, 10, 11);
  await ida.button("Google forgets the channel").focus();
  await ida.page.keyboard.press("Enter");
  await ida.told.getByText("Google has forgotten the channel, and nobody was told.").waitFor();

  await ida.draw("Event", DAY, 9.5, 10.5);
  await ida.page.locator('#outcome[data-outcome="silence"]').waitFor();
  await ida.block(/^Session .* 10:00 to 11:00$/).waitFor();
  await ida.shot("silence");
  assert.equal(await ida.followed(), "Google said nothing; a look found the change, and 1 session moved. Another channel was opened: Google notifies again.");
  await ida.block(/^Session .* 10:30 to 11:30, gave way/).waitFor();
  await ida.shot("missed");
  const steps = await ida.page.locator("#steps li").allTextContents();
  assert.deepEqual(steps.map((step) => step.replace(/(\+|≤)?\s*\d.*$/, "").trim()), [
    "Event added", "Google stored it", "Hours later: a look is due", "The look found it",
  ]);
  const channels = await (await fetch(`${scene.google}/control/channels?email=ida@example.com`)).json();
  assert.deepEqual(channels.map(({ forgotten }) => forgotten), [true, false]);
  await ida.told.getByText("The forgotten channel was replaced.").waitFor();

  await ida.block(/^Event Dentist/).press("Delete");
  await ida.block(/^Session .* 10:00 to 11:00$/).waitFor();
  assert.match(await ida.followed(), /^1 session moved/);
  await ida.isConnected();
  assert.deepEqual(ida.complaints, []);
  await ida.context.close();
});

test("an app that writes to the calendar is run twice at most, and then there is silence", async () => {
  const uma = await scene.newcomer();
  await uma.signUp("uma@example.com");
  await uma.connect();
  await uma.button("Plan five sessions").click();
  await uma.block(/^Session Deep work/).waitFor();
  const events = async () => {
    const { items } = await (await fetch(`${scene.google}/calendar/v3/calendars/primary/events`, {
      headers: { authorization: `Bearer ${(await grant()).access_token}` },
    })).json();
    return items.map(({ summary }) => summary).toSorted();
  };
  const grant = async () => (await fetch(`${scene.google}/control/accounts`, {
    method: "POST",
    body: JSON.stringify({ email: "uma@example.com" }),
  })).json();

  for (const [press, said, outcome] of [
    ["The app writes to the calendar", "In every run the app now deletes its sessions",
      /Google notified \d+ times, the app was run (once|twice); then silence/],
    ["The app writes only what changes", "The app now writes a session to the calendar only where", /nothing was written: silence/],
  ]) {
    await uma.button(press).click();
    await uma.told.getByText(said).waitFor();
    await uma.told.getByText("silence").waitFor();
    assert.match(await uma.told.textContent(), outcome);
    assert.equal((await events()).length, 5);
    await uma.block(/^Session Deep work, .*, also in Google Calendar$/).waitFor();
    assert.equal(await uma.block(/^Event/).count(), 0, "what the app has written is shown once");
  }
  await uma.shot("written");

  await uma.button("The app writes nothing").click();
  await uma.told.getByText("The app has taken its sessions out of the calendar").waitFor();
  assert.deepEqual(await events(), []);
  await uma.block(/^Session Deep work, .* 16:00$/).waitFor();
  await uma.button("The app writes to the calendar").waitFor();
  assert.deepEqual(uma.complaints, []);
  await uma.context.close();
});

test("a disconnected calendar can be connected again", async () => {
  const ann = await scene.newcomer();
  await ann.signUp("ann@example.com");
  await ann.connect();
  await ann.button("Disconnect").click();
  await ann.integration.getByText("Disconnected", { exact: true }).waitFor();
  await ann.agree("Connect again");
  await ann.context.close();
});

test("somebody who says no at Google is not connected", async () => {
  const tom = await scene.newcomer();
  await tom.signUp("tom@example.com");
  await tom.integration.getByRole("button", { name: "Connect Google Calendar" }).click();
  await tom.page.getByRole("button", { name: "Deny" }).click();
  await tom.page.getByText("Google was told no").waitFor();
  await tom.integration.getByRole("button", { name: "Connect Google Calendar" }).waitFor();
  await tom.context.close();
});

test("a consent counts once, and only for the user who asked for it", async () => {
  const kim = await scene.newcomer();
  await kim.signUp("kim@example.com");
  await kim.integration.getByRole("button", { name: "Connect Google Calendar" }).click();
  await kim.page.getByRole("button", { name: "Allow" }).waitFor();
  // As the button would, but as far as the redirect only, which an attacker could have somebody else follow.
  const form = new URL(kim.page.url()).searchParams;
  form.set("email", "kim@example.com");
  form.set("decision", "allow");
  const agreed = await fetch(kim.page.url(), { method: "POST", body: form, redirect: "manual" });
  const callback = agreed.headers.get("location");
  assert.ok(new URL(callback).searchParams.get("state").length >= 32);

  const victim = await scene.newcomer();
  await victim.page.goto(callback);
  await victim.continueAs("Bob");
  await victim.page.getByText("That consent was asked for too long ago, or by somebody else.").waitFor();
  await victim.context.close();

  await kim.page.goto(callback);
  await kim.isConnected();
  await kim.page.goto(callback);
  await kim.page.getByText("Google did not complete the consent.").waitFor();
  await kim.isConnected();

  // What was signed cannot be changed.
  const forged = new URL(callback);
  forged.searchParams.set("state", forged.searchParams.get("state").replace(/^./, (first) => first === "e" ? "f" : "e"));
  await kim.page.goto(forged.href);
  await kim.page.getByText("That consent was asked for too long ago").waitFor();
  await kim.context.close();
});

test("what was said of the connection is taken away when it is no longer so", async () => {
  const pat = await scene.newcomer();
  await pat.signUp("pat@example.com");
  await pat.connect();
  await pat.page.locator(".controls").getByRole("button", { name: "Pause" }).click();
  await pat.integration.getByText("Paused", { exact: true }).waitFor();
  await pat.told.getByText("Paused: nothing is recalculated until you resume.").waitFor();
  await pat.draw("Event", DAY, 9, 10);
  await pat.page.locator('#outcome[data-outcome="not watched"]').waitFor();
  await pat.integration.getByRole("button", { name: "Resume" }).click();
  await pat.isConnected();
  await pat.page.locator("#outcome:not([data-outcome])").waitFor();
  assert.equal(await pat.told.textContent(), "");
  await pat.context.close();
});

test("Add takes the next hour with nothing on it, and nothing moves when its story is told", async () => {
  const ada = await scene.newcomer({ viewport: { width: 1440, height: 1000 } });
  await ada.signUp("add@example.com");
  await ada.connect();
  // The cursor stands at the hour at which the page is loaded.
  await ada.page.clock.setFixedTime(new Date(new Date().setHours(9, 30, 0, 0)));
  await ada.page.reload();
  await ada.isConnected();
  const week = () => ada.page.locator("#week").evaluate((week) => week.getBoundingClientRect().top);
  const top = await week();
  await ada.button("Add").click();
  await ada.block(/^Event Dentist/).waitFor();
  await ada.button("Add").click();
  await ada.block(/^Event Lunch with Grace/).waitFor();
  assert.ok(Math.abs(await week() - top) <= 1, `the week was at ${top}, and is at ${await week()}`);
  const hours = async (name) => /(\d+:\d+) to (\d+:\d+)/.exec(await ada.block(name).getAttribute("aria-label"));
  const [, , endOfFirst] = await hours(/^Event Dentist/);
  const [, startOfSecond] = await hours(/^Event Lunch with Grace/);
  assert.equal(startOfSecond, endOfFirst);
  await ada.context.close();
});

test("Google lets somebody choose the account who wants to add another, and nobody else", async () => {
  const ned = await scene.newcomer();
  await ned.signUp("ned@example.com");
  const asks = async (button) => {
    await ned.integration.getByRole("button", { name: button }).click();
    await ned.page.getByRole("button", { name: "Allow" }).waitFor();
    return new URL(ned.page.url()).searchParams;
  };
  const first = await asks("Connect Google Calendar");
  assert.deepEqual([first.get("prompt"), first.get("login_hint")], ["consent", "ned@example.com"]);
  await ned.page.getByRole("button", { name: "Allow" }).click();
  await ned.page.waitForURL(ned.url);
  await ned.isConnected();
  const another = await asks("Add another account");
  assert.deepEqual([another.get("prompt"), another.get("login_hint")], ["select_account consent", null]);
  await ned.context.close();
});

test("while the app's own function fails or Google is down, a change is not lost: it is caught up with", { timeout: 240_000 }, async () => {
  const [sue, joe] = [await scene.newcomer(), await scene.newcomer()];
  for (const [user, email] of [[sue, "sue@example.com"], [joe, "joe@example.com"]]) {
    await user.signUp(email);
    await user.connect();
    await user.draw("Session", DAY, 10, 11);
  }
  const top = () => joe.page.locator("#week").evaluate((week) => week.getBoundingClientRect().top + scrollY);
  const before = await top();
  await sue.button("Your function fails for 30 s").click();
  await sue.told.getByText("For 30 seconds").waitFor();
  await joe.button("Google’s API is down for 30 s").click();
  await joe.problem.getByText("Google’s Calendar API does not answer.").waitFor();
  assert.ok(Math.abs(await top() - before) <= 1, "the week does not move");
  for (const user of [sue, joe]) {
    await user.draw("Event", DAY, 9.5, 10.5);
    await user.page.locator('#outcome[data-outcome="failing"]').waitFor();
    await user.integration.getByText("Not syncing", { exact: true }).waitFor();
  }
  await joe.shot("outage");
  for (const user of [sue, joe]) {
    await user.block(/^Session .* 10:30 to 11:30, gave way/).waitFor({ timeout: 90_000 });
    await user.isConnected();
  }
  await sue.told.getByText("Your recalculate-schedule works again.").waitFor();
  await joe.page.waitForFunction(() => document.getElementById("calendar-problem").textContent === "");
  await Promise.all([sue, joe].map((user) => user.context.close()));
});

test("without a connection sessions are planned, and what does not work is said where the eye is", async () => {
  const max = await scene.newcomer();
  await max.signUp("max@example.com");
  await max.button("Plan five sessions").click();
  await max.block(/^Session/).first().waitFor();
  assert.deepEqual(max.failed, [], "nothing is asked that cannot be answered");
  await max.button("Add").click();
  await max.outcome.getByText("That did not work: connect a calendar first.").waitFor();
  await max.context.close();
});

test("a user who has disconnected can still plan sessions", async () => {
  const amy = await scene.newcomer();
  await amy.signUp("amy@example.com");
  await amy.connect();
  await amy.button("Disconnect").click();
  await amy.integration.getByText("Disconnected", { exact: true }).waitFor();
  await amy.draw("Session", DAY, 10, 11);
  await amy.block(/^Session .* 10:00 to 11:00$/).waitFor();
  await amy.looks();
  assert.doesNotMatch(`${await amy.outcome.textContent()} ${await amy.told.textContent()}`, /That did not work/);
  await amy.context.close();
});

test("a wrong password is refused in words", async () => {
  const lee = await scene.newcomer();
  await lee.page.getByLabel("E-mail").fill("lee@example.com");
  await lee.page.getByLabel("Password").fill("not the password");
  await lee.button("Sign in").click();
  await lee.page.getByRole("alert").getByText("Nobody has this address and password here yet. Press “Sign up”").waitFor();
  await lee.context.close();
});

test("no route of the backend answers somebody who is not signed in", async () => {
  const anonymous = await (await fetch(`${scene.url}app/configuration`)).json();
  for (const [method, path] of [
    ["GET", "calendar/events?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z"],
    ["POST", "calendar/events"],
    ["DELETE", "calendar/events"],
    ["PATCH", "calendar/events/some"],
    ["DELETE", "calendar/events/some"],
    ["GET", "sessions/runs"],
    ["GET", "sessions/host-writes"],
    ["POST", "sessions/host-writes"],
    ["POST", "faults/revoke"],
    ["POST", "faults/old-channel"],
    ["POST", "faults/forgotten-channel"],
    ["POST", "faults/look"],
    ["POST", "faults/outage"],
    ["DELETE", "faults/outage"],
    ["POST", "faults/recalculate"],
  ]) {
    for (const token of [null, anonymous.supabaseKey, "e30.e30.e30"]) {
      const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
      const body = ["POST", "PATCH"].includes(method) ? "{}" : undefined;
      const { status } = await fetch(`${scene.url}app/${path}`, { method, headers, body });
      assert.equal(status, 401, `${method} ${path} with ${token}`);
    }
  }
});

test("files outside the page are not served, and every answer forbids what the page does not need", async () => {
  for (const path of ["page/../Cargo.toml", "page/%2e%2e/Cargo.toml", "page/..%2fCargo.toml", "page/none.js"]) {
    assert.equal((await fetch(scene.url + path)).status, 404, path);
  }
  for (const path of ["", "page/main.js", "app/configuration", "app/calendar/events"]) {
    const { headers } = await fetch(scene.url + path);
    assert.match(headers.get("content-security-policy") ?? "", /default-src 'none'/, path);
    assert.doesNotMatch(headers.get("content-security-policy"), /unsafe-inline|unsafe-eval(?<!wasm-unsafe-eval)/);
    assert.equal(headers.get("referrer-policy"), "no-referrer");
  }
});

test("somebody who comes by another name of this machine is sent to the one that Google knows", async () => {
  const answer = await fetch(scene.url.replace("127.0.0.1", "localhost"), { redirect: "manual" });
  assert.equal(answer.status, 303);
  assert.equal(new URL(answer.headers.get("location")).href, scene.url);
});
