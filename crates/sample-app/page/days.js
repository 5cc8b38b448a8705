// Days and times of day, in the time zone of the browser.

export const MINUTE = 60_000;
export const DAY_MINUTES = 24 * 60;

export function startOfDay(date) {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate());
}

/** The same time of day, also when clocks change in between. */
export function addDays(date, days) {
  const moved = new Date(date);
  moved.setDate(moved.getDate() + days);
  return moved;
}

export function addMinutes(date, minutes) {
  return new Date(date.getTime() + minutes * MINUTE);
}

/** A time of day of the week's n-th day. */
export function at(week, day, minutes) {
  const date = addDays(week, day);
  date.setHours(0, minutes);
  return date;
}

export function minutesOfDay(date) {
  return date.getHours() * 60 + date.getMinutes();
}

/** Which day of the week a time is on: 0 to 6, or outside. */
export function dayOf(week, date) {
  return Math.round((startOfDay(date) - week) / (DAY_MINUTES * MINUTE));
}

/** As PostgREST prints it, or as lite does: `2026-01-01 00:00:00+00`. */
export function parseTime(text) {
  return new Date(text.replace(" ", "T").replace(/([+-]\d\d)$/, "$1:00"));
}

const formatter = (options) => new Intl.DateTimeFormat(undefined, options);
const clock = formatter({ hour: "numeric", minute: "2-digit" });
const hour = formatter({ hour: "numeric" });
const shortDay = formatter({ weekday: "short" });
const day = formatter({ weekday: "long", day: "numeric", month: "long" });
const monthOfYear = formatter({ month: "long", year: "numeric" });

export const timeOfDay = (date) => clock.format(date);
export const timeRange = (start, end) => clock.formatRange(start, end);
export const hourOfDay = (date) => hour.format(date);
export const weekday = (date) => shortDay.format(date);
export const longDay = (date) => day.format(date);
export const month = (date) => monthOfYear.format(date);
