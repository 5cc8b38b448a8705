// What the element does: by itself, when its buttons are pressed, and when the page speaks with it.

import assert from "node:assert/strict";
import { after, before, it } from "node:test";

import { Scene, eventually, launch } from "./scene.mjs";
import { firstEdition, inDays, people, problem, row } from "./supabase.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

const notSetUp = (values) => row({ status: "not_set_up", webhook_id: null, webhook_expiration: null, ...values });
const work = (values) => row({ id: "0190b000-0000-7000-8000-000000000002", calendar_id: "work@example.com", ...values });

const setUps = (scene) => scene.supabase.calledWith("setup-calendar-webhook");
const refreshes = (scene) => scene.supabase.calledWith("refresh-calendar-webhook");
const setTexts = (scene, texts) =>
  scene.page.evaluate((texts) => void (document.querySelector("google-calendar-integration").texts = texts), texts);

it("Connect asks the page for consent, and what then appears is set up without a click", async (test) => {
  const scene = await Scene.open(test, browser);
  await scene.button("Connect Google Calendar").click();
  const [asked] = await scene.events("calendar-connect");
  const { detail, ...flags } = asked;
  assert.deepEqual(detail, { connection_id: null, reason: "connect" });
  assert.deepEqual(flags, { name: "calendar-connect", cancelable: true, bubbles: true, composed: true });

  scene.supabase.rows = [notSetUp()];
  await scene.card().getByText("Updates are on.").waitFor();
  await scene.part("badge").getByText("Connected", { exact: true }).waitFor();
  await scene.atRest();
  assert.deepEqual(setUps(scene), [scene.supabase.rows[0].id]);
});

it("a page that prevents the default says itself what is going on", async (test) => {
  const scene = await Scene.open(test, browser);
  await scene.page.evaluate(() => addEventListener("calendar-connect", (event) => event.preventDefault()));
  await scene.button("Connect Google Calendar").click();
  assert.equal((await scene.events("calendar-connect")).length, 1);
  assert.equal(await scene.element.getByText("Waiting for your consent").count(), 0);
  scene.supabase.rows = [notSetUp()];
  await scene.part("badge").getByText("Connected", { exact: true }).waitFor();
  await scene.atRest();
  assert.equal(setUps(scene).length, 1);
});

it("Reconnect names its connection, and the new consent is set up once", async (test) => {
  const rows = [row(), work({ status: "reconnect_required", webhook_error: "reconnect_required" })];
  const scene = await Scene.open(test, browser, { rows });
  await scene.button("Reconnect").click();
  const [asked] = await scene.events("calendar-connect");
  assert.deepEqual(asked.detail, { connection_id: rows[1].id, reason: "reconnect" });
  await scene.card(1).getByText("Waiting for your consent at Google…").waitFor();
  Object.assign(rows[1], { status: "expired", webhook_error: null });
  await scene.card(1).getByText("Updates are on.").waitFor();
  await scene.atRest();
  assert.deepEqual(setUps(scene), [rows[1].id]);
});

it("the page is told what the user is sent to Google for", async (test) => {
  const rows = [row()];
  const scene = await Scene.open(test, browser, { rows });
  for (const [status, webhook_error, button, reason] of [
    ["reconnect_required", "reconnect_required", "Reconnect", "reconnect"],
    ["reconnect_required", "permission_missing", "Reconnect", "permission_missing"],
    ["unsupported", "calendar_not_found", "Choose another calendar", "choose_calendar"],
    ["unsupported", "no_calendar", "Connect another account", "add"],
    ["disconnected", null, "Connect again", "reconnect"],
  ]) {
    Object.assign(rows[0], { status, webhook_error });
    // In a page of its own, or what is asked for next would be what the user comes back from.
    await scene.page.evaluate(() => {
      sessionStorage.clear();
      events.length = 0;
      document.querySelector("google-calendar-integration").remove();
    });
    await scene.mount();
    await scene.button(button).click();
    const [{ detail }] = await scene.events("calendar-connect");
    assert.deepEqual(detail, { connection_id: rows[0].id, reason });
  }
});

