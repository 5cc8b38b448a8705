// The host app's backend. It knows who asks by the token of Supabase Auth; Google's tokens stay with it.

/** What a user can make something of; everything else is told in the backend's words. */
const WORDS = {
  unauthenticated: "your session has ended; sign in again",
  not_connected: "connect a calendar first",
  reconnect_required: "Google no longer lets this app see the calendar",
  google_unavailable: "Google’s Calendar API does not answer",
  no_event: "the event is gone",
  offline: "the app’s server cannot be reached",
};

export class HostError extends Error {
  constructor(code, message) {
    super(WORDS[code] ?? message);
    this.code = code;
  }
}

export class Host {
  #supabase;

  constructor(supabase) {
    this.#supabase = supabase;
  }

  /** Where Google asks the user for consent. `reason` is the element's word for what the user wants. */
  async consentPage(reason) {
    return (await this.#call("POST", "calendar/connect", { reason })).url;
  }

  events(from, to) {
    return this.#call("GET", `calendar/events?${new URLSearchParams({ from: from.toISOString(), to: to.toISOString() })}`);
  }

  insertEvent(event) {
    return this.#call("POST", "calendar/events", event);
  }

  changeEvent(id, change) {
    return this.#call("PATCH", `calendar/events/${encodeURIComponent(id)}`, change);
  }

  deleteEvent(id) {
    return this.#call("DELETE", `calendar/events/${encodeURIComponent(id)}`);
  }

  deleteAllEvents() {
    return this.#call("DELETE", "calendar/events");
  }

  /** After the user changed sessions, of which Google knows nothing. */
  planSessions() {
    return this.#call("POST", "sessions/plan");
  }

  revokeAccess() {
    return this.#call("POST", "faults/revoke");
  }

  letChannelGrowOld() {
    return this.#call("POST", "faults/old-channel");
  }

  /** Google says nothing any more on the channel that is open now. Its id, or `null` without one. */
  async forgetChannel() {
    return (await this.#call("POST", "faults/forgotten-channel")).channel;
  }

  /** Lets the hours pass until the calendar is looked at. */
  haveCalendarLookedAt() {
    return this.#call("POST", "faults/look");
  }

  /** How often the user's sessions were recalculated by the functions. */
  async runs() {
    return (await this.#call("GET", "sessions/runs")).length;
  }

  /** How a run writes the sessions into the calendar: `none`, `in-place` or `recreate`. */
  hostWrites() {
    return this.#call("GET", "sessions/host-writes");
  }

  chooseHostWrites(style) {
    return this.#call("POST", "sessions/host-writes", style);
  }

  /** The app's own `recalculate-schedule` fails for 30 seconds, for this user alone. */
  failRecalculations() {
    return this.#call("POST", "faults/recalculate");
  }

  beginOutage() {
    return this.#call("POST", "faults/outage");
  }

  endOutage() {
    return this.#call("DELETE", "faults/outage");
  }

  async #call(method, path, body) {
    const { data: { session } } = await this.#supabase.auth.getSession();
    const headers = { authorization: `Bearer ${session?.access_token}` };
    if (body) headers["content-type"] = "application/json";
    let answer;
    try {
      answer = await fetch(`/app/${path}`, { method, headers, body: body && JSON.stringify(body) });
    } catch {
      throw new HostError("offline");
    }
    if (answer.status === 204) return null;
    const content = await answer.json().catch(() => null);
    if (answer.ok) return content;
    throw new HostError(content?.error?.code ?? "failed", content?.error?.message ?? `the app’s server answered ${answer.status}`);
  }
}
