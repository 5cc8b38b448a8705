// A small Supabase that answers as Auth, PostgREST and the functions do, and a page with the element and the real
// supabase-js in front of it.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

const repository = new URL("../../../", import.meta.url);
/** What the element loads beside itself. */
const besides = /^\/(module|texts\.\w+)\.js$/;
const files = {
  "/element.js": new URL("crates/element/package/google-calendar-integration.js", repository),
  "/supabase.js": new URL("scripts/node_modules/@supabase/supabase-js/dist/umd/supabase.js", repository),
  "/axe.js": new URL("scripts/node_modules/axe-core/axe.min.js", repository),
};

const ada = { id: "0190a000-0000-7000-8000-00000000000a", email: "ada@example.com", aud: "authenticated" };
const bob = { id: "0190a000-0000-7000-8000-00000000000b", email: "bob@example.com", aud: "authenticated" };

function token(user) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: user.id, exp: 4102444800 })}.signature`;
}

function session(user) {
  const expires_at = Math.floor(Date.now() / 1000) + 3600;
  return { access_token: token(user), token_type: "bearer", expires_in: 3600, expires_at, refresh_token: user.id, user };
}

export const problem = (status, code, headers = {}) => ({ status, headers, body: { error: { code, message: code } } });

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Settings</title>
<link rel="icon" href="data:,">
<script src="/supabase.js"></script>
<script type="module" src="/element.js"></script>
<body>
<main><h1>Settings</h1></main>
<script>
  const client = supabase.createClient(location.origin, "sb_publishable_test");
  const events = [];
  for (const name of ["calendar-connect", "calendar-pause", "calendar-resume", "calendar-disconnect", "calendar-remove", "calendar-status-change"]) {
    addEventListener(name, (event) => events.push({ name, detail: event.detail, cancelable: event.cancelable, bubbles: event.bubbles, composed: event.composed }));
  }
  function mount() {
    const element = document.createElement("google-calendar-integration");
    element.client = client;
    document.querySelector("main").append(element);
    return element;
  }
</script>
`;

const DAY = 86_400_000;
export const inDays = (days) => new Date(Date.now() + days * DAY).toISOString();

/** A row of the view, of Ada's. */
export function row(values = {}) {
  return {
    id: "0190b000-0000-7000-8000-000000000001",
    user_id: ada.id,
    calendar_id: null,
    calendar_name: null,
    status: "active",
    webhook_id: "channel",
    webhook_notified_at: inDays(-3 / 24),
    webhook_expiration: inDays(28),
    webhook_error: null,
    webhook_error_reason: null,
    sync_status: "idle",
    last_sync_at: inDays(-2 / 24),
    sync_error: null,
    ...values,
  };
}

/** What the first edition's view has of it. */
export function firstEdition({ calendar_name, webhook_error_reason, webhook_notified_at, ...row }) {
  return row;
}

export const people = { ada, bob };

/** As PostgREST answers: a column that is not there is an error. */
function selected(url, rows) {
  const columns = url.searchParams.get("select");
  if (columns === "*") return { body: rows };
  const names = columns.split(",");
  const missing = names.find((name) => rows.some((row) => !(name in row)));
  if (missing) return { status: 400, body: { code: "42703", message: `column ${missing} does not exist` } };
  return { body: rows.map((row) => Object.fromEntries(names.map((name) => [name, row[name]]))) };
}

export class Supabase {
  /** What the users have, as rows of the view. */
  rows = [];
  /** What befell the connections, the oldest first; null in a database that has no such table. */
  events = [];
  /** Every call of a function or write of a row, in order. */
  calls = [];
  /** How many times the view was read, and the events. */
  reads = 0;
  eventReads = 0;
  /** What becomes of a request instead, by the last part of its path. */
  faults = {};
  sessionsEnded = false;
  /** Further files, by their path. */
  site = {};