it("a page that was left for the consent sets up what it comes back with, once", async (test) => {
  const rows = [row({ status: "reconnect_required", webhook_error: "reconnect_required" })];
  const scene = await Scene.open(test, browser, { rows });
  await scene.button("Reconnect").click();
  await scene.page.reload();
  // Not before: the page that is left looks too while it waits.
  Object.assign(rows[0], { status: "active", webhook_error: null });
  await scene.mount();
  await scene.card().getByText("Updates are on.").waitFor();
  await scene.page.reload();
  await scene.mount();
  await scene.card().waitFor();
  await scene.refresh();
  await scene.atRest();
  assert.deepEqual(setUps(scene), [rows[0].id]);
});

it("a host that says it is back has the connection set up, whatever the view still says", async (test) => {
  const rows = [row({ status: "reconnect_required", webhook_error: "reconnect_required" })];
  const scene = await Scene.open(test, browser, { rows });
  await scene.button("Reconnect").click();
  await scene.refresh();
  await scene.card().getByText("Updates are on.").waitFor();
  await scene.atRest();
  assert.deepEqual(setUps(scene), [rows[0].id]);
});

it("a setup that fails is not tried again and again, but when the user asks", async (test) => {
  const faults = { "setup-calendar-webhook": problem(502, "google_unavailable") };
  const scene = await Scene.open(test, browser, { rows: [notSetUp()], faults, clock: true });
  await scene.card().getByText("Google is not answering at the moment.").waitFor();
  await scene.stopClock();
  const before = scene.supabase.reads;
  for (let looks = 1; looks <= 3; looks++) {
    await scene.pass(31_000);
    assert.equal(scene.supabase.reads, before + looks, "it goes on looking");
  }
  assert.equal(setUps(scene).length, 1);
  scene.supabase.faults = {};
  await scene.button("Turn on updates").click();
  await scene.part("badge").getByText("Connected", { exact: true }).waitFor();
  await scene.atRest();
  assert.equal(setUps(scene).length, 2);
});

it("Refresh asks for its connection alone, is busy meanwhile, and leaves the others usable", async (test) => {
  let answer;
  const rows = [row({ status: "expired" }), work()];
  const faults = {
    "refresh-calendar-webhook": ({ connection_id }) =>
      connection_id === rows[0].id ? new Promise((resolve) => (answer = resolve)) : undefined,
  };
  const scene = await Scene.open(test, browser, { rows, faults });
  const [first, second] = [scene.card(0).locator('[part~="button"]'), scene.card(1).locator('[part~="button"]')];
  await first.click();
  await scene.card(0).getByRole("button", { name: "Refreshing…" }).waitFor();
  await first.click({ force: true });
  await second.click();
  await scene.card(1).getByText("Refreshed.").waitFor();
  assert.equal(await first.getAttribute("aria-busy"), "true");
  await eventually(() => answer, Boolean, "the first Refresh is on its way");
  answer(undefined);
  await scene.card(0).getByText("Refreshed.").waitFor();
  await scene.card(0).getByText("Connected", { exact: true }).waitFor();
  await scene.atRest();
  assert.deepEqual(refreshes(scene).sort(), [rows[0].id, rows[1].id]);
});

it("too many requests count down on their own button until it may be pressed again", async (test) => {
  const faults = { "refresh-calendar-webhook": problem(429, "too_soon", { "retry-after": "12" }) };
  const scene = await Scene.open(test, browser, { rows: [row(), work()], faults, clock: true });
  await scene.card(1).waitFor();
  await scene.stopClock();
  const button = scene.card(0).locator('[part~="button"]');
  await button.click();
  await scene.card(0).getByRole("button", { name: "Wait 12 s" }).waitFor();
  assert.equal(await scene.card(1).locator('[part~="button"]').textContent(), "Refresh");
  await scene.pass(8_000);
  assert.equal(await button.textContent(), "Wait 4 s");
  await button.click({ force: true });
  await scene.atRest();
  assert.equal(refreshes(scene).length, 1, "a button that waits does nothing");
  scene.supabase.faults = {};
  await scene.pass(4_000);
  await scene.card(0).getByRole("button", { name: "Refresh", exact: true }).click();
  await scene.card(0).getByText("Refreshed.").waitFor();
});

it("without a Retry-After the countdown starts at half a minute", async (test) => {
  const faults = { "refresh-calendar-webhook": problem(429, "too_soon") };
  const scene = await Scene.open(test, browser, { rows: [row()], faults, clock: true });
  await scene.card().waitFor();
  await scene.stopClock();
  await scene.button("Refresh").click();
  await scene.button("Wait 30 s").waitFor();
});

