// Takes what Google added to the address of your page after the consent, and stores the connection.
//
//   const { code, state, error } = Object.fromEntries(new URLSearchParams(location.search));
//   await supabase.functions.invoke("google-oauth-callback", { body: { code, state, error } });
//
// The page calls it, and not Google, so that it is known who has come back: a link to Google's page, sent to somebody
// else, would connect their calendar to the sender's account.
import { answering, fieldsOf, Problem } from "../_calendar-app/answer.ts";
import { database, userOf, variable } from "../_calendar-app/caller.ts";
import { connectionOf } from "../_calendar-app/connection.ts";
import { type Asked, verify } from "../_calendar-app/state.ts";

/** Any of these lets the functions read the calendar and watch it. */
const CALENDAR =
  /^https:\/\/www\.googleapis\.com\/auth\/calendar(\.readonly|\.events|\.events\.readonly)?$/;

interface Tokens {
  access_token: string;
  refresh_token?: string;
  /** Seconds. */
  expires_in?: number;
  scope?: string;
}

Deno.serve(answering(async (request) => {
  const user = await userOf(request);
  const { code, state, error } = await fieldsOf(request);
  const asked = await verify(state);
  if (asked.user_id !== user.id) {
    throw new Problem(
      403,
      "another_user",
      "Somebody else asked for this consent: connect from your own account",
    );
  }
  if (error === "access_denied") {
    throw new Problem(409, "consent_denied", "The user said no at Google");
  }
  if (typeof code !== "string") {
    throw new Problem(
      400,
      "invalid_request",
      `Google sent no code${error ? `, but ${error}` : ""}`,
    );
  }

  const tokens = await exchange(code, asked.redirect_uri);
  if (
    tokens.scope !== undefined &&
    !tokens.scope.split(" ").some((scope) => CALENDAR.test(scope))
  ) {
    throw new Problem(
      409,
      "permission_missing",
      "The box for the calendar was left empty: connect again, and tick it",
    );
  }
  if (!tokens.refresh_token) {
    throw new Problem(
      502,
      "refresh_token_missing",
      "Google sent no refresh token: access_type=offline and prompt=consent?",
    );
  }
  return { connection_id: await store(asked, tokens) };
}));

async function exchange(code: string, redirect_uri: string): Promise<Tokens> {
  const answer = await fetch("https://oauth2.googleapis.com/token", {
    method: "POST",
    signal: AbortSignal.timeout(20_000),
    body: new URLSearchParams({
      client_id: variable("GOOGLE_CLIENT_ID", "…apps.googleusercontent.com"),
      client_secret: variable("GOOGLE_CLIENT_SECRET", "GOCSPX-…"),
      redirect_uri,
      grant_type: "authorization_code",
      code,
    }),
  });
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  // invalid_grant: a code counts once. redirect_uri_mismatch, invalid_client: the OAuth client is another one.
  throw new Problem(
    502,
    "google_rejected",
    `Google did not take the code: ${body.error ?? answer.status}`,
  );
}

/**
 * Writes the tokens over the old ones, or a new row. → its id. An account that is added twice has two rows: to tell, ask
 * for the scope `openid` and keep the account's id (`sub`) in a column of your own.
 */
async function store(
  { user_id, connection_id, is_another, is_other_account }: Asked,
  tokens: Tokens,
): Promise<string> {
  const { access_token, refresh_token, expires_in = 3600 } = tokens;
  const expires_at = new Date(Date.now() + expires_in * 1000).toISOString();
  const consent = {
    access_token,
    refresh_token,
    expires_at,
    is_active: true,
    // Of another account the calendar of before is not known.
    ...(is_other_account ? { calendar_id: null } : {}),
  };

  const connections = database().from("calendar_connections");
  const replaced = is_another
    ? null
    : await connectionOf(user_id, connection_id);
  const stored = replaced
    ? connections.update(consent).eq("id", replaced.id)
    : connections.insert({ user_id, provider: "google", ...consent });
  const { data } = await stored.select("id").single().throwOnError();
  return data.id;
}