  static async start() {
    const supabase = new Supabase();
    supabase.server = createServer((request, response) => supabase.#answer(request, response));
    await new Promise((resolve) => supabase.server.listen(0, "127.0.0.1", resolve));
    supabase.url = `http://127.0.0.1:${supabase.server.address().port}`;
    return supabase;
  }

  stop() {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }

  calledWith(name) {
    return this.calls.filter((call) => call.name === name).map((call) => call.body.connection_id ?? call.body);
  }

  async #answer(request, response) {
    const url = new URL(request.url, this.url);
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const name = url.pathname.split("/").at(-1);
    const body = request.method !== "GET" && text.startsWith("{") ? JSON.parse(text) : {};
    if (url.pathname.startsWith("/functions/v1/") || request.method === "PATCH") this.calls.push({ name, body });
    if (name === "calendar_connection_status") this.reads++;
    if (name === "calendar_connection_events") this.eventReads++;
    const fault = typeof this.faults[name] === "function" ? await this.faults[name](body) : this.faults[name];
    if (fault === "hang") return;
    const answer = fault ?? (await this.#route(request, url, name, body));
    const { status = 200, headers = {}, type = "application/json" } = answer;
    response.writeHead(status, { "content-type": type, "cache-control": "no-store", ...headers });
    response.end(typeof answer.body === "string" || Buffer.isBuffer(answer.body) ? answer.body : JSON.stringify(answer.body));
  }

  async #route(request, url, name, body) {
    const caller = this.#caller(request);
    switch (url.pathname) {
      case "/auth/v1/token": {
        const user = [ada, bob].find((user) => user.email === body.email || user.id === body.refresh_token);
        return { body: session(user) };
      }
      case "/auth/v1/logout":
        return { status: 204, body: "" };
      case "/auth/v1/user":
        return { body: caller };
      case "/rest/v1/calendar_connection_status": {
        if (!caller) return { status: 401, body: { code: "PGRST303", message: "JWT expired" } };
        return selected(url, this.#rowsOf(caller));
      }
      case "/rest/v1/calendar_connection_events": {
        if (!caller) return { status: 401, body: { code: "PGRST303", message: "JWT expired" } };
        if (!this.events) return { status: 404, body: { code: "PGRST205", message: "no such table" } };
        const { connection_id, limit } = Object.fromEntries(url.searchParams);
        const events = this.events.filter((event) => `eq.${event.connection_id}` === connection_id);
        return selected(url, events.toReversed().slice(0, limit));
      }
      case "/rest/v1/calendar_connections": {
        if (!caller) return { status: 401, body: { code: "PGRST303", message: "JWT expired" } };
        const id = url.searchParams.get("id").replace("eq.", "");
        const row = this.#rowsOf(caller).find((row) => row.id === id);
        if (request.method === "DELETE") this.rows = this.rows.filter((other) => other !== row);
        if (row && "sync_enabled" in body) row.status = body.sync_enabled ? "active" : "paused";
        if (row && body.is_active === false) row.status = "disconnected";
        return { body: row ? [{ id }] : [] };
      }
      case "/functions/v1/setup-calendar-webhook":
      case "/functions/v1/refresh-calendar-webhook": {
        if (!caller) return problem(401, "unauthenticated");
        const row = this.#rowsOf(caller).find((row) => row.id === body.connection_id);
        if (!row) return problem(404, "no_connection");
        Object.assign(row, { status: "active", webhook_error: null, webhook_expiration: inDays(30) });
        return { body: { connections: [row] } };
      }
      case "/":
        return { type: "text/html", body: page };
    }
    if (this.site[url.pathname]) return this.site[url.pathname];
    const file = besides.test(url.pathname) ? new URL(`crates/element/package${url.pathname}`, repository) : files[url.pathname];
    if (file) return { type: "text/javascript", body: await readFile(file) };
    return { status: 404, body: "" };
  }

  #caller(request) {
    const bearer = (request.headers.authorization ?? "").replace("Bearer ", "");
    return this.sessionsEnded ? undefined : [ada, bob].find((user) => token(user) === bearer);
  }

  #rowsOf(user) {
    return this.rows.filter((row) => row.user_id === user.id);
  }
}