it("it looks every 30 seconds, every 2 while a sync is pending, and not at all while hidden", async (test) => {
  const rows = [row()];
  const scene = await Scene.open(test, browser, { rows, clock: true });
  await scene.card().waitFor();
  await scene.atRest();
  const haveBeen = (looks) => assert.equal(scene.supabase.reads, looks, "looks");
  haveBeen(1);
  await scene.stopClock();
  haveBeen(2);
  await scene.pass(29_000);
  haveBeen(2);
  rows[0].sync_status = "pending";
  await scene.pass(1_100);
  haveBeen(3);
  await scene.card().getByText("Syncing…").waitFor();
  rows[0].sync_status = "idle";
  await scene.pass(1_900);
  haveBeen(3);
  await scene.pass(200);
  haveBeen(4);
  await scene.card().getByText("Up to date").waitFor();

  const show = (visibility) =>
    scene.page.evaluate((visibility) => {
      Object.defineProperty(document, "visibilityState", { value: visibility, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, visibility);
  await show("hidden");
  await scene.pass(120_000);
  haveBeen(4);
  await show("visible");
  await scene.atRest();
  haveBeen(5);
  await scene.page.evaluate(() => void window.dispatchEvent(new Event("focus")));
  await scene.atRest();
  haveBeen(6);
});

it("refresh() resolves when what the server knew at the time of the call is shown", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  await scene.card().waitFor();
  let release;
  scene.supabase.faults.calendar_connection_status = () => new Promise((resolve) => (release = resolve));
  const stale = scene.refresh();
  await eventually(() => release, Boolean, "the first look is on its way");
  scene.supabase.faults = {};
  scene.supabase.rows[0].status = "paused";
  // In an object, so that what is waited for here is the call alone.
  const fresh = await scene.element.evaluateHandle((element) => ({ shown: element.refresh() }));
  release({ body: [row()] });
  await stale;
  await fresh.evaluate(({ shown }) => shown);
  assert.equal(await scene.part("badge").textContent(), "Paused");
});

it("refresh() resolves no earlier where what a button did overtakes the list", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row({ status: "paused" })] });
  await scene.button("Resume").waitFor();
  let resume, list;
  scene.supabase.faults = {
    calendar_connections: () => new Promise((resolve) => (resume = resolve)),
    calendar_connection_status: () => new Promise((resolve) => (list = resolve)),
  };
  await scene.button("Resume").click();
  await eventually(() => resume, Boolean, "Resume is on its way");
  scene.supabase.rows.push(work());
  const shown = scene.element.evaluate(async (element) => {
    await element.refresh();
    return [...element.shadowRoot.querySelectorAll("[part~=badge]")].map((badge) => badge.textContent);
  });
  await eventually(() => list, Boolean, "the list is on its way");
  scene.supabase.faults = {};
  resume(undefined);
  await scene.card().getByText("Resumed.").waitFor();
  list({ body: [row({ status: "paused" })] });
  assert.deepEqual(await shown, ["Connected", "Connected"]);
});

it("the page is told of every change, and of nothing else", async (test) => {
  const rows = [row()];
  const scene = await Scene.open(test, browser, { rows });
  await scene.card().waitFor();
  await scene.refresh();
  Object.assign(rows[0], { status: "expired" });
  await scene.refresh();
  const told = await scene.events("calendar-status-change");
  assert.deepEqual(told.map(({ detail }) => detail.connections.map(({ status }) => status)), [["active"], ["expired"]]);
  const { user_id, webhook_id, ...shown } = rows[0];
  assert.deepEqual(told[1].detail.connections, [shown]);
  assert.equal(told[1].cancelable, false);
  assert.ok(told[1].bubbles && told[1].composed);
});

