// From a change of the calendar to the sessions' new places: what of it can be seen from here, and when.
import { parseTime } from "./days.js";
import { STATUSES } from "./statuses.js";

/** Milliseconds between two looks while something is awaited. */
const SOON = 200;
const LATER = 1_000;
/** After so long nobody stares at the page any more. */
const SOON_FOR = 15_000;
/** A run that has not ended after so long was not begun at once. */
const LONG = 4_000;
/** So long after a change of which Google says nothing, the hours pass until the calendar is looked at. */
const SILENCE = 5_000;
/** Runs are held back by two minutes at most when changes follow each other, and a sweep comes once a minute. */
const PATIENCE = 240_000;

/** Follows the newest change; one that is followed already is given up. */
export class Follower {
  #board;
  #host;
  #show;
  #current = 0;
  /** The newest change. */
  #made = Promise.resolve();

  /** `show` gets the story so far: `{ steps: [{ what, after, atMost? }], moved, outcome, wasHeldBack, hadFailed, wasSettled }`. */
  constructor(board, host, show) {
    this.#board = board;
    this.#host = host;
    this.#show = show;
  }

  close() {
    this.#current += 1;
  }

  /**
   * Makes the change, then looks until the sessions are where they belong. Changes are made one after the other: an
   * event can be moved before Google has stored it, and deleted before it was moved.
   */
  async follow(what, change) {
    const mine = ++this.#current;
    const start = performance.now();
    const startedAt = Date.now();
    const since = () => performance.now() - start;
    const story = { what, steps: [{ what, after: 0 }], moved: 0, outcome: "changing" };
    const tell = () => {
      if (mine === this.#current) this.#show(story);
    };
    tell();
    const made = this.#board.changing(() => this.#made.then(async () => {
      const [connection, runs] = await Promise.all([this.#board.loadConnection(), this.#host.runs()]);
      const sessions = places(this.#board.sessions);
      await change();
      return { connection, sessions, runs };
    }));
    // Its failure is told where it was asked for.
    this.#made = made.catch(() => {});
    const before = await made;
    const stored = { what: "Google stored it", after: since() };
    story.steps.push(stored);
    story.outcome = "waiting";
    tell();
    if (STATUSES[this.#board.status] !== "watched") {
      story.outcome = "not watched";
      return tell();
    }

    const isCurrent = () => mine === this.#current && since() < PATIENCE;
    if (this.#board.isForgotten) return this.#followSilence({ story, before: before.sessions, startedAt, since, tell, isCurrent });

    let notified = null;
    while (isCurrent()) {
      const connection = await this.#board.loadConnection();
      if (!connection) return;
      if (!notified && wasNotified(before.connection, connection)) {
        const exactly = requestedAt(connection.sync_request_id);
        notified = { what: "Google notified", after: exactly ? exactly - startedAt : since(), atMost: !exactly };
        // Google notifies before its answer to the change is here.
        stored.after = Math.min(stored.after, notified.after);
        story.steps.push(notified);
      }
      if (STATUSES[this.#board.status] === "off") {
        story.outcome = "not watched";
        return tell();
      }
      const ran = connection.last_sync_at !== before.connection?.last_sync_at;
      // After the connection: whatever a finished run wrote is there by now.
      const sessions = await this.#board.loadSessions();
      const moved = movedSince(before.sessions, sessions);
      if (notified && ran && !connection.sync_request_id) {
        const after = parseTime(connection.last_sync_at) - startedAt;
        notified.after = Math.min(notified.after, after);
        stored.after = Math.min(stored.after, notified.after);
        // A look that finds the calendar as the last run left it settles the request without a run.
        story.wasSettled = await this.#host.runs() === before.runs;
        story.steps.push({ what: story.wasSettled ? "A look found nothing new" : "Recalculated", after });
        story.steps.push({ what: moved ? "Sessions moved" : "Nothing had to move", after: since() });
        story.moved = moved;
        story.outcome = "done";
        return tell();
      }
      story.hadFailed ||= Boolean(connection.sync_error);
      story.wasHeldBack = Boolean(notified) && since() > LONG && !story.hadFailed;
      story.outcome = connection.sync_error ? "failing" : story.wasHeldBack ? "held back" : "waiting";
      story.error = connection.sync_error;
      tell();
      await new Promise((resolve) => setTimeout(resolve, since() < SOON_FOR ? SOON : LATER));
    }
    story.outcome = "given up";
    tell();
  }

  /** Google says nothing. The next look finds the change, and the function that looks opens another channel. */
  async #followSilence({ story, before, startedAt, since, tell, isCurrent }) {
    story.outcome = "silence";
    tell();
    await new Promise((resolve) => setTimeout(resolve, SILENCE));
    if (!isCurrent()) return;
    story.steps.push({ what: "Hours later: a look is due", after: since() });
    tell();
    const runs = await this.#host.runs();
    await this.#host.haveCalendarLookedAt();
    // Another sweep may be at it still.
    while (isCurrent()) {
      const connection = await this.#board.loadConnection();
      if (!connection) return;
      const wasFound = await this.#host.runs() > runs;
      const isOver = parseTime(connection.last_sync_at) >= startedAt && !connection.sync_request_id;
      if (isOver && !(wasFound && this.#board.isForgotten)) {
        story.moved = movedSince(before, await this.#board.loadSessions());
        story.steps.push({ what: wasFound ? "The look found it" : "The look found nothing new", after: since() });
        story.look = wasFound ? "found" : "nothing new";
        story.outcome = "done";
        return tell();
      }
      await new Promise((resolve) => setTimeout(resolve, SOON));
    }
    story.outcome = "given up";
    tell();
  }
}

function wasNotified(before, now) {
  const known = before?.webhook_id === now.webhook_id ? before.webhook_message_number : 0;
  return Number(now.webhook_message_number) > Number(known);
}

/** A request's id is a UUIDv7, which begins with the time at which it arose. Every clock here is this machine's. */
function requestedAt(id) {
  return id?.[14] === "7" ? parseInt(id.replaceAll("-", "").slice(0, 12), 16) : null;
}

function places(sessions) {
  return new Map(sessions.map(({ id, start, end }) => [id, `${+start} ${+end}`]));
}

function movedSince(before, sessions) {
  const now = places(sessions);
  return [...before].filter(([id, place]) => now.get(id) !== place).length;
}
