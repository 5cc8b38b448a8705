// The buttons beside the week: things to try, and things that go wrong.
import { at } from "./days.js";
import { refuse } from "./story.js";

const element = (id) => document.getElementById(id);

/** What did not come of being sent to Google. */
const REFUSED = {
  denied: "Google was told no: nothing was connected.",
  expired: "That consent was asked for too long ago, or by somebody else. Connect again.",
  failed: "Google did not complete the consent. Connect again.",
};

/** What the button does, by how the app writes at the moment; and what is said then. */
const STYLES = {
  none: {
    button: "The app writes to the calendar",
    next: "recreate",
    said: "The app has taken its sessions out of the calendar, and writes nothing any more.",
  },
  recreate: {
    button: "The app writes only what changes",
    next: "in-place",
    said: "In every run the app now deletes its sessions from the calendar and writes all of them anew.",
  },
  "in-place": {
    button: "The app writes nothing",
    next: "none",
    said: "The app now writes a session to the calendar only where it differs from what is there.",
  },
};

/** Milliseconds, as `fail_for` on the server. */
const FAILS_FOR = 30_000;

/** Milliseconds without a notification and a run that count as the end of both. */
const SILENT_FOR = 5_000;

const times = (count) => ["not at all", "once", "twice"][count] ?? `${count} times`;

/** Days of the week, hours, and what for. */
const SESSIONS = [
  [0, 9, 10.5, "Write the talk"],
  [1, 10, 11, "Run"],
  [2, 14, 16, "Deep work"],
  [3, 10, 11, "Run"],
  [4, 13, 14.5, "Practise the talk"],
];

export class Controls {
  #given;
  #listening = new AbortController();
  #outage;
  #style = "none";
  /** Which switch of the style is followed. */
  #switched = 0;
  /** The connection's status, and the one of which the last thing said is true. */
  #status;
  #toldOf;
  /** What is said for as long as something holds, and what then. */
  #passing;