it("texts are replaced one by one, in place, and what they lack stays English", async (test) => {
  const faults = { "refresh-calendar-webhook": problem(429, "too_soon", { "retry-after": "20" }) };
  const scene = await Scene.open(test, browser, { rows: [row()], faults, clock: true });
  await scene.button("Refresh").waitFor();
  await scene.stopClock();
  await setTexts(scene, { refresh: "Aktualisieren", wait: "Noch {seconds} s", nonsense: "x", title: 5 });
  await scene.button("Aktualisieren").click();
  await scene.card().getByRole("button", { name: "Noch 20 s" }).waitFor();
  await scene.part("badge").getByText("Connected", { exact: true }).waitFor();
  assert.equal(await scene.part("title").textContent(), "Google Calendar");
  await setTexts(scene, null);
  await scene.card().getByRole("button", { name: "Wait 20 s" }).waitFor();
});

it("dates come with the exact time on hover and unfolded", async (test) => {
  const at = inDays(-2 / 24);
  const scene = await Scene.open(test, browser, { rows: [row({ last_sync_at: at })] });
  const shown = scene.part("last-sync");
  await shown.getByText("2 hours ago").waitFor();
  const moment = (language) =>
    new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(at));
  assert.equal(await shown.getAttribute("title"), moment("en"));
  assert.equal(await shown.getAttribute("datetime"), at);
  await scene.element.getByText("Details").click();
  await scene.part("details").getByText(moment("en")).waitFor();
});

it("a database of the first edition, without names, notifications and events, is shown as it is", async (test) => {
  const rows = [
    row({ calendar_id: "work@example.com" }),
    work({ calendar_id: "holidays@example.com", status: "unsupported", webhook_error: "push_not_supported" }),
  ];
  const scene = await Scene.open(test, browser, { rows: rows.map(firstEdition), events: null });
  await scene.card(1).getByText("Choose another one.").waitFor();
  assert.deepEqual(await scene.part("name").allTextContents(), ["work@example.com", "holidays@example.com"]);
  const details = scene.card(0).getByText("Details");
  for (let times = 0; times < 3; times++) {
    await details.click();
    await scene.atRest();
  }
  await scene.card(0).getByText("Renews by").last().waitFor();
  assert.equal(await scene.part("history", scene.card(0)).isVisible(), false);
  assert.equal(await scene.element.getByText("Last notification").count(), 0);
  assert.equal(scene.supabase.eventReads, 1, "what is not there is asked for once");
  const [told] = await scene.events("calendar-status-change");
  const { calendar_name, webhook_error_reason, webhook_notified_at } = told.detail.connections[0];
  assert.deepEqual([calendar_name, webhook_error_reason, webhook_notified_at], [null, null, null]);
});

it("what befell a connection is read when its details are unfolded, and again when there may be news", async (test) => {
  const rows = [row(), work()];
  const at = (event, connection = rows[0]) => ({ connection_id: connection.id, at: inDays(-1), event, reason: null, detail: null });
  const events = [at("connected"), at("connected", rows[1]), at("paused", rows[1])];
  const scene = await Scene.open(test, browser, { rows, events });
  await scene.card(0).waitFor();
  await scene.refresh();
  assert.equal(scene.supabase.eventReads, 0);
  const shown = () => scene.part("events", scene.card(0)).locator("dd").allTextContents();
  await scene.card(0).getByText("Details").press("Enter");
  await eventually(shown, (shown) => shown.join() === "Connected", "its own events alone");
  await scene.refresh();
  await scene.atRest();
  assert.equal(scene.supabase.eventReads, 1, "nothing has happened");
  events.push(at("paused"));
  rows[0].status = "paused";
  await scene.refresh();
  await eventually(shown, (shown) => shown.join() === "Paused,Connected", "the news is shown");
  await scene.card(0).getByText("Details").press("Enter");
  rows[0].status = "active";
  await scene.refresh();
  await scene.atRest();
  assert.equal(scene.supabase.eventReads, 2, "nobody looks");
});

it("refreshing a calendar without push is a success: it is looked at", async (test) => {
  const rows = [row({ status: "unsupported", webhook_error: "push_not_supported" })];
  const faults = { "refresh-calendar-webhook": problem(422, "push_not_supported") };
  const scene = await Scene.open(test, browser, { rows, faults });
  await scene.button("Refresh").click();
  await scene.card().getByText("Refreshed.").waitFor();
});

