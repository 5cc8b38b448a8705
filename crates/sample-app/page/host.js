// The app's Edge Functions, and the backend of this page. Both know who asks by the token of Supabase Auth; Google's
// tokens stay with them.

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
  #consentUrl;

  constructor(supabase, consentUrl) {
    this.#supabase = supabase;
    this.#consentUrl = consentUrl;
  }

  /** Where Google asks the user for consent. `wish` is what the element says that the user wants. */
  async consentPage(wish) {
    const redirect_uri = location.origin + location.pathname;
    const { url } = await this.#invoke("google-oauth-start", { redirect_uri, ...wish });
    // Here it is a fake Google's page.
    return url.replace("https://accounts.google.com/o/oauth2/v2/auth", this.#consentUrl);
  }

  /** After Google sent the browser back, with this in the address. How it went: `connected`, `denied`, `expired`, `failed`. */
  async completeConsent({ code, state, error }) {
    try {
      await this.#invoke("google-oauth-callback", { code, state, error });
      return "connected";
    } catch (problem) {
      const outcomes = { consent_denied: "denied", state_invalid: "expired", another_user: "expired" };
      return outcomes[problem.code] ?? "failed";
    }
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
  async planSessions() {
    try {
      await this.#invoke("recalculate-schedule");
    } catch (error) {
      if (error.code === "access_token_expired") return this.#refresh();
      // Without a calendar there is nothing to plan around.
      if (error.code !== "no_connection") throw error;
    }
  }

  /** Has the access token renewed, and the sessions planned with it. */
  async #refresh() {
    try {
      await this.#invoke("refresh-calendar-webhook");
    } catch (error) {
      // Somebody has just asked for the same.
      if (error.code !== "too_soon") throw error;
    }
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

  /** Calls an Edge Function. */
  async #invoke(name, body = {}) {
    const { data, error } = await this.#supabase.functions.invoke(name, { body });
    if (!error) return data;
    // The function's own answer, where there is one: `error` itself says no more than that it was not a 2xx.
    const answer = await error.context?.json?.().catch(() => null);
    throw new HostError(answer?.error?.code ?? "failed", answer?.error?.message ?? error.message);
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
