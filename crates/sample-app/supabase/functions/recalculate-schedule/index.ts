// Moves the sessions of one user out of the way of the events in the user's Google Calendar, and back once they can
// stay where they are wanted. Called by the calendar webhooks whenever the calendar has changed, with {"user_id",
// "connection_id", "reason", "request_id"}, and by a page after the user has changed sessions, with {}.
//
// May be called again for the same change, and for one user by several at once: see begin_plan in the migration.
import { answering, fieldsOf, Problem } from "../_calendar-app/answer.ts";
import { callerOf, database } from "../_calendar-app/caller.ts";
import { busyTimes } from "./calendar.ts";
import { plan } from "./plan.ts";

const WEEK = 7 * 24 * 60 * 60 * 1000;

/** How far after the last session a free slot is looked for. */
const HORIZON = 2 * WEEK;

/** A row of `sessions`. */
interface Session {
  id: string;
  preferred_starts_at: string;
  starts_at: string;
  ends_at: string;
}

Deno.serve(answering(async (request) => {
  const caller = await callerOf(request);
  const fields = await fieldsOf(request);
  const user = caller === "service" ? id(fields.user_id, "user_id") : caller.id;

  const db = database();
  const { data: number } = await db.rpc("begin_plan", { planned_user: user })
    .throwOnError();
  const connection = await connectionOf(user, fields.connection_id);
  if (
    caller !== "service" && Date.parse(connection.expires_at ?? "") < Date.now()
  ) {
    // Before a run the webhooks renew it; a page asks refresh-calendar-webhook for one.
    throw new Problem(
      409,
      "access_token_expired",
      "The access token has expired: ask for a refresh",
    );
  }
  const { data: sessions } = await db.from("sessions")
    .select("id, preferred_starts_at, starts_at, ends_at")
    .eq("user_id", user)
    .or(`connection_id.is.null,connection_id.eq.${connection.id}`)
    .gte("ends_at", new Date(Date.now() - WEEK).toISOString())
    .order("preferred_starts_at").order("id")
    .returns<Session[]>().throwOnError();
  if (!sessions?.length) return { moved: 0 };

  const current = sessions.map((row) => ({
    start: Date.parse(row.starts_at),
    end: Date.parse(row.ends_at),
  }));
  const wanted = sessions.map((row, index) => {
    const start = Date.parse(row.preferred_starts_at);
    return { start, end: start + current[index].end - current[index].start };
  });
  const busy = await busyTimes(
    connection.calendar_id ?? "primary",
    connection.access_token ?? "",
    {
      start: Math.min(...wanted.map(({ start }) => start)),
      end: Math.max(...wanted.map(({ end }) => end)) + HORIZON,
    },
  );
  const slots = plan(wanted, busy).map(({ start, end }, index) => ({
    id: sessions[index].id,
    starts_at: new Date(start).toISOString(),
    ends_at: new Date(end).toISOString(),
  }));
  const { data: moved } = await db.rpc("store_plan", {
    planned_user: user,
    number,
    slots,
  }).throwOnError();
  return { moved };
}));

/** The connection that was named, or the user's oldest. Its access token is good when the webhooks call. */
async function connectionOf(user: string, connection: unknown) {
  const own = database().from("calendar_connections")
    .select("id, access_token, expires_at, calendar_id")
    .match({ user_id: user, provider: "google", is_active: true });
  const { data } =
    await (connection === undefined
      ? own
      : own.eq("id", id(connection, "connection_id")))
      .order("created_at").limit(1).throwOnError();
  if (!data.length) {
    throw new Problem(404, "no_connection", "The user has no such connection");
  }
  return data[0];
}

function id(value: unknown, field: string): string {
  if (
    typeof value === "string" &&
    /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(value)
  ) return value;
  throw new Problem(400, "invalid_request", `${field} is not a UUID`);
}