it("nothing jumps when the connection has been loaded, or when a result comes and goes", { timeout: 120_000 }, async (test) => {
  const widths = { en: [280, 320, 360, 400, 480, 520, 720, 960, 1000, 1200], de: [360, 400, 480, 520, 720, 1000, 1200] };
  for (const language of ["es", "fr", "it", "ja", "pt"]) widths[language] = [400, 520, 720, 1000, 1200];
  for (const [language, those] of Object.entries(widths)) {
    let release;
    const scene = await Scene.open(test, browser, {
      rows: [row()],
      faults: { calendar_connection_status: () => new Promise((resolve) => (release = resolve)) },
      before: (scene) => scene.page.evaluate((language) => void (document.documentElement.lang = language), language),
    });
    const height = () => scene.part("panel").evaluate((panel) => panel.getBoundingClientRect().height);
    const heights = async () => {
      const seen = [];
      for (const width of those) {
        await scene.page.setViewportSize({ width: width + 16, height: 800 });
        seen.push(await height());
      }
      return seen;
    };
    await eventually(() => release, Boolean, "it asks");
    const loading = await heights();
    scene.supabase.faults = {};
    release(undefined);
    await scene.card().waitFor();
    const loaded = await heights();
    for (const [at, width] of those.entries()) {
      assert.ok(Math.abs(loaded[at] - loading[at]) <= 2, `${language}, ${width}: ${loading[at]} px become ${loaded[at]}`);
    }
    await scene.part("button", scene.card()).click();
    await scene.card().locator(".result.good").waitFor();
    assert.equal(await height(), loaded.at(-1));
    assert.equal(await scene.part("message").first().isVisible(), false, "one thing at a time");
  }
});

it("the page's language and colour scheme are followed as soon as they change", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()], context: { colorScheme: "light" } });
  await scene.part("last-sync").getByText("2 hours ago").waitFor();
  await scene.page.evaluate(() => void (document.documentElement.lang = "de"));
  await scene.part("last-sync").getByText("vor 2 Stunden").waitFor();
  await scene.page.addStyleTag({ content: ".dark { color-scheme: dark; }" });
  await scene.page.evaluate(() => void document.documentElement.classList.add("dark"));
  const colour = () => scene.part("panel").evaluate((panel) => getComputedStyle(panel).backgroundColor);
  await eventually(colour, (colour) => colour === "rgb(22, 24, 29)", "it is dark");
  await scene.page.evaluate(() => void document.documentElement.classList.remove("dark"));
  await eventually(colour, (colour) => colour === "rgb(255, 255, 255)", "it is light");
});

it("focus and what is unfolded outlive every look", async (test) => {
  const rows = [row(), work()];
  const scene = await Scene.open(test, browser, { rows });
  await scene.card(1).getByText("Details").click();
  await scene.card(1).locator('[part~="button"]').focus();
  Object.assign(rows[1], { status: "expired", last_sync_at: inDays(-1) });
  rows.push(row({ id: "0190b000-0000-7000-8000-000000000003", calendar_id: "zoo@example.com" }));
  await scene.refresh();
  await scene.card(1).getByText("Press Refresh").waitFor();
  assert.equal(await scene.card(1).locator("details").evaluate((details) => details.open), true);
  assert.equal(await scene.card(1).locator('[part~="button"]').evaluate((button) => button.matches(":focus")), true);
  assert.equal(await scene.element.getByRole("heading", { level: 3 }).count(), 3);
});

it("a card stays what it is when another goes, and when they change places", async (test) => {
  const [first, second] = [row(), work()];
  const scene = await Scene.open(test, browser, { rows: [first, second] });
  const card = scene.element.getByRole("listitem").filter({ hasText: "work@example.com" });
  await card.getByText("Details").click();
  await card.locator('[part~="button"]').focus();
  const isUnchanged = async () => {
    assert.equal(await card.locator("details").evaluate((details) => details.open), true);
    assert.equal(await card.locator('[part~="button"]').evaluate((button) => button.matches(":focus")), true);
  };
  scene.supabase.rows = [second, first];
  await scene.refresh();
  assert.equal(await scene.card(0).getByRole("heading").textContent(), "work@example.com");
  await isUnchanged();
  scene.supabase.rows = [first, second];
  await scene.refresh();
  await isUnchanged();
  second.status = "expired";
  scene.supabase.rows = [second];
  await scene.refresh();
  assert.equal(await scene.element.getByRole("heading", { level: 3 }).count(), 1);
  await isUnchanged();
  await scene.element.getByRole("status").getByText("work@example.com: Updates stopped.").waitFor();
});

