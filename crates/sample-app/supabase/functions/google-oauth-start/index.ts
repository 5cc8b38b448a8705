// Where to send the browser so that the user may allow the app to see the calendar.
//
//   const { data } = await supabase.functions.invoke("google-oauth-start", {
//     body: { redirect_uri: `${location.origin}/calendar/connected`, ...event.detail },
//   });
//   location.assign(data.url);
//
// The OAuth client (Google Cloud console, Credentials) has to list redirect_uri, a page of yours. That page gives what
// Google adds to its address to google-oauth-callback.
import { answering, fieldsOf, Problem } from "../_calendar-app/answer.ts";
import { userOf, variable } from "../_calendar-app/caller.ts";
import { connectionOf } from "../_calendar-app/connection.ts";
import { sign } from "../_calendar-app/state.ts";

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;
const CONSENT_PAGE = "https://accounts.google.com/o/oauth2/v2/auth";

Deno.serve(answering(async (request) => {
  const user = await userOf(request);
  const { redirect_uri, connection_id, reason } = await fieldsOf(request);
  if (typeof redirect_uri !== "string") {
    throw new Problem(
      400,
      "invalid_request",
      "redirect_uri is missing: the page that Google sends the browser back to",
    );
  }
  if (connection_id != null && !UUID.test(String(connection_id))) {
    throw new Problem(400, "invalid_request", "connection_id is not a UUID");
  }
  // Another account can only be had by letting the user choose.
  const choose = reason === "add" || reason === "choose_calendar";
  const replaced = choose ? null : await connectionOf(user.id, connection_id);
  const account = replaced ? replaced.account : user.email;
  const page = new URL(CONSENT_PAGE);
  page.search = new URLSearchParams({
    client_id: variable("GOOGLE_CLIENT_ID", "…apps.googleusercontent.com"),
    redirect_uri,
    response_type: "code",
    // To read alone: …/auth/calendar.events.readonly
    scope: "https://www.googleapis.com/auth/calendar.events",
    // A refresh token comes only with `offline`, and only when the user is asked.
    access_type: "offline",
    ...(account && !choose
      ? { prompt: "consent", login_hint: account }
      : { prompt: "select_account consent" }),
    state: await sign({
      user_id: user.id,
      connection_id: typeof connection_id === "string" ? connection_id : null,
      is_another: reason === "add" && typeof connection_id !== "string",
      is_other_account: choose,
      redirect_uri,
    }),
  }).toString();
  return { url: page.href };
}));
