// Opens a channel as hand-written functions do: without a token, or with the same one for everybody, and without
// keeping the resource id.

const supabase = Deno.env.get("SUPABASE_URL");
const key = JSON.parse(Deno.env.get("SUPABASE_SECRET_KEYS") ?? "{}").default;
const headers = { apikey: key, "content-type": "application/json" };

export default {
  async fetch(request: Request): Promise<Response> {
    const { connection_id, token } = await request.json();
    const row = `${supabase}/rest/v1/calendar_connections?id=eq.${connection_id}`;
    const [connection] = await (await fetch(row, { headers })).json();
    const id = crypto.randomUUID();
    const address = `${supabase}/functions/v1/google-calendar-webhook`;
    const watch = await fetch(`${Deno.env.get("GOOGLE_CALENDAR_API_URL")}/calendars/primary/events/watch`, {
      method: "POST",
      headers: { authorization: `Bearer ${connection.access_token}` },
      body: JSON.stringify({ id, type: "web_hook", address, token }),
    });
    const { expiration } = await watch.json();
    const channel = { webhook_id: id, webhook_expiration: new Date(Number(expiration)) };
    await fetch(row, { method: "PATCH", headers, body: JSON.stringify(channel) });
    return Response.json({ webhook_id: id });
  },
};
