// What is known of the user's week: the connection, the calendar's events and the sessions.
import { addDays, parseTime } from "./days.js";
import { STATUSES } from "./statuses.js";

/** What tells whether Google has notified, and whether a run is owed or done. No secret is among it. */
const CONNECTION = "id,webhook_id,webhook_message_number,sync_request_id,sync_error,last_sync_at,is_active,sync_enabled";

const FORGOTTEN = "forgotten channel";

export class Board extends EventTarget {
  /** `null` without one, `undefined` until it is known. */
  connection = undefined;
  /** As the status view names it; `null` without a connection. */
  status = null;
  events = [];
  sessions = [];
  /** The ids of sessions that the app has written into the calendar, too. */
  #written = new Set();
  /** Why the events shown may not be the calendar's, as an error of the host. */
  problem = null;
  #supabase;
  #host;
  #week;
  /** The channel that Google was made to forget; the page may be loaded again meanwhile. */
  #forgotten = sessionStorage.getItem(FORGOTTEN);
  #asked = 0;
  /** Which questions the connection and the sessions that are shown answer. */
  #answered = { connection: 0, sessions: 0 };
  #eventsAsked = 0;
  #changes = 0;

  constructor(supabase, host) {
    super();
    this.#supabase = supabase;
    this.#host = host;
  }

  /** Whether the sessions are about to be recalculated: soon after connecting, and after a change. */
  get awaitsRun() {
    const { connection, status } = this;
    const isLive = connection && STATUSES[status] !== "off";
    return Boolean(isLive && (connection.sync_request_id || !connection.last_sync_at));
  }

  /** Whether Google keeps silent, whatever happens in the calendar. */
  get isForgotten() {
    return Boolean(this.connection?.webhook_id) && this.connection.webhook_id === this.#forgotten;
  }

  channelForgotten(channel) {
    this.#forgotten = channel;
    sessionStorage.setItem(FORGOTTEN, channel);
  }

  turnTo(week) {
    this.#week = week;
  }

  async load() {
    await Promise.all([this.loadConnection(), this.loadSessions()]);
    await this.loadEvents();
  }

  async loadConnection() {
    const asked = ++this.#asked;
    const [{ data: rows }, { data: statuses }] = await Promise.all([
      this.#supabase.from("calendar_connections").select(CONNECTION).order("created_at").limit(1),
      this.#supabase.from("calendar_connection_status").select("id,status"),
    ]);
    // Unanswered is not the same as none: what was known stays.
    if (rows && statuses && this.#isNews("connection", asked)) {
      this.connection = rows[0] ?? null;
      this.status = statuses.find(({ id }) => id === this.connection?.id)?.status ?? null;
      this.#changed();
    }
    return this.connection;
  }

  /** False only once the page knows that there is no connection. */
  async mayBeConnected() {
    if (this.connection === undefined) await this.loadConnection();
    return this.connection !== null;
  }

  async loadSessions() {
    const week = this.#week;
    const asked = ++this.#asked;
    const { data } = await this.#supabase.from("sessions").select("id,title,preferred_starts_at,starts_at,ends_at")
      .lt("starts_at", addDays(week, 7).toISOString()).gt("ends_at", week.toISOString());
    if (data && week === this.#week && this.#isNews("sessions", asked)) {
      this.sessions = data.map(({ id, title, preferred_starts_at, starts_at, ends_at }) => {
        const [start, wanted] = [parseTime(starts_at), parseTime(preferred_starts_at)];
        const gaveWay = start.getTime() !== wanted.getTime();
        return { key: `session ${id}`, kind: "session", id, title, start, end: parseTime(ends_at), wanted: gaveWay ? wanted : null };
      });
      this.#changed();
    }
    return this.sessions;
  }

  /** Answers overtake each other, and one to an older question says nothing. */
  #isNews(what, asked) {
    if (asked < this.#answered[what]) return false;
    this.#answered[what] = asked;
    return true;
  }

  /** While the calendar is being changed, or is about to be, whatever it answers may be of before. */
  async changing(change) {
    this.#changes += 1;
    try {
      return await change();
    } finally {
      this.#changes -= 1;
      this.#eventsAsked += 1;
    }
  }

  async loadEvents() {
    if (this.#changes > 0) return;
    const asked = ++this.#eventsAsked;
    if (!this.connection) {
      this.events = [];
      this.#written.clear();
      return this.#changed();
    }
    let events = null;
    let problem = null;
    try {
      events = await this.#host.events(this.#week, addDays(this.#week, 7));
    } catch (error) {
      problem = error;
    }
    // An older answer than what is shown says nothing.
    if (asked !== this.#eventsAsked) return;
    this.problem = problem;
    if (events) {
      // What the app has written is on the page already.
      const [own, others] = [events.filter(isOwn), events.filter((event) => !isOwn(event))];
      this.#written = new Set(own.map(({ session_id }) => session_id));
      this.events = others.map(eventItem);
    }
    this.#changed();
  }

  isWritten(session) {
    return this.#written.has(session.id);
  }

  /** Shows a change at once, before the answer to it. `null` in the place of an item removes it. */
  assume(key, item) {
    const kind = key.startsWith("event") ? "events" : "sessions";
    this.#eventsAsked += 1;
    this[kind] = this[kind].filter((known) => known.key !== key).concat(item ?? []);
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

function isOwn({ session_id }) {
  return Boolean(session_id);
}

function eventItem({ id, title, starts_at, ends_at }) {
  return { key: `event ${id}`, kind: "event", id, title, start: new Date(starts_at), end: new Date(ends_at) };
}
