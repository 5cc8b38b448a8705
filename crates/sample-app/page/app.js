// The app of a signed-in user: the element on one side, the week on the other, and what goes to and fro.
import { Board } from "./board.js";
import { Controls } from "./controls.js";
import { addDays, month, startOfDay } from "./days.js";
import { Follower } from "./follow.js";
import { forget, outdate, refuse, suggest, tell } from "./story.js";
import { Week } from "./week.js";

/** Milliseconds between two looks of the page by itself, while it is visible; sooner while a run is awaited. */
const EVERY = 5_000;
const SOON = 500;
/** A key held down is one change, not thirty. */
const KEYS_REST = 400;

/** What is drawn has no name yet. */
const EVENTS = ["Dentist", "Lunch with Grace", "School play", "Train to Utrecht", "Interview", "Piano lesson"];
const SESSIONS = ["Deep work", "Run", "Reading", "Write the talk", "Practise"];

const element = (id) => document.getElementById(id);

export class App {
  #supabase;
  #host;
  #board;
  #week;
  #follower;
  #controls;
  #integration;
  #listening = new AbortController();
  #timer;
  /** What the element has seen of the connection, or is about to see. */
  #known = null;
  /** Changes that are shown and not sent yet, by item. */
  #drafts = new Map();
  #drawn = { event: 0, session: 0 };
  /** The connection's, once the element has seen whether there is one. */
  #status;

