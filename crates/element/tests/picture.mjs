// Makes crates/element/picture.png, the picture of README.md and crates/element/README.md: node
// crates/element/tests/picture.mjs

import { fileURLToPath } from "node:url";

import { launch } from "./scene.mjs";
import { Supabase, row } from "./supabase.mjs";

const now = Date.parse("2026-11-16T09:30:00Z");
const at = (minutes) => new Date(now + minutes * 60_000).toISOString();

const supabase = await Supabase.start();
supabase.rows = [
  row({ calendar_name: "ada@example.com", last_sync_at: at(-2), webhook_expiration: at(28 * 1440) }),
  row({
    id: "0190b000-0000-7000-8000-000000000002",
    calendar_id: "c_188@group.calendar.google.com",
    calendar_name: "Team",
    status: "paused",
    last_sync_at: at(-74),
  }),
  row({
    id: "0190b000-0000-7000-8000-000000000003",
    calendar_id: "work@example.com",
    status: "reconnect_required",
    webhook_error: "reconnect_required",
    last_sync_at: at(-2900),
  }),
];
const browser = await launch();
const context = await browser.newContext({ viewport: { width: 1180, height: 800 }, deviceScaleFactor: 1, timezoneId: "UTC" });
const page = await context.newPage();
await page.clock.setFixedTime(now);
await page.goto(supabase.url);
await page.addStyleTag({
  content: `body { margin: 0; }
    main { display: grid; grid-template-columns: 1fr 1fr; }
    google-calendar-integration { padding: 20px; background: #eef0f3; }
    google-calendar-integration.dark { background: #0b0c0f; }
    google-calendar-integration::part(details) { display: none; }
    h1 { display: none; }`,
});
await page.evaluate(async () => {
  await client.auth.signInWithPassword({ email: "ada@example.com", password: "secret" });
  for (const [scheme, lang] of [["light", "en"], ["dark", "de"]]) Object.assign(mount(), { className: scheme, lang });
});
for (const name of ["Reconnect", "Neu verbinden"]) await page.getByRole("button", { name }).waitFor();
const clip = await page.locator("main").boundingBox();
const path = fileURLToPath(new URL("../picture.png", import.meta.url));
await page.screenshot({ path, clip });
await browser.close();
await supabase.stop();
