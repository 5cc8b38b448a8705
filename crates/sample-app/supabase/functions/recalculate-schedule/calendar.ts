// The busy times of a Google Calendar.
import { Problem } from "../_calendar-app/answer.ts";
import type { Slot } from "./plan.ts";

const API = "https://www.googleapis.com/calendar/v3";

/** The fields of an event that are read here: developers.google.com/workspace/calendar/api/v3/reference/events */
interface Event {
  status?: string;
  transparency?: string;
  start?: EventTime;
  end?: EventTime;
  attendees?: { self?: boolean; responseStatus?: string }[];
  extendedProperties?: { private?: Record<string, string> };
}

interface EventTime {
  dateTime?: string;
  /** Of an all-day event. */
  date?: string;
}

interface Page {
  items?: Event[];
  /** The calendar's. */
  timeZone?: string;
  nextPageToken?: string;
}

/** What takes the owner's time between two moments. */
export async function busyTimes(
  calendar: string,
  accessToken: string,
  { start, end }: Slot,
): Promise<Slot[]> {
  const busy: Slot[] = [];
  let pageToken: string | undefined;
  do {
    const url = new URL(
      `${API}/calendars/${encodeURIComponent(calendar)}/events`,
    );
    url.search = new URLSearchParams({
      singleEvents: "true",
      timeMin: new Date(start).toISOString(),
      timeMax: new Date(end).toISOString(),
      maxResults: "2500",
      ...(pageToken ? { pageToken } : {}),
    }).toString();
    const page = await read(url, accessToken);
    for (const event of page.items ?? []) {
      const slot = slotOf(event, page.timeZone ?? "UTC");
      if (slot) busy.push(slot);
    }
    pageToken = page.nextPageToken;
  } while (pageToken);
  return busy;
}

async function read(url: URL, accessToken: string): Promise<Page> {
  const answer = await fetch(url, {
    headers: { Authorization: `Bearer ${accessToken}` },
    // A run is given 50 seconds.
    signal: AbortSignal.timeout(20_000),
  });
  if (answer.ok) return answer.json();
  await answer.body?.cancel();
  if (answer.status === 401) {
    throw new Problem(
      409,
      "reconnect_required",
      "Google no longer accepts the access token: connect the calendar again",
    );
  }
  // The run is repeated soon. After a 502, a gateway's word for a function that may
  // still be working, it would be repeated only after minutes.
  throw new Problem(
    503,
    "google_unavailable",
    `Google Calendar answered ${answer.status}`,
  );
}

function slotOf(event: Event, timeZone: string): Slot | null {
  const declined = event.attendees?.some((one) =>
    one.self && one.responseStatus === "declined"
  );
  if (
    event.status === "cancelled" || event.transparency === "transparent" ||
    declined
  ) return null;
  // An app that writes its sessions into the calendar marks them, and does not make way for them.
  if (event.extendedProperties?.private?.session) return null;
  const [start, end] = [event.start, event.end].map((time) =>
    time?.dateTime
      ? Date.parse(time.dateTime)
      : time?.date
      ? midnight(time.date, timeZone)
      : NaN
  );
  return start < end ? { start, end } : null;
}

/** When a day begins somewhere. */
function midnight(date: string, timeZone: string): number {
  const utc = Date.parse(date);
  // The clocks may be changed between that moment in UTC and the one there.
  const guess = utc - offset(utc, timeZone);
  return utc - offset(guess, timeZone);
}

/** How far a zone's clocks are ahead of UTC at a moment. */
function offset(moment: number, timeZone: string): number {
  const there = new Date(moment).toLocaleString("sv-SE", { timeZone });
  return Date.parse(`${there.replace(" ", "T")}Z`) - moment;
}
