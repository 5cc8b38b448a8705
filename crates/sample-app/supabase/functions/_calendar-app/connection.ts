// The connection whose tokens a consent replaces.
import { database } from "./caller.ts";

export interface Connection {
  id: string;
  /** The Google account, as far as it is known: its main calendar is called by its address. */
  account: string | null;
}

/** The connection of this id, or the user's first; null = there is none. */
export async function connectionOf(
  user_id: string,
  connection_id: unknown,
): Promise<Connection | null> {
  const own = database().from("calendar_connections")
    .select("id, calendar_id, calendar_name")
    .match({ user_id, provider: "google" });
  const { data } = await (connection_id ? own.eq("id", connection_id) : own)
    .order("created_at").limit(1).throwOnError();
  if (data.length === 0) return null;
  const [{ id, calendar_id, calendar_name }] = data;
  const isAddress = calendar_id === null && calendar_name?.includes("@");
  return { id, account: isAddress ? calendar_name : null };
}