it("a focused button that vanishes leaves the focus in the element", async (test) => {
  const scene = await Scene.open(test, browser);
  await scene.button("Connect Google Calendar").click();
  scene.supabase.rows = [row()];
  await scene.card().waitFor();
  assert.equal(await scene.part("title").evaluate((title) => title.matches(":focus")), true);
});

it("a page that hears the focus go while a card is taken away may set everything", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row(), work()] });
  const takeFocused = async (handler) => {
    await scene.card(1).locator('[part~="button"]').focus();
    await scene.element.evaluate(handler);
    scene.supabase.rows = [row()];
    await scene.refresh();
    scene.supabase.rows = [row(), work()];
  };
  await takeFocused((element) =>
    element.addEventListener("focusout", () => (element.texts = { refresh: "Aktualisieren" }), { once: true }),
  );
  assert.equal(await scene.card(0).locator('[part~="button"]').textContent(), "Aktualisieren");
  await scene.refresh();
  await takeFocused((element) =>
    element.addEventListener("focusout", () => (element.client = null), { once: true }),
  );
  await scene.element.getByText("Loading…").waitFor();
});

it("what has changed by itself is spoken", async (test) => {
  const rows = [row()];
  const scene = await Scene.open(test, browser, { rows });
  await scene.card().waitFor();
  rows[0].status = "expired";
  await scene.refresh();
  const spoken = scene.element.getByRole("status").getByText("Primary calendar: Updates stopped. Press Refresh");
  await spoken.waitFor();
});

it("a session that ends, and another that begins, are noticed at once", async (test) => {
  const rows = [row(), work({ user_id: people.bob.id, calendar_id: "bob@example.com" })];
  const scene = await Scene.open(test, browser, { rows });
  await scene.part("name").getByText("Primary calendar").waitFor();
  await scene.page.evaluate(() => client.auth.signOut());
  await scene.element.getByText("You are signed out").waitFor();
  assert.equal(await scene.element.getByRole("listitem").count(), 0);
  await scene.signIn("bob@example.com");
  await scene.part("name").getByText("bob@example.com").waitFor();
  await scene.signIn("ada@example.com");
  await scene.part("name").getByText("Primary calendar").waitFor();
  assert.equal(await scene.element.getByText("bob@example.com").count(), 0);
});

it("signing in again ends the trouble of a session that has ended", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()], clock: true });
  await scene.card().waitFor();
  await scene.stopClock();
  scene.supabase.sessionsEnded = true;
  await scene.refresh();
  await scene.part("notice").getByText("Your session has ended.").waitFor();
  scene.supabase.sessionsEnded = false;
  await scene.signIn("ada@example.com");
  await eventually(() => scene.part("notice").textContent(), (notice) => notice === "", "the notice goes");
});

it("a client may come late, go, and be another", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  await scene.card().waitFor();
  const setClient = (which) =>
    scene.page.evaluate((which) => {
      const clients = { none: null, same: client, throwing: { from: () => JSON.parse("{") } };
      document.querySelector("google-calendar-integration").client = clients[which];
    }, which);
  await setClient("none");
  await scene.element.getByText("Loading…").waitFor();
  await setClient("throwing");
  await scene.element.getByText("The server cannot be reached.").waitFor();
  await setClient("same");
  await scene.card().waitFor();
});

it("a page may take the client away as soon as it hears that the user is gone", async (test) => {
  const scene = await Scene.open(test, browser, {
    rows: [row()],
    before: (scene) =>
      scene.page.evaluate(() => {
        client.auth.onAuthStateChange((event) => {
          if (event === "SIGNED_OUT") document.querySelector("google-calendar-integration").client = null;
        });
      }),
  });
  await scene.card().waitFor();
  await scene.page.evaluate(() => client.auth.signOut({ scope: "local" }));
  await scene.element.getByText("Loading…").waitFor();
});

