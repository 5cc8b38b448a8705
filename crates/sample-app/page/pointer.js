// Mouse, pen and finger in the week view: dragging adds, moves and resizes; two clicks add.
import { make, place } from "./block.js";
import { DAY_MINUTES, at, addMinutes, dayOf, minutesOfDay, timeRange } from "./days.js";

/** Everything starts and ends at a quarter of an hour. */
export const STEP = 15;
/** Pixels that a hand may shake without dragging. */
const SLACK = 4;
/** Milliseconds that a finger rests on an empty place until it draws there; one that moves sooner scrolls. */
const HOLD = 350;

export function followPointer(days, week) {
  days.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest("button")) return;
    const item = week.itemOf(event.target);
    if (!item && event.pointerType === "touch") return hold(days, event, () => follow(days, event, draw(week), 60));
    const block = event.target.closest(".block");
    const resizes = Boolean(event.target.closest(".handle"));
    const gesture = !item ? draw(week) : resizes ? resize(week, item, block) : move(week, item, block);
    follow(days, event, gesture);
  });
  // A finger that draws does not scroll, and asks for no menu.
  for (const type of ["touchmove", "contextmenu"]) {
    days.addEventListener(type, (event) => {
      if (days.matches(".dragging") && event.cancelable) event.preventDefault();
    }, { passive: false });
  }
  days.addEventListener("dblclick", (event) => {
    if (event.target.closest(".block, button")) return;
    const { day, minutes } = placeOf(days, event);
    const from = Math.min(Math.floor(minutes / 30) * 30, DAY_MINUTES - 60);
    week.add(at(week.first, day, from), at(week.first, day, from + 60));
  });
}

/** Begins once the finger has rested for long enough. */
function hold(days, down, begin) {
  const listening = new AbortController();
  const options = { signal: listening.signal };
  const timer = setTimeout(() => {
    listening.abort();
    begin();
  }, HOLD);
  const giveUp = () => {
    clearTimeout(timer);
    listening.abort();
  };
  days.addEventListener("pointermove", (event) => {
    if (Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) >= SLACK) giveUp();
  }, options);
  for (const type of ["pointerup", "pointercancel"]) days.addEventListener(type, giveUp, options);
}

/**
 * A gesture has `move(from, to)`, both places in the week, then `drop()` or `cancel()`. One that begins without a movement
 * is so many `minutes` long at first.
 */
function follow(days, down, gesture, minutes = 0) {
  const from = placeOf(days, down);
  const listening = new AbortController();
  const options = { signal: listening.signal };
  let dragging = false;
  const drag = () => {
    dragging = true;
    days.setPointerCapture(down.pointerId);
    days.classList.add("dragging");
  };
  const end = (finish) => {
    listening.abort();
    days.classList.remove("dragging");
    if (dragging) finish();
  };
  days.addEventListener("pointermove", (event) => {
    if (event.pointerId !== down.pointerId) return;
    if (!dragging && Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) < SLACK) return;
    if (!dragging) drag();
    gesture.move(from, placeOf(days, event));
  }, options);
  if (minutes > 0) {
    drag();
    gesture.move(from, { ...from, minutes: from.minutes + minutes });
  }
  days.addEventListener("pointerup", () => end(() => gesture.drop()), options);
  days.addEventListener("pointercancel", () => end(() => gesture.cancel()), options);
  window.addEventListener("keydown", (event) => {
    if (event.key === "Escape") end(() => gesture.cancel());
  }, options);
}

function draw(week) {
  const ghost = make("div", "block ghost");
  let slot;
  return {
    move(from, to) {
      const first = floor(Math.min(from.minutes, to.minutes));
      const last = Math.max(ceil(Math.max(from.minutes, to.minutes)), first + STEP);
      slot = { day: from.day, from: first, to: Math.min(last, DAY_MINUTES) };
      place(ghost, slot);
      ghost.textContent = timeRange(at(week.first, slot.day, slot.from), at(week.first, slot.day, slot.to));
      week.days.append(ghost);
    },
    drop() {
      ghost.remove();
      week.add(at(week.first, slot.day, slot.from), at(week.first, slot.day, slot.to));
    },
    cancel() {
      ghost.remove();
    },
  };
}

function move(week, item, block) {
  const length = (item.end - item.start) / 60_000;
  const origin = { day: dayOf(week.first, item.start), minutes: minutesOfDay(item.start) };
  return held(week, item, block, (from, to) => {
    const day = Math.min(Math.max(origin.day + to.day - from.day, 0), 6);
    const minutes = round(origin.minutes + to.minutes - from.minutes);
    const start = at(week.first, day, Math.min(Math.max(minutes, 0), Math.max(DAY_MINUTES - length, 0)));
    return { start, end: addMinutes(start, length) };
  });
}

function resize(week, item, block) {
  return held(week, item, block, (from, to) => {
    const moved = addMinutes(item.end, round(to.minutes - from.minutes));
    const least = addMinutes(item.start, STEP);
    const latest = at(week.first, dayOf(week.first, new Date(item.end - 1)), DAY_MINUTES);
    return { start: item.start, end: new Date(Math.min(Math.max(moved, least), latest)) };
  });
}

/** A block that follows the pointer; the week draws it there until the gesture ends. */
function held(week, item, block, slot) {
  let next = item;
  const show = ({ start, end }) => {
    place(block, {
      day: dayOf(week.first, start),
      from: minutesOfDay(start),
      to: minutesOfDay(end) || DAY_MINUTES,
    });
    block.querySelector(".time").textContent = timeRange(start, end);
  };
  return {
    move(from, to) {
      next = slot(from, to);
      block.classList.add("held");
      show(next);
    },
    drop() {
      block.classList.remove("held");
      if (+next.start === +item.start && +next.end === +item.end) show(item);
      else week.change(item, next.start, next.end);
    },
    cancel() {
      block.classList.remove("held");
      show(item);
    },
  };
}

function placeOf(days, event) {
  const { left, top, width, height } = days.getBoundingClientRect();
  const day = Math.floor(((event.clientX - left) / width) * 7);
  const minutes = ((event.clientY - top) / height) * DAY_MINUTES;
  return { day: Math.min(Math.max(day, 0), 6), minutes: Math.min(Math.max(minutes, 0), DAY_MINUTES) };
}

const round = (minutes) => Math.round(minutes / STEP) * STEP;
const floor = (minutes) => Math.floor(minutes / STEP) * STEP;
const ceil = (minutes) => Math.ceil(minutes / STEP) * STEP;
