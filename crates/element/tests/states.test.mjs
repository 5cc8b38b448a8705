// Every state that the element can be in: what it says, by which role and in which colours; that axe finds nothing; and
// a picture of it, light and dark, narrow and from right to left, in crates/element/screenshots.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";

import { Scene, eventually, launch } from "./scene.mjs";
import { inDays, problem, row } from "./supabase.mjs";

const id = (number) => `0190b000-0000-7000-8000-0000000000${number}`;

const withoutPush = {
  status: "unsupported",
  webhook_error: "push_not_supported",
  webhook_error_reason: "pushNotSupportedForRequestedResource",
  calendar_id: "en.german#holiday@group.v.calendar.google.com",
  calendar_name: "Holidays in Germany",
  webhook_expiration: null,
  webhook_notified_at: null,
};

const befell = (event, days, values = {}) => ({ connection_id: row().id, at: inDays(days), event, reason: null, detail: null, ...values });

/** How each state comes about, and what shows it. */
const states = {
  loading: {
    faults: { calendar_connection_status: "hang" },
    sees: async (scene) => {
      assert.equal(await scene.part("summary").textContent(), "Loading…");
      assert.equal(await scene.part("panel").getAttribute("aria-busy"), "true");
    },
  },
  "signed-out": {
    signedIn: false,
    sees: async (scene) => {
      await scene.element.getByText("Sign in to see your calendar connection.").waitFor();
      assert.equal(await scene.element.getByRole("button").count(), 0);
    },
  },
  "not-connected": {
    sees: (scene) => scene.button("Connect Google Calendar").waitFor(),
  },
  "waiting-for-consent": {
    sees: async (scene) => {
      await scene.button("Connect Google Calendar").click();
      await scene.element.getByRole("status").getByText("Waiting for your consent at Google…").waitFor();
    },
  },
  "failed-to-load": {
    faults: { calendar_connection_status: { status: 503, body: { message: "no" } } },
    sees: async (scene) => {
      await scene.element.getByText("The server has a problem. Try again in a moment.").waitFor();
      await scene.element.getByRole("button").getByText("Try again").waitFor();
    },
  },
  "not-installed": {
    faults: { calendar_connection_status: { status: 404, body: { code: "PGRST205", message: "no such view" } } },
    sees: async (scene) => {
      await scene.element.getByText("that calendar connections are not set up yet.").waitFor();
      assert.equal(await scene.element.getByRole("button").count(), 0);
    },
  },
  active: card({ status: "active" }, "Connected", "Updates from Google arrive as they happen.", "Refresh", "good"),
  expiring: card(
    { status: "expiring", webhook_expiration: inDays(0.26) },
    "Updates end soon",
    "Updates still arrive, and the connection is renewed automatically.",
    "Refresh",
    "warning",
  ),
  expired: card(
    { status: "expired", webhook_expiration: inDays(-0.3) },
    "Updates stopped",
    "Press Refresh to start the updates again",
    "Refresh",
    "bad",
  ),
  unconfirmed: card({ status: "unconfirmed" }, "No updates yet", "that Google cannot reach it.", "Refresh", "warning"),
  "reconnect-required": card(
    { status: "reconnect_required", webhook_error: "reconnect_required" },
    "Reconnect needed",
    "Reconnect to give it again.",
    "Reconnect",
    "bad",
  ),
  "permission-missing": card(
    { status: "reconnect_required", webhook_error: "permission_missing" },
    "Reconnect needed",
    "tick the box for Google Calendar",
    "Reconnect",
    "bad",
  ),
  "blocked-by-policy": card(
    { status: "reconnect_required", webhook_error: "blocked_by_policy" },
    "Blocked",
    "Ask your administrator to allow it",
    "Try again",
    "bad",
  ),
  "no-calendar": card(
    { status: "unsupported", webhook_error: "no_calendar" },
    "Not available",
    "This Google account has no calendar.",
    "Connect another account",
    "bad",
  ),
  "looked-at": {
    rows: [row(withoutPush)],
    sees: async (scene) => {
      await card(withoutPush, "Every 15 minutes", "it is looked at every 15 minutes.", "Refresh", "good").sees(scene);
      await scene.element.getByText("Everything is up to date").waitFor();
      assert.equal(await scene.part("name").textContent(), "Holidays in Germany");
      assert.equal(await scene.part("sync").textContent(), "Up to date");
      assert.equal(await scene.part("last-sync").textContent(), "2 hours ago");
    },
  },
  history: {
    rows: [row({ calendar_id: "work@example.com", calendar_name: "Work", status: "reconnect_required", webhook_error: "reconnect_required", webhook_error_reason: "invalid_grant" })],
    events: [
      befell("connected", -9),
      befell("paused", -7),
      befell("resumed", -6),
      befell("broken", -5, { reason: "calendar_not_found", detail: "notFound" }),
      befell("healed", -4),
      befell("broken", -1, { reason: "reconnect_required", detail: "invalid_grant" }),
    ],
    sees: async (scene) => {
      await scene.element.getByText("Details").click();
      const words = () => scene.part("events").locator("dd").allTextContents();
      const expected = [
        "Stopped working: reconnect_required (invalid_grant)",
        "Works again",
        "Stopped working: calendar_not_found (notFound)",
        "Resumed",
        "Paused",
      ];
      await eventually(words, (words) => words.join() === expected.join(), "the newest first");
      await scene.part("details").getByText("reconnect_required (invalid_grant)", { exact: true }).waitFor();
      await scene.part("details").getByText("Last notification from Google").waitFor();
    },
  },
  "calendar-gone": card(
    { status: "unsupported", webhook_error: "calendar_not_found" },
    "Not available",
    "Google does not find this calendar",
    "Choose another calendar",
    "bad",
  ),
  paused: card({ status: "paused" }, "Paused", "Resume when you want them again.", "Resume", "muted"),
  disconnected: card({ status: "disconnected" }, "Disconnected", "Connect it again", "Connect again", "muted"),
  "not-set-up": {
    ...card(
      { status: "not_set_up", webhook_id: null },
      "Updates are off",
      "Google is not answering at the moment.",
      "Turn on updates",
      "warning",
    ),
    faults: { "setup-calendar-webhook": problem(502, "google_unavailable") },
  },
  "setting-up": {
    rows: [row({ status: "not_set_up", webhook_id: null, last_sync_at: null, webhook_expiration: null })],
    faults: { "setup-calendar-webhook": "hang" },
    sees: async (scene) => {
      await scene.card().getByText("Turning on updates from Google.").waitFor();
      assert.equal(await scene.card().locator('[part~="button"]').getAttribute("aria-busy"), "true");
      await scene.card().getByText("Never").waitFor();
    },
  },
  "sync-pending": {
    rows: [row({ sync_status: "pending" })],
    sees: async (scene) => {
      await scene.card().getByText("Syncing…").waitFor();
      await scene.element.getByText("Working on it…").waitFor();
    },
  },
  "sync-failing": card(
    { sync_status: "failing", sync_error: "recalculate_500" },
    "Not syncing",
    "Your latest changes are not applied yet.",
    "Refresh",
    "warning",
  ),
  "renewal-limited": card(
    { status: "expiring", webhook_expiration: inDays(0.2), webhook_error: "google_rate_limited" },
    "Updates end soon",
    "Google limits how often this app may ask.",
    "Refresh",
    "warning",
  ),
  "credentials-refused": card(
    { status: "expired", webhook_expiration: inDays(-1), webhook_error: "oauth_client_invalid" },
    "Updates stopped",
    "that Google does not accept its credentials.",
    "Refresh",
    "bad",
  ),
  refreshing: {
    rows: [row(), row({ id: id(12), calendar_id: "work@example.com" })],
    faults: { "refresh-calendar-webhook": "hang" },
    sees: async (scene) => {
      await scene.card(0).locator('[part~="button"]').click();
      await scene.card(0).getByRole("button", { name: "Refreshing…" }).waitFor();
      assert.equal(await scene.card(0).locator('[part~="button"]').getAttribute("aria-disabled"), "true");
      assert.equal(await scene.card(1).locator('[part~="button"]').getAttribute("aria-disabled"), "false");
    },
  },
  refreshed: {
    rows: [row()],
    sees: async (scene) => {
      await scene.card().locator('[part~="button"]').click();
      await scene.card().getByRole("status").getByText("Refreshed.").waitFor();
    },
  },
  "too-soon": {
    rows: [row()],
    faults: { "refresh-calendar-webhook": problem(429, "too_soon", { "retry-after": "30" }) },
    sees: async (scene) => {
      await scene.card().locator('[part~="button"]').click();
      await scene.card().getByRole("button", { name: /^Wait \d+ s$/ }).waitFor();
      await scene.card().getByRole("status").getByText("This was done a moment ago.").waitFor();
    },
  },
  "refresh-failed": {
    rows: [row()],
    faults: { "refresh-calendar-webhook": problem(500, "webhook_url_rejected") },
    sees: async (scene) => {
      await scene.card().locator('[part~="button"]').click();
      await scene.card().getByRole("status").getByText("that Google does not accept its address.").waitFor();
    },
  },
  offline: {
    rows: [row()],
    sees: async (scene) => {
      await scene.card().waitFor();
      await scene.context.setOffline(true);
      await scene.element.getByRole("status").getByText("You are offline.").waitFor();
      await scene.card().getByText("Connected", { exact: true }).waitFor();
      assert.equal(await scene.element.getByText("as they happen").count(), 0);
    },
  },
  "reconnect-while-failing": {
    rows: [row({ status: "reconnect_required", webhook_error: "reconnect_required", sync_status: "failing", sync_error: "recalculate_500" })],
    sees: async (scene) => {
      await scene.button("Reconnect").waitFor();
      const words = await scene.card().locator(".words").innerText();
      assert.equal(words.trim(), "Google no longer accepts your consent. Reconnect to give it again.");
      assert.equal(await scene.card().getByText("recalculate_500").isVisible(), false);
      await scene.element.getByText("Details").click();
      await scene.card().getByText("The app failed to apply the changes (recalculate_500)").waitFor();
    },
  },
  "session-ended": {
    rows: [row()],
    sees: async (scene) => {
      await scene.card().waitFor();
      scene.supabase.sessionsEnded = true;
      await scene.refresh();
      await scene.element.getByRole("status").getByText("Your session has ended. Sign in again to go on.").waitFor();
      await scene.card().getByText("Connected", { exact: true }).waitFor();
    },
  },
  "server-error": {
    rows: [row()],
    sees: async (scene) => {
      await scene.card().waitFor();
      scene.supabase.faults.calendar_connection_status = { status: 500, body: { message: "no" } };
      await scene.refresh();
      await scene.element.getByRole("status").getByText("The server has a problem.").waitFor();
      await scene.card().getByText("Connected", { exact: true }).waitFor();
    },
  },
  menu: {
    rows: [row({ calendar_name: "ada@example.com" }), row({ id: id(12), calendar_id: "work@example.com" })],
    sees: async (scene) => {
      await scene.openMenu();
      await scene.button("Pause").waitFor();
      await scene.button("Disconnect").waitFor();
    },
  },
  disconnecting: {
    rows: [row({ calendar_name: "ada@example.com" })],
    sees: async (scene) => {
      await scene.openMenu();
      await scene.button("Disconnect").click();
      await scene.element.getByRole("dialog", { name: "Disconnect ada@example.com?" }).waitFor();
      await scene.button("Keep connected").waitFor();
    },
  },
  several: {
    rows: [
      row(),
      row({ id: id(12), calendar_id: "work@example.com", status: "reconnect_required", webhook_error: "reconnect_required" }),
      row({ id: id(13), calendar_id: "a-rather-long-address-of-a-family-calendar@calendars.example.com", status: "paused" }),
      row({ id: id(14), calendar_id: "c_188@group.calendar.google.com", calendar_name: "Team" }),
      row({ id: id(15), calendar_id: "team@example.com", calendar_name: "Team" }),
      row({ id: id(16) }),
    ],
    sees: async (scene) => {
      await scene.element.getByText("Needs your attention").waitFor();
      await scene.element.getByText("Details").first().click();
      const names = await scene.part("name").allTextContents();
      const long = "a-rather-long-address-of-a-family-calendar@calendars.example.com";
      assert.deepEqual(names, ["work@example.com", "Primary calendar", "Team", "Team (2)", "Primary calendar (2)", long]);
      await scene.part("address").getByText("team@example.com").waitFor();
    },
  },
};