it("who forgets the client is told on the console and by the panel, and nobody else", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()], clock: true });
  await scene.card().waitFor();
  const warnings = [];
  scene.page.on("console", (message) => message.type() === "warning" && warnings.push(message.text()));
  await scene.page.clock.fastForward(6_000);
  await scene.page.evaluate(() => void (mount().client = null));
  await scene.element.nth(1).getByText("Loading…").waitFor();
  await scene.page.clock.fastForward(6_000);
  assert.deepEqual(warnings, []);
  await scene.page.clock.fastForward(6_000);
  await eventually(() => warnings, ({ length }) => length === 1, "it is told");
  assert.match(warnings[0], /element\.client = supabase/);
  await scene.element.nth(1).getByText("that it is not completely set up.").waitFor();
  await scene.page.evaluate(() => void (document.querySelectorAll("google-calendar-integration")[1].client = client));
  await scene.element.nth(1).getByRole("button", { name: "Refresh" }).waitFor();
});

it("what is no client is named on the console, the panel says that the app is not set up, and a client mends it", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  await scene.card().waitFor();
  const errors = [];
  scene.page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  const give = (client) => scene.page.evaluate(`document.querySelector("google-calendar-integration").client = ${client}`);
  await give("{}");
  await scene.element.getByText("that it is not completely set up.").waitFor();
  assert.equal(await scene.element.getByRole("button").count(), 0);
  assert.match(errors.join(), /`client` has to be what createClient\(\) of supabase-js returns/);
  await give("client");
  await scene.part("badge").getByText("Connected", { exact: true }).waitFor();
});

it("a client that brings its own tokens works without Supabase Auth", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  await scene.card().waitFor();
  await scene.page.evaluate(async () => {
    const { data } = await client.auth.getSession();
    const accessToken = async () => data.session.access_token;
    const own = supabase.createClient(location.origin, "sb_publishable_test", { accessToken });
    document.querySelector("google-calendar-integration").client = own;
  });
  await scene.card().waitFor();
  await scene.button("Refresh").click();
  await scene.card().getByText("Refreshed.").waitFor();
});

it("Resume switches syncing on again", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row({ status: "paused" })] });
  await scene.button("Resume").click();
  await scene.card().getByText("Resumed.").waitFor();
  await scene.part("badge").getByText("Connected", { exact: true }).waitFor();
  assert.deepEqual(scene.supabase.calledWith("calendar_connections"), [{ sync_enabled: true }]);
});

it("Pause and Disconnect write the row, and the menu closes", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  await scene.openMenu();
  await scene.button("Pause").click();
  await scene.part("badge").getByText("Paused", { exact: true }).waitFor();
  await scene.part("menu").waitFor({ state: "hidden" });
  await scene.openMenu();
  assert.equal(await scene.button("Pause").count(), 0, "it is paused");
  await scene.button("Disconnect").click();
  await scene.button("Keep connected").click();
  await scene.part("menu").waitFor({ state: "hidden" });
  await scene.openMenu();
  await scene.button("Disconnect").click();
  await scene.part("ask").getByRole("button", { name: "Disconnect" }).click();
  await scene.part("badge").getByText("Disconnected", { exact: true }).waitFor();
  await scene.atRest();
  assert.deepEqual(scene.supabase.calledWith("calendar_connections"), [{ sync_enabled: false }, { is_active: false }]);
  const told = [...(await scene.events("calendar-pause")), ...(await scene.events("calendar-disconnect"))];
  assert.deepEqual(told.map(({ detail, cancelable }) => [detail.connection_id, cancelable]), [[row().id, true], [row().id, true]]);
});

it("what is disconnected is removed when the user says so twice", async (test) => {
  const rows = [row({ status: "disconnected" }), row({ ...work(), status: "active" })];
  const scene = await Scene.open(test, browser, { rows });
  const removed = scene.element.locator(`[data-id="${row().id}"]`);
  await removed.getByRole("button", { name: "More" }).click();
  await removed.getByRole("button", { name: "Remove" }).click();
  await scene.button("Keep").click();
  assert.equal(scene.supabase.rows.length, 2);
  await removed.getByRole("button", { name: "More" }).click();
  await removed.getByRole("button", { name: "Remove" }).click();
  await scene.element.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await removed.waitFor({ state: "detached" });
  assert.deepEqual(scene.supabase.rows.map(({ id }) => id), [work().id]);
  const [{ detail, cancelable }] = await scene.events("calendar-remove");
  assert.deepEqual([detail, cancelable], [{ connection_id: row().id }, true]);
});

