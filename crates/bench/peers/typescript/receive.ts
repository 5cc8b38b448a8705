// What google-calendar-webhook does with a notification, as one would write it with supabase-js: the same conditional
// updates, and the run that follows. Looks, the refreshing of tokens and the storm brake are left out.

import { createClient } from "@supabase/supabase-js";

const url = Deno.env.get("SUPABASE_URL")!;
const key = Deno.env.get("SUPABASE_SERVICE_ROLE_KEY")!;
const supabase = createClient(url, key, { auth: { persistSession: false, autoRefreshToken: false } });

/** What the answer and the run need of a row. */
const COLUMNS = "id,user_id,access_token,is_active,sync_enabled,webhook_id,webhook_pending_id,webhook_message_number," +
  "sync_request_id,sync_lease_until,sync_not_before,sync_attempts";
const RUN_LEASE_MS = 180_000;
const LONGEST_WAIT_MS = 10_000;

// deno-lint-ignore no-explicit-any
type Row = any;
export type Stop = (accessToken: string, id: string, resourceId: string) => Promise<unknown>;

interface Notification {
  channel: string;
  token: string;
  resource: string;
  state: string;
  number: number;
}

function parse(headers: Headers): Notification | Response {
  const header = (name: string) => headers.get(`x-goog-${name}`) ?? "";
  const notification = {
    channel: header("channel-id"),
    token: header("channel-token"),
    resource: header("resource-id"),
    state: header("resource-state"),
    number: Number(header("message-number")),
  };
  const { channel, token, resource, state, number } = notification;
  if (token === "") return error(401, "unauthenticated");
  const isValid = /^[A-Za-z0-9\-_+/=]{1,64}$/.test(channel) && resource !== "" && state !== "" &&
    Number.isSafeInteger(number) && number > 0;
  if (!isValid) return error(400, "invalid_request");
  if (!/^[0-9a-f]{64}$/.test(token)) return error(404, "unknown_channel");
  return notification;
}

function error(status: number, code: string): Response {
  return Response.json({ error: { code, message: code } }, { status });
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const table = () => supabase.from("calendar_connections");
const update = (set: Row) => table().update(set).eq("provider", "google");

async function one(query: Row): Promise<Row | undefined> {
  const { data } = await query.select(COLUMNS).throwOnError();
  return data[0];
}

export function receiver(stop: Stop) {
  return async (request: Request): Promise<Response> => {
    const notification = parse(request.headers);
    if (notification instanceof Response) return notification;
    try {
      const { status, followUp } = await judge(notification, stop);
      if (followUp) waitUntil(followUp().catch((problem) => console.error(problem)));
      return status === 404 ? error(404, "unknown_channel") : new Response(null, { status });
    } catch (problem) {
      console.error(problem);
      return error(503, "database_unavailable");
    }
  };
}

async function judge({ channel, token, resource, state, number }: Notification, stop: Stop) {
  const hash = await sha256(token);
  const noted = { webhook_notified_at: new Date().toISOString() };
  if (state === "sync") {
    const confirm = update({ ...noted, webhook_confirmed_id: channel }).eq("webhook_token_hash", hash);
    if (!await one(confirm.eq("webhook_pending_id", channel))) {
      const first = update({ ...noted, webhook_message_number: 1 }).eq("webhook_token_hash", hash);
      await one(first.eq("webhook_id", channel).lt("webhook_message_number", 1));
    }
    return { status: 200 };
  }
  const asked = { ...noted, sync_request_id: crypto.randomUUID() };
  for (let attempt = 0; attempt < 3; attempt++) {
    const current = update({ ...asked, webhook_message_number: number }).eq("webhook_token_hash", hash);
    let row = await one(current.eq("webhook_id", channel).lt("webhook_message_number", number));
    if (row) return { status: 200, followUp: () => run(row) };
    row = (await table().select(COLUMNS).eq("webhook_token_hash", hash).throwOnError()).data![0];
    if (!row) return { status: 404 };
    const change = update(asked).eq("webhook_token_hash", hash);
    if (row.webhook_pending_id === channel) {
      row = await one(change.eq("webhook_pending_id", channel));
      if (row) return { status: 200, followUp: () => run(row) };
    } else if (row.webhook_id !== channel) {
      row = await one(change.filter("webhook_id", "isdistinct", channel).filter("webhook_pending_id", "isdistinct", channel));
      if (row) return { status: 200, followUp: () => Promise.all([stop(row.access_token, channel, resource), run(row)]) };
    } else if (number <= row.webhook_message_number) {
      return { status: 200, followUp: () => run(row) };
    }
  }
  return { status: 503 };
}

async function run(row: Row): Promise<void> {
  for (;;) {
    const wait = Date.parse(row.sync_not_before) - Date.now();
    const isHeld = Date.parse(row.sync_lease_until) >= Date.now();
    const isLive = row.is_active && row.sync_enabled !== false;
    if (!row.sync_request_id || isHeld || !isLive || wait > LONGEST_WAIT_MS) return;
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    const now = new Date().toISOString();
    const lease = new Date(Date.now() + RUN_LEASE_MS).toISOString();
    const claim = update({ sync_lease_until: lease, sync_not_before: lease, sync_attempts: row.sync_attempts + 1 })
      .eq("id", row.id).not("sync_request_id", "is", null).lt("sync_lease_until", now).lte("sync_not_before", now)
      .eq("sync_attempts", row.sync_attempts).is("is_active", true).not("sync_enabled", "is", false);
    const claimed = await one(claim);
    if (!claimed) return;
    const body = { user_id: row.user_id, connection_id: row.id, request_id: claimed.sync_request_id };
    const { error } = await supabase.functions.invoke("recalculate-schedule", { body });
    const released = { sync_lease_until: "epoch", sync_attempts: 0, sync_error: null, sync_not_before: "epoch" };
    const held = (set: Row) => update(set).eq("id", row.id).eq("sync_lease_until", lease);
    if (error) {
      await one(held({ ...released, sync_attempts: claimed.sync_attempts, sync_error: "recalculate_failed" }));
      return;
    }
    const done = { ...released, last_sync_at: new Date().toISOString() };
    const finish = held({ ...done, sync_request_id: null }).eq("sync_request_id", claimed.sync_request_id);
    if (await one(finish)) return;
    // A newer request arrived meanwhile.
    row = await one(held(done));
    if (!row) return;
  }
}

function waitUntil(promise: Promise<unknown>) {
  // deno-lint-ignore no-explicit-any
  (globalThis as any).EdgeRuntime?.waitUntil(promise);
}