/** A state of one connection: its badge, what it says to do, its button and its tone. */
function card(values, badge, message, button, tone) {
  return {
    rows: [row(values)],
    sees: async (scene) => {
      await scene.part("badge").getByText(badge, { exact: true }).waitFor();
      await scene.card().getByText(message).waitFor();
      await scene.button(button).waitFor();
      const shown = await scene.part("badge").evaluate((badge) => ({
        color: getComputedStyle(badge).color,
        icon: badge.querySelector("use").getAttribute("href"),
      }));
      assert.ok(shown.icon, "the badge has a shape besides its colour");
      const variable = `--${tone}`;
      const expected = await scene.part("panel").evaluate((panel, variable) => {
        const probe = panel.appendChild(document.createElement("i"));
        probe.style.color = `var(${variable})`;
        const { color } = getComputedStyle(probe);
        probe.remove();
        return color;
      }, variable);
      assert.equal(shown.color, expected);
    },
  };
}

const looks = {
  light: { colorScheme: "light", width: 720 },
  dark: { colorScheme: "dark", width: 720 },
  narrow: { colorScheme: "light", width: 280 },
  phone: { colorScheme: "dark", width: 400 },
  wide: { colorScheme: "dark", width: 1200 },
  "right-to-left": { colorScheme: "light", width: 720, dir: "rtl" },
};

