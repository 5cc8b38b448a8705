// Looks the channel up and recalculates before it answers.

const supabase = Deno.env.get("SUPABASE_URL");
const key = JSON.parse(Deno.env.get("SUPABASE_SECRET_KEYS") ?? "{}").default;
const headers = { apikey: key, "content-type": "application/json" };

export default {
  async fetch(request: Request): Promise<Response> {
    const channel = request.headers.get("x-goog-channel-id");
    if (request.headers.get("x-goog-resource-state") === "sync") return new Response("OK");
    const rows = `${supabase}/rest/v1/calendar_connections?webhook_id=eq.${channel}&sync_enabled=is.true`;
    for (const { id, user_id } of await (await fetch(rows, { headers })).json()) {
      const request_id = crypto.randomUUID();
      await fetch(`${supabase}/functions/v1/recalculate-schedule`, {
        method: "POST",
        headers: { ...headers, "idempotency-key": request_id },
        body: JSON.stringify({ user_id, userId: user_id, connection_id: id, reason: "handwritten", request_id }),
      });
      const synced = JSON.stringify({ last_sync_at: new Date() });
      await fetch(`${supabase}/rest/v1/calendar_connections?id=eq.${id}`, { method: "PATCH", headers, body: synced });
    }
    return new Response("OK");
  },
};
