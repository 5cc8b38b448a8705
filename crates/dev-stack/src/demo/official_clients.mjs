// One user's programs: supabase-js as the host app's frontend uses it, and Google's own Calendar client. Reads calls,
// one `[name, argument]` a line, and answers each with a line: `{"ok": result}` or `{"error": message}`.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { NODE_MODULES, SUPABASE_URL, SUPABASE_KEY, GOOGLE_URL } = process.env;
const require = createRequire(`${NODE_MODULES}/-`);
const { createClient } = require("@supabase/supabase-js");
const { auth: { OAuth2 }, calendar } = require("@googleapis/calendar");

const supabase = createClient(SUPABASE_URL, SUPABASE_KEY, {
  // Node 20 has no WebSocket, without which the client refuses to start; nothing here listens to changes.
  realtime: { transport: class {} },
});

/** The data of an answer of supabase-js, or its error with what the server said. */
async function data(answer) {
  const { data, error } = await answer;
  if (!error) return data;
  const body = error.context instanceof Response ? `: ${await error.context.text()}` : "";
  throw new Error(error.message + body);
}

function events(accessToken) {
  const auth = new OAuth2();
  auth.setCredentials({ access_token: accessToken });
  return calendar({ version: "v3", auth, rootUrl: `${GOOGLE_URL}/` }).events;
}

const calls = {
  async signUp(credentials) {
    await data(supabase.auth.signUp(credentials));
  },
  async userId() {
    return (await data(supabase.auth.getUser())).user.id;
  },
  insert({ table, row }) {
    return data(supabase.from(table).insert(row));
  },
  select({ table }) {
    return data(supabase.from(table).select());
  },
  invokeFunction({ name, body }) {
    return data(supabase.functions.invoke(name, { body }));
  },
  async insertEvent({ accessToken, event }) {
    await events(accessToken).insert({ calendarId: "primary", requestBody: event });
  },
  async deleteEvent({ accessToken, eventId }) {
    await events(accessToken).delete({ calendarId: "primary", eventId });
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [name, argument] = JSON.parse(line);
  const answer = await calls[name](argument).then((ok = null) => ({ ok }), (error) => ({ error: error.message }));
  console.log(JSON.stringify(answer));
}
// A timer that refreshes the session would keep the process alive.
process.exit();