async function put(scene, { colorScheme, width, dir = "ltr" }) {
  await scene.page.emulateMedia({ colorScheme });
  // The page's own margins are 8 px.
  await scene.page.setViewportSize({ width: width + 16, height: 640 });
  await scene.page.evaluate((dir) => (document.documentElement.dir = dir), dir);
}

/** What does not fit into where it stands. */
function overflows(scene) {
  return scene.part("panel").evaluate((panel) => {
    const bounds = panel.getBoundingClientRect();
    const sticksOut = (node) => {
      const { left, right } = node.getBoundingClientRect();
      return left < bounds.left - 1 || right > bounds.right + 1;
    };
    const nodes = [...panel.querySelectorAll(":not(.spoken)")].filter((node) => node.getClientRects().length && sticksOut(node));
    return [...nodes.map((node) => node.outerHTML), ...(document.documentElement.scrollWidth > innerWidth ? ["page"] : [])];
  });
}

async function findings(page) {
  const { violations, incomplete } = await page.evaluate(() => axe.run());
  return [...violations, ...incomplete].map(
    ({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join("\n")}`,
  );
}

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

describe("in every state, in every look", { concurrency: 2 }, () => {
  for (const [name, { rows = [], events = [], faults = {}, signedIn = true, sees }] of Object.entries(states)) {
    it(`${name} is what it should be`, async (test) => {
      const scene = await Scene.open(test, browser, { rows: structuredClone(rows), events, signedIn, faults });
      await scene.page.addScriptTag({ url: "/axe.js" });
      await sees(scene);
      // Some of it is shown for seconds only, and has to be in every picture.
      await scene.page.clock.setFixedTime(Date.now());
      for (const [look, how] of Object.entries(looks)) {
        await put(scene, how);
        await scene.screenshot(`${name}-${look}`);
        assert.deepEqual(await overflows(scene), [], look);
        assert.deepEqual(await findings(scene.page), [], look);
      }
    });
  }
});

it("a page in the dark has a dark element, whatever the user prefers, and a light one a light one", async (test) => {
  const colour = async (preference, scheme) => {
    const scene = await Scene.open(test, browser, {
      rows: [row()],
      context: { colorScheme: preference },
      before: (scene) =>
        scene.page.evaluate((scheme) => (document.documentElement.style.colorScheme = scheme), scheme),
    });
    await scene.card().waitFor();
    const seen = await scene.part("panel").evaluate((panel) => getComputedStyle(panel).backgroundColor);
    return seen;
  };
  const [light, dark] = ["rgb(255, 255, 255)", "rgb(22, 24, 29)"];
  assert.equal(await colour("light", ""), light);
  assert.equal(await colour("dark", ""), dark);
  assert.equal(await colour("light", "dark"), dark);
  assert.equal(await colour("dark", "light"), light);
  assert.equal(await colour("dark", "light dark"), dark);
});

/** The panel's colour on a page with these styles, whose `<html>` and whose `<main>` have these attributes. */
async function colourWithin(test, { html = {}, main = {}, styles = "", preference = "light" }) {
  const scene = await Scene.open(test, browser, {
    rows: [row()],
    context: { colorScheme: preference },
    before: async (scene) => {
      if (styles) await scene.page.addStyleTag({ content: styles });
      await scene.page.evaluate(({ html, main }) => {
        for (const [name, value] of Object.entries(html)) document.documentElement.setAttribute(name, value);
        for (const [name, value] of Object.entries(main)) document.querySelector("main").setAttribute(name, value);
      }, { html, main });
    },
  });
  await scene.card().waitFor();
  return scene.part("panel").evaluate((panel) => getComputedStyle(panel).backgroundColor);
}

it("a theme's class or data-theme makes it as dark as the page, unless color-scheme is set nearer", async (test) => {
  const [light, dark] = ["rgb(255, 255, 255)", "rgb(22, 24, 29)"];
  const html = (attributes, rest = {}) => colourWithin(test, { html: attributes, ...rest });
  assert.equal(await html({ class: "dark" }), dark);
  assert.equal(await html({ class: "light" }, { preference: "dark" }), light);
  assert.equal(await html({ "data-theme": "dark" }), dark);
  assert.equal(await html({ "data-theme": "light" }, { preference: "dark" }), light);
  assert.equal(await html({ class: "dark" }, { styles: ":root { color-scheme: light dark; }" }), dark);
  assert.equal(await html({ "data-theme": "dracula" }, { styles: "[data-theme=dracula] { color-scheme: dark; }" }), dark);
  assert.equal(await html({ class: "light" }, { main: { class: "dark" } }), dark);
  assert.equal(await html({ class: "light" }, { main: { style: "color-scheme: dark" } }), dark);
});

/** What shadcn/ui writes into a new app's globals.css, in its default theme, and the mapping of crates/element/README.md. */
const shadcn = `
  :root {
    --radius: 0.625rem; --background: oklch(1 0 0); --foreground: oklch(0.145 0 0);
    --card: oklch(1 0 0); --card-foreground: oklch(0.145 0 0);
    --primary: oklch(0.205 0 0); --primary-foreground: oklch(0.985 0 0);
    --muted-foreground: oklch(0.556 0 0); --destructive: oklch(0.577 0.245 27.325); --border: oklch(0.922 0 0);
  }
  .dark {
    --background: oklch(0.145 0 0); --foreground: oklch(0.985 0 0);
    --card: oklch(0.205 0 0); --card-foreground: oklch(0.985 0 0);
    --primary: oklch(0.922 0 0); --primary-foreground: oklch(0.205 0 0);
    --muted-foreground: oklch(0.708 0 0); --destructive: oklch(0.704 0.191 22.216); --border: oklch(1 0 0 / 10%);
  }
  body { background: var(--background); color: var(--foreground); }
`;

it("shadcn/ui's variables theme it as its README says, light and dark", async (test) => {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const [mapping] = readme.match(/google-calendar-integration \{[^}]*--primary[^}]*\}/);
  for (const theme of ["light", "dark"]) {
    const scene = await Scene.open(test, browser, {
      rows: [row(), row({ id: id(12), status: "reconnect_required", webhook_error: "reconnect_required" })],
      before: async (scene) => {
        await scene.page.addStyleTag({ content: shadcn + mapping });
        await scene.page.evaluate((theme) => document.documentElement.classList.add(theme), theme);
      },
    });
    await scene.page.addScriptTag({ url: "/axe.js" });
    await scene.card(1).waitFor();
    const colours = await scene.part("panel").evaluate((panel) => {
      const probe = document.body.appendChild(document.createElement("i"));
      probe.style.background = "var(--card)";
      const seen = [getComputedStyle(panel).backgroundColor, getComputedStyle(probe).backgroundColor];
      probe.remove();
      return seen;
    });
    assert.equal(colours[0], colours[1], theme);
    await scene.screenshot(`shadcn-${theme}`);
    assert.deepEqual(await findings(scene.page), [], theme);
  }
});

it("no motion is shown to those who want none, and shapes survive forced colours", async (test) => {
  const scene = await Scene.open(test, browser, {
    rows: [row()],
    context: { reducedMotion: "reduce", forcedColors: "active" },
    faults: { "refresh-calendar-webhook": "hang" },
  });
  await scene.button("Refresh").click();
  const spinner = scene.card().locator(".spinner");
  await eventually(() => spinner.isVisible(), Boolean, "the spinner shows");
  assert.equal(await spinner.evaluate((spinner) => getComputedStyle(spinner).animationName), "none");
  assert.equal(await scene.part("badge").evaluate((badge) => getComputedStyle(badge).borderTopStyle), "solid");
  await scene.screenshot("forced-colors");
});