it("a question that is open stays what it is, whatever becomes of the connection", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  await scene.openMenu();
  await scene.button("Disconnect").click();
  scene.supabase.rows[0].status = "disconnected";
  await scene.refresh();
  await scene.part("ask").getByRole("button", { name: "Disconnect" }).click();
  await scene.atRest();
  assert.equal(scene.supabase.rows.length, 1);
  assert.deepEqual(await scene.events("calendar-remove"), []);
});

it("a page that prevents it pauses, resumes, disconnects and removes by its own means", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  await scene.page.evaluate(() => {
    for (const choice of ["pause", "resume", "disconnect", "remove"]) addEventListener(`calendar-${choice}`, (event) => event.preventDefault());
  });
  await scene.openMenu();
  await scene.button("Pause").click();
  scene.supabase.rows[0].status = "paused";
  await scene.refresh();
  await scene.button("Resume").click();
  await scene.openMenu();
  await scene.button("Disconnect").click();
  await scene.part("ask").getByRole("button", { name: "Disconnect" }).click();
  scene.supabase.rows[0].status = "disconnected";
  await scene.refresh();
  await scene.openMenu();
  await scene.button("Remove").click();
  await scene.part("ask").getByRole("button", { name: "Remove" }).click();
  await scene.atRest();
  assert.deepEqual(scene.supabase.calls, []);
  assert.equal(scene.supabase.rows.length, 1);
  for (const choice of ["pause", "resume", "disconnect", "remove"]) {
    const [{ detail }] = await scene.events(`calendar-${choice}`);
    assert.deepEqual(detail, { connection_id: row().id });
  }
});

it("another account is asked for, and waited for until it shows", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  await scene.button("Add another account").click();
  const [{ detail }] = await scene.events("calendar-connect");
  assert.deepEqual(detail, { connection_id: null, reason: "add" });
  await scene.part("add-result").getByText("Waiting for your consent at Google…").waitFor();
  scene.supabase.rows.push(notSetUp({ id: work().id, calendar_id: "work@example.com" }));
  await scene.card(1).getByText("Updates are on.").waitFor();
  assert.equal(await scene.part("add-result").textContent(), "");
});

it("a host that does not let users resume is told apart from success", async (test) => {
  const faults = { calendar_connections: { status: 403, body: { code: "42501", message: "permission denied" } } };
  const scene = await Scene.open(test, browser, { rows: [row({ status: "paused" })], faults });
  await scene.button("Resume").click();
  await scene.card().getByRole("status").getByText("Tell the people who run this app").waitFor();
  await scene.button("Resume").waitFor();
});

it("an element that is moved keeps what it shows", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  await scene.element.getByText("Details").click();
  const reads = scene.supabase.reads;
  await scene.page.evaluate(() => {
    const aside = document.body.appendChild(document.createElement("aside"));
    aside.append(document.querySelector("google-calendar-integration"));
  });
  await scene.page.waitForFunction(() => document.querySelector("aside > google-calendar-integration"));
  await scene.atRest();
  assert.equal(await scene.part("details").evaluate((details) => details.open), true);
  assert.equal(scene.supabase.reads, reads);
  await scene.button("Refresh").click();
  await scene.card().getByText("Refreshed.").waitFor();
});

it("an element that is taken out and put in again starts anew", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  await scene.card().waitFor();
  await scene.page.evaluate(async () => {
    const element = document.querySelector("google-calendar-integration");
    element.remove();
    await element.refresh();
    document.querySelector("main").append(element);
  });
  await scene.card().waitFor();
  assert.equal(await scene.element.getByRole("listitem").count(), 1);
});

it("custom properties and parts theme it", async (test) => {
  const scene = await Scene.open(test, browser, {
    rows: [row({ status: "expired" })],
    before: (scene) =>
      scene.page.addStyleTag({
        content: `google-calendar-integration { --calendar-accent: rgb(120, 20, 120); --calendar-radius: 2px; }
          google-calendar-integration::part(card expired) { background: rgb(255, 250, 240); }`,
      }),
  });
  const style = (locator, property) => locator.evaluate((node, property) => getComputedStyle(node)[property], property);
  assert.equal(await style(scene.button("Refresh"), "backgroundColor"), "rgb(120, 20, 120)");
  assert.equal(await style(scene.part("panel"), "borderTopLeftRadius"), "2px");
  assert.equal(await style(scene.part("card"), "backgroundColor"), "rgb(255, 250, 240)");
});
