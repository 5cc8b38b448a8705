// The least that a receiver can do: one request to the database, which finds the connection by its channel and
// remembers the notification's number, then the answer. It starts nothing afterwards.

const url = Deno.env.get("SUPABASE_URL");
const key = Deno.env.get("SUPABASE_SERVICE_ROLE_KEY")!;
const headers = {
  apikey: key,
  authorization: `Bearer ${key}`,
  "content-type": "application/json",
  prefer: "return=representation",
};

export default {
  async fetch(request: Request): Promise<Response> {
    const header = (name: string) => encodeURIComponent(request.headers.get(`x-goog-${name}`) ?? "");
    const number = header("message-number");
    const filter = `webhook_id=eq.${header("channel-id")}&webhook_token=eq.${header("channel-token")}`;
    const answer = await fetch(
      `${url}/rest/v1/calendar_connections?${filter}&select=id`,
      { method: "PATCH", headers, body: `{"webhook_message_number":${number}}` },
    );
    const rows = await answer.json();
    return new Response(null, { status: !answer.ok ? 503 : rows.length === 0 ? 404 : 200 });
  },
};