  constructor(supabase, host) {
    this.#supabase = supabase;
    this.#host = host;
    this.#board = new Board(supabase, host);
    this.#follower = new Follower(this.#board, host, tell);
    this.#week = new Week(element("week"), {
      add: (start, end) => this.#attempt(() => this.#add(start, end)),
      change: (item) => this.#change(item, 0),
      nudge: (item) => this.#change(item, KEYS_REST),
      remove: (item) => this.#attempt(() => this.#remove(item)),
    });
    this.#controls = new Controls({
      supabase,
      host,
      board: this.#board,
      week: () => this.#week.first,
      changed: () => this.#look(),
    });
  }

  start(outcome) {
    const { signal } = this.#listening;
    const on = (id, action) => element(id).addEventListener("click", action, { signal });
    on("previous", () => this.#turnTo(addDays(this.#week.first, -7)));
    on("next", () => this.#turnTo(addDays(this.#week.first, 7)));
    on("today", () => this.#turnTo(startOfDay(new Date())));
    on("add", () => this.#attempt(() => this.#add(...this.#week.freeHour())));
    this.#board.addEventListener("change", () => this.#show(), { signal });
    for (const [target, type] of [[document, "visibilitychange"], [window, "focus"]]) {
      target.addEventListener(type, () => this.#look(), { signal });
    }

    forget();
    this.#integrate();
    this.#controls.returned(outcome);
    // The week begins today: looks do not see what is over, and no session is planned there.
    this.#turnTo(startOfDay(new Date()));
    this.#week.scrollTo(0, 7 * 60 + 30);
  }

  close() {
    this.#listening.abort();
    clearTimeout(this.#timer);
    this.#follower.close();
    this.#controls.close();
    this.#week.close();
    this.#integration?.remove();
  }

  /** Puts `<google-calendar-integration>` on the page, as any host app would. */
  async #integrate() {
    try {
      await import("/element/google-calendar-integration.js");
    } catch {
      element("connection").textContent = "The element is not built yet: run scripts/build, then load this page again.";
      return;
    }
    if (this.#listening.signal.aborted) return;
    this.#integration = document.createElement("google-calendar-integration");
    this.#integration.client = this.#supabase;
    this.#integration.addEventListener("calendar-connect", ({ detail }) => {
      this.#attempt(async () => location.assign(await this.#host.consentPage(detail)));
    });
    this.#integration.addEventListener("calendar-status-change", ({ detail }) => {
      const before = this.#status;
      this.#status = detail.connections[0]?.status ?? "none";
      this.#controls.statusChanged(detail.connections[0]?.status);
      outdate(before !== undefined && this.#status !== before);
      this.#look();
    });
    element("connection").replaceChildren(this.#integration);
  }

  /** Looks at once, and again after a while. */
  async #look() {
    clearTimeout(this.#timer);
    if (!document.hidden) await this.#board.load();
    if (this.#listening.signal.aborted) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), this.#board.awaitsRun ? SOON : EVERY);
  }

  #turnTo(first) {
    element("week-title").textContent = month(addDays(first, 3));
    this.#week.turnTo(first);
    this.#board.turnTo(first);
    this.#look();
  }

  #show() {
    const { events, sessions, problem, connection, status } = this.#board;
    const written = sessions.map((session) => ({ ...session, written: this.#board.isWritten(session) }));
    const items = [...events, ...written].map((item) => this.#drafts.get(item.key)?.item ?? item);
    this.#week.show(items);
    const text = problem ? `${capital(problem.message)}. The events below are the last that were seen.` : "";
    if (element("calendar-problem").textContent !== text) element("calendar-problem").textContent = text;
    element("week").classList.toggle("stale", Boolean(problem));
    if (connection === undefined) return;
    suggest(
      !connection ? "First, connect your calendar." :
      sessions.length === 0 ? "Plan a few sessions, or draw one." :
      "Draw an event over a session, and see what happens.",
    );
    // The element looks for itself; told that there is something to see, it does so at once.
    const known = `${status} ${connection?.sync_request_id} ${connection?.last_sync_at}`;
    if (known !== this.#known) this.#integration?.refresh();
    this.#known = known;
  }

  async #add(start, end) {
    const kind = document.querySelector("input[name=draw]:checked").value;
    if (kind === "session") {
      const title = SESSIONS[this.#drawn.session++ % SESSIONS.length];
      await this.#changeSessions((sessions) => sessions.insert({ title, ...times({ start, end }) }));
      return;
    }
    const title = EVENTS[this.#drawn.event++ % EVENTS.length];
    // Google takes ids of one's own, so that the event is the same before and after it is stored.
    const id = crypto.randomUUID().replaceAll("-", "");
    const event = { key: `event ${id}`, kind, id, title, start, end };
    this.#board.assume(event.key, event);
    this.#week.focus(event.key);
    await this.#orElse(
      () => this.#follower.follow("Event added", () => this.#host.insertEvent({ id, title, ...times(event) })),
      () => this.#board.assume(event.key, null),
    );
  }

  /** Shows a change at once, and sends it when no other one has followed for so many milliseconds. */
  #change(item, rest) {
    clearTimeout(this.#drafts.get(item.key)?.timer);
    const timer = setTimeout(() => this.#attempt(() => this.#send(item)), rest);
    this.#drafts.set(item.key, { item: { ...item, wanted: null }, timer });
    this.#show();
  }

  async #send(item) {
    const draft = this.#drafts.get(item.key);
    const settle = () => {
      if (this.#drafts.get(item.key) === draft) this.#drafts.delete(item.key);
    };
    try {
      if (item.kind === "session") {
        const change = { ...times(item), preferred_starts_at: item.start.toISOString() };
        await this.#changeSessions((sessions) => sessions.update(change).eq("id", item.id), settle);
      } else {
        await this.#follower.follow("Event changed", async () => {
          await this.#host.changeEvent(item.id, times(item));
          settle();
          this.#board.assume(item.key, item);
        });
      }
    } finally {
      settle();
      this.#show();
    }
  }

  async #remove(item) {
    clearTimeout(this.#drafts.get(item.key)?.timer);
    this.#drafts.delete(item.key);
    this.#board.assume(item.key, null);
    await this.#orElse(
      () => item.kind === "session"
        ? this.#changeSessions((sessions) => sessions.delete().eq("id", item.id))
        : this.#follower.follow("Event deleted", () => this.#host.deleteEvent(item.id)),
      () => this.#board.assume(item.key, item),
    );
  }

  /** The host app's own business, of which Google knows nothing: it plans at once. */
  async #changeSessions(change, settled) {
    const { error } = await change(this.#supabase.from("sessions"));
    if (error) throw error;
    try {
      if (await this.#board.mayBeConnected()) await this.#host.planSessions();
    } finally {
      settled?.();
      await this.#board.loadSessions();
    }
  }

  /** Takes back what was shown before it was done. */
  async #orElse(action, takeBack) {
    try {
      await action();
    } catch (error) {
      takeBack();
      throw error;
    }
  }

  async #attempt(action) {
    try {
      await action();
    } catch (error) {
      this.#follower.close();
      refuse(`That did not work: ${error.message}.`);
      await this.#board.load();
    }
  }
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function times({ start, end }) {
  return { starts_at: start.toISOString(), ends_at: end.toISOString() };
}
