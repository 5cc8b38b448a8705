// Who calls, and the function's own access to the database, past Row Level Security.
import {
  createClient,
  type SupabaseClient,
  type User,
} from "npm:@supabase/supabase-js@2";
import { Problem } from "./answer.ts";

/** A variable of the environment. Without it every request is answered with its name and its form. */
export function variable(name: string, form: string): string {
  const value = Deno.env.get(name);
  if (!value) {
    throw new Problem(
      500,
      "misconfigured",
      `${name} is not set; it looks like ${form}`,
    );
  }
  return value;
}

/** The project's secret keys, first the one to use. Supabase sets the variables; older projects have the legacy key. */
function secretKeys(): string[] {
  const form = '{"default": "sb_secret_…"}';
  let keys: Record<string, string>;
  try {
    keys = JSON.parse(Deno.env.get("SUPABASE_SECRET_KEYS") || "{}");
  } catch {
    throw new Problem(
      500,
      "misconfigured",
      `SUPABASE_SECRET_KEYS does not look like ${form}`,
    );
  }
  const legacy = Deno.env.get("SUPABASE_SERVICE_ROLE_KEY");
  const all = [keys.default, ...Object.values(keys), legacy].filter((key) =>
    key !== undefined && key !== ""
  );
  return all.length > 0
    ? all as string[]
    : [variable("SUPABASE_SECRET_KEYS", form)];
}

export function database(): SupabaseClient {
  const url = variable(
    "SUPABASE_URL",
    "https://abcdefghijklmnopqrst.supabase.co",
  );
  const auth = { persistSession: false, autoRefreshToken: false };
  return createClient(url, secretKeys()[0], { auth });
}

/** The project's own backend (its functions, cron), which has a secret key; or the user that is signed in. */
export async function callerOf(request: Request): Promise<"service" | User> {
  const token = request.headers.get("Authorization")?.replace(/^Bearer /i, "");
  const shown = await Promise.all(
    [request.headers.get("apikey"), token].map(digest),
  );
  const known = await Promise.all(secretKeys().map(digest));
  if (shown.some((key) => key && known.includes(key))) return "service";
  if (!token) {
    throw new Problem(
      401,
      "unauthenticated",
      "Sign in, or send a secret key as apikey",
    );
  }
  const { data, error } = await database().auth.getUser(token);
  if (data.user) return data.user;
  if (![400, 401, 403, 404].includes(error?.status ?? 0)) {
    throw new Problem(503, "auth_unavailable", "Auth did not answer");
  }
  throw new Problem(
    401,
    "unauthenticated",
    "The session has ended: sign in again",
  );
}

/** The user that is signed in: nobody else can consent. */
export async function userOf(request: Request): Promise<User> {
  const caller = await callerOf(request);
  if (caller !== "service") return caller;
  throw new Problem(
    403,
    "user_required",
    "Only a user can consent: send the user's JWT",
  );
}

/** Comparing digests takes as long for a key that is nearly right. */
async function digest(text: string | null | undefined): Promise<string | null> {
  if (!text) return null;
  const bytes = await crypto.subtle.digest(
    "SHA-256",
    new TextEncoder().encode(text),
  );
  return btoa(String.fromCharCode(...new Uint8Array(bytes)));
}