  constructor(given) {
    this.#given = given;
    const { host, board } = given;
    this.#on("seed", () => this.#seed());
    this.#on("reset", () => this.#reset());
    this.#on("pause", () => this.#pauseOrResume());
    this.#on("disconnect", () => this.#write({ is_active: false }, "Disconnected: the channel is given up within a minute.", "disconnected"));
    this.#on("revoke", async () => {
      await host.revokeAccess();
      return "Revoked. Nobody tells the app: it finds out when it next asks Google for something, as “Refresh” does, or the " +
        "look at the calendar that comes every few hours.";
    });
    this.#on("age", async () => {
      await host.letChannelGrowOld();
      this.tell("The channel ends within the hour, as far as its row tells. The next sweep opens a new one before it stops the old.", "expiring");
    });
    this.#on("forget", async () => {
      const channel = await host.forgetChannel();
      if (!channel) return "No channel is open that Google could forget.";
      board.channelForgotten(channel);
      this.#tellWhile(
        () => board.connection?.webhook_id === channel,
        "Google has forgotten the channel, and nobody was told. Draw an event: no notification comes. The calendar is looked at " +
          "every six hours, and here five seconds after your change.",
        "The forgotten channel was replaced.",
      );
    });
    this.#on("failure", async () => {
      await host.failRecalculations();
      const end = Date.now() + FAILS_FOR;
      this.#tellWhile(
        () => Date.now() < end,
        "For 30 seconds your recalculate-schedule answers every call with 500. Draw an event: it reaches Google, Google notifies, " +
          "and the run fails and is tried again until it succeeds.",
        "Your recalculate-schedule works again.",
      );
      setTimeout(() => this.#show(), FAILS_FOR);
    });
    this.#on("host-writes", () => this.#switchHostWrites());
    this.#on("outage", () => this.#beginOutage());
    board.addEventListener("change", () => this.#show(), { signal: this.#listening.signal });
    this.tell("");
    host.hostWrites().then((style) => this.#showStyle(style), () => {});
  }

  close() {
    this.#listening.abort();
    this.#switched += 1;
    this.#endCountdown();
  }

  /** What came of being sent to Google, if somebody was. */
  returned(outcome) {
    if (outcome === "connected") this.tell("Connected. From now on nobody has to click anything.", "active");
    else if (outcome) refuse(REFUSED[outcome]);
  }

  /** What is told of a status is taken away when the status is left. */
  tell(what, status = this.#status) {
    this.#toldOf = status;
    element("told").textContent = what;
  }

  statusChanged(status) {
    const before = this.#status;
    this.#status = status;
    if (before === this.#toldOf && status !== before) this.tell("");
  }

  #tellWhile(holds, said, then) {
    this.tell(said);
    this.#passing = { holds, said, then };
  }

  #on(id, action) {
    element(id).addEventListener("click", async () => {
      element(id).ariaBusy = "true";
      try {
        const said = await action();
        if (said) this.tell(said);
      } catch (error) {
        this.tell(`That did not work: ${error.message}.`);
      } finally {
        element(id).ariaBusy = null;
        await this.#given.changed();
      }
    }, { signal: this.#listening.signal });
  }

  #show() {
    if (this.#passing && !this.#passing.holds()) {
      const { said, then } = this.#passing;
      this.#passing = undefined;
      if (element("told").textContent === said) this.tell(then);
    }
    const { connection, status } = this.#given.board;
    const live = Boolean(connection?.is_active);
    element("pause").disabled = !live;
    element("pause").textContent = status === "paused" ? "Resume" : "Pause";
    for (const id of ["disconnect", "revoke", "failure", "age", "forget", "host-writes"]) element(id).disabled = !live;
  }

  async #seed() {
    const { supabase, host, board, week } = this.#given;
    const rows = SESSIONS.map(([day, from, to, title]) => ({
      title,
      starts_at: at(week(), day, from * 60).toISOString(),
      ends_at: at(week(), day, to * 60).toISOString(),
    }));
    const { error } = await supabase.from("sessions").insert(rows);
    if (error) throw error;
    if (await board.mayBeConnected()) await host.planSessions();
    return "Five sessions planned.";
  }

  async #reset() {
    const { supabase, host, board } = this.#given;
    this.#endCountdown();
    await host.endOutage();
    // A filter is demanded; Row Level Security is what keeps it to one's own.
    const { error } = await supabase.from("sessions").delete().not("id", "is", null);
    if (error) throw error;
    if (await board.mayBeConnected()) await host.deleteAllEvents();
    return "All sessions and events are gone.";
  }

  async #pauseOrResume() {
    if (this.#given.board.status !== "paused") {
      return this.#write({ sync_enabled: false }, "Paused: nothing is recalculated until you resume.", "paused");
    }
    await this.#write({ sync_enabled: true }, "Resumed.", "active");
    // A sweep would do it within a minute.
    await this.#given.supabase.functions.invoke("setup-calendar-webhook");
  }

  #showStyle(style) {
    this.#style = style;
    element("host-writes").textContent = STYLES[style].button;
  }

  async #switchHostWrites() {
    const { host, board } = this.#given;
    const mine = ++this.#switched;
    const { next } = STYLES[this.#style];
    const runs = await host.runs();
    const { webhook_message_number: notified } = await board.loadConnection();
    await host.chooseHostWrites(next);
    this.#showStyle(next);
    const { said } = STYLES[next];
    if (next !== "none") this.#followWrites(mine, said, runs, Number(notified));
    return said;
  }

  /** Tells how often Google notified and the app was run since, until both are silent. */
  async #followWrites(mine, said, runsBefore, notifiedBefore) {
    const { host, board } = this.#given;
    let seen = "";
    let since = Date.now();
    while (mine === this.#switched) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      let runs, connection;
      try {
        [runs, connection] = await Promise.all([host.runs(), board.loadConnection()]);
      } catch {
        return;
      }
      if (!connection || mine !== this.#switched) return;
      const counts = [runs - runsBefore, Number(connection.webhook_message_number) - notifiedBefore];
      const now = `${counts} ${connection.sync_request_id}`;
      if (now !== seen) {
        seen = now;
        since = Date.now();
      } else if (Date.now() - since > SILENT_FOR && !connection.sync_request_id) {
        const [ran, notified] = counts;
        this.tell(notified === 0
          ? `${said} At the moment nothing does, so nothing was written: silence.`
          : `${said} Google notified ${times(notified)}, the app was run ${times(ran)}; then silence: looks show that the ` +
            "calendar is as the last run found it.");
        return this.#given.changed();
      }
    }
  }

  async #write(change, said, status) {
    const { supabase, board } = this.#given;
    const { error } = await supabase.from("calendar_connections").update(change).eq("id", board.connection.id);
    if (error) throw error;
    this.tell(said, status);
  }

  async #beginOutage() {
    const { seconds } = await this.#given.host.beginOutage();
    this.#endCountdown();
    const end = Date.now() + seconds * 1_000;
    const count = () => {
      const left = Math.ceil((end - Date.now()) / 1_000);
      element("outage").textContent = left > 0 ? `Google is down for ${left} s` : "Google’s API is down for 30 s";
      // A second later, for the server ends it by its own clock.
      if (left < 0) {
        this.#endCountdown();
        const { board } = this.#given;
        this.#tellWhile(
          () => Boolean(board.connection?.sync_request_id),
          "Google answers again. What was owed is being caught up with.",
          "Google answers again.",
        );
        this.#given.changed();
      }
    };
    this.#outage = setInterval(count, 1_000);
    count();
    return "Google’s Calendar API answers the functions and your recalculate-schedule with 503. Draw an event, as if in Google’s " +
      "own app: Google notifies, the run fails, stays owed, and is tried again until it succeeds.";
  }

  #endCountdown() {
    clearInterval(this.#outage);
    element("outage").textContent = "Google’s API is down for 30 s";
  }
}
