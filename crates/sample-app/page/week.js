// The week view: draws what is planned, and says what the user wants changed.
import { make, place } from "./block.js";
import { arrange } from "./columns.js";
import { Cursor } from "./cursor.js";
import {
  DAY_MINUTES, addDays, at, dayOf, hourOfDay, longDay, minutesOfDay, startOfDay, timeOfDay, timeRange, weekday,
} from "./days.js";
import { followKeys } from "./keyboard.js";
import { followPointer } from "./pointer.js";

const KINDS = { event: "Event", session: "Session" };

/**
 * Items are `{ key, kind: "event" | "session", id, title, start, end, wanted?, written? }`, `wanted` being when a session
 * that gave way was to start, `written` whether it is in the calendar, too. `wishes` are the functions `add(start, end)`, `change(item)`, `nudge(item)` and
 * `remove(item)`.
 */
export class Week {
  #root;
  #scroller;
  #head;
  #days;
  #now;
  #blocks = new Map();
  #items = [];
  #first;
  #wishes;
  #clock;

  constructor(root, wishes) {
    this.#root = root;
    this.#wishes = wishes;
    root.replaceChildren();
    this.#scroller = make("div", "scroller", root);
    this.#scroller.tabIndex = -1;
    this.#head = make("div", "head", this.#scroller);
    const hours = make("div", "hours", this.#scroller);
    hours.ariaHidden = "true";
    for (let hour = 1; hour < 24; hour += 1) {
      const label = make("span", "", hours);
      label.textContent = hourOfDay(new Date(2000, 0, 1, hour));
      label.style.setProperty("--from", hour * 60);
    }
    this.#days = make("div", "days", this.#scroller);
    this.#now = make("div", "now", this.#days);
    this.#now.ariaHidden = "true";
    this.cursor = new Cursor(this.#days, (start, end) => wishes.add(start, end));
    followPointer(this.#days, this);
    followKeys(this.#days, this);
    this.#clock = setInterval(() => this.#showNow(), 30_000);
  }

  close() {
    clearInterval(this.#clock);
    this.#root.replaceChildren();
  }

  get first() {
    return this.#first;
  }

  get days() {
    return this.#days;
  }

  /** Shows another week. */
  turnTo(first) {
    this.#first = first;
    this.#head.replaceChildren(make("span", "corner"));
    for (const column of this.#days.querySelectorAll(".day")) column.remove();
    const today = startOfDay(new Date()).getTime();
    for (let day = 0; day < 7; day += 1) {
      const date = addDays(first, day);
      const name = make("div", "day-name", this.#head);
      make("span", "", name).textContent = weekday(date);
      make("b", "", name).textContent = date.getDate();
      const column = make("div", "day", this.#days);
      column.style.setProperty("--day", day);
      for (const part of [name, column]) part.classList.toggle("today", date.getTime() === today);
      if (date.getTime() === today) name.ariaCurrent = "date";
    }
    this.cursor.turnTo(first);
    this.#showNow();
    this.show(this.#items);
  }

  /** Brings a time of day into view, on the given day if not all of them fit. */
  scrollTo(day, minutes) {
    const { width, height } = this.#days.getBoundingClientRect();
    this.#scroller.scrollTo({ left: (width / 7) * day, top: (height / DAY_MINUTES) * minutes });
  }

  show(items) {
    this.#items = items;
    const parts = items.flatMap((item) => this.#parts(item));
    const byDay = Map.groupBy(parts, (part) => part.day);
    const inOrder = [...byDay.keys()].sort().flatMap((day) => arrange(byDay.get(day)));
    const gone = new Set(this.#blocks.keys());
    for (const part of inOrder) {
      gone.delete(part.key);
      this.#draw(part);
    }
    for (const key of gone) {
      this.#blocks.get(key).remove();
      this.#blocks.delete(key);
    }
    this.#keepReadingOrder(inOrder);
  }

  /** The next hour of the day shown with nothing on it, from where the cursor is; the cursor's own if there is none. */
  freeHour() {
    const own = this.cursor.slot();
    const days = this.#days.getBoundingClientRect().width;
    const areAllShown = days <= this.#scroller.clientWidth;
    const day = areAllShown ? dayOf(this.#first, own[0]) : Math.round((this.#scroller.scrollLeft / days) * 7);
    for (let from = minutesOfDay(own[0]); from + 60 <= DAY_MINUTES; from += 30) {
      const [start, end] = [at(this.#first, day, from), at(this.#first, day, from + 60)];
      if (!this.#items.some((item) => item.start < end && item.end > start)) return [start, end];
    }
    return own;
  }

  /** The item of a block, or of something inside one. */
  itemOf(node) {
    const block = node.closest?.(".block");
    return block && this.#items.find((item) => item.key === block.item);
  }

  focus(key) {
    this.#blocks.get(`${key}#0`)?.focus();
  }

  add(start, end) {
    this.#wishes.add(start, end);
  }

  change(item, start, end) {
    this.#wishes.change({ ...item, start, end });
  }

  /** One of several small changes, as by a key that is held down. */
  nudge(item, start, end) {
    this.#wishes.nudge({ ...item, start, end });
  }

  remove(item) {
    this.#wishes.remove(item);
    this.cursor.focus();
  }

  /** One part for each day of this week that the item is on. */
  #parts(item) {
    const from = dayOf(this.#first, item.start);
    // The end is no longer part of it: midnight belongs to the day before.
    const to = dayOf(this.#first, new Date(item.end.getTime() - 1));
    const parts = [];
    for (let day = Math.max(from, 0); day <= Math.min(to, 6); day += 1) {
      parts.push({
        key: `${item.key}#${day - from}`,
        item,
        day,
        from: day === from ? minutesOfDay(item.start) : 0,
        to: day === to ? minutesOfDay(item.end) || DAY_MINUTES : DAY_MINUTES,
        first: day === from,
        last: day === to,
      });
    }
    return parts;
  }

  #draw({ key, item, day, from, to, column, columns, first, last }) {
    let block = this.#blocks.get(key);
    if (!block) {
      block = this.#newBlock(item);
      this.#blocks.set(key, block);
    }
    // It is in somebody's hand.
    if (block.matches(".held")) return;
    const gaveWay = Boolean(item.wanted);
    block.className = `block ${item.kind}`;
    block.classList.toggle("moved", gaveWay);
    block.classList.toggle("short", to - from < 45);
    block.classList.toggle("goes-on", !last);
    block.tabIndex = first ? 0 : -1;
    place(block, { day, from, to, column, columns });
    block.querySelector(".title").textContent = item.title || "Untitled";
    block.querySelector(".time").textContent = timeRange(item.start, item.end);
    block.querySelector(".wanted").textContent = gaveWay ? timeOfDay(item.wanted) : "";
    const where = item.written ? ", also in Google Calendar" : "";
    block.querySelector(".kind").textContent = KINDS[item.kind] + where;
    block.querySelector(".remove").ariaLabel = `Remove ${item.title || "untitled"}`;
    block.ariaLabel = `${KINDS[item.kind]} ${item.title || "untitled"}, ${longDay(item.start)}, ${timeOfDay(item.start)} to ` +
      timeOfDay(item.end) + (gaveWay ? `, gave way, wanted at ${timeOfDay(item.wanted)}` : "") + where;
  }

  #newBlock(item) {
    const block = make("div", "", this.#days);
    block.item = item.key;
    block.dataset.id = item.id;
    block.role = "group";
    block.ariaRoleDescription = item.kind;
    block.ariaKeyShortcuts = "ArrowUp ArrowDown ArrowLeft ArrowRight Shift+ArrowUp Shift+ArrowDown Delete";
    make("span", "title", block);
    make("span", "time", block);
    make("span", "wanted", block);
    make("span", "kind", block);
    const remove = make("button", "remove", block);
    remove.type = "button";
    remove.textContent = "×";
    // By keyboard it is Delete; every block as two stops would be tiring.
    remove.tabIndex = -1;
    remove.addEventListener("click", () => this.remove(this.itemOf(block)));
    make("span", "handle", block).ariaHidden = "true";
    return block;
  }

  /** By the tabulator key one goes through the week as it is, whatever was added last. */
  #keepReadingOrder(parts) {
    const wanted = parts.map((part) => this.#blocks.get(part.key));
    const present = [...this.#days.querySelectorAll(".block:not(.ghost)")];
    if (wanted.every((block, index) => block === present[index])) return;
    const focused = document.activeElement;
    // `moveBefore` keeps focus and transitions; without it both are lost, which only looks worse.
    for (const block of wanted) {
      if (this.#days.moveBefore) this.#days.moveBefore(block, null);
      else this.#days.append(block);
    }
    if (this.#days.contains(focused)) focused.focus({ preventScroll: true });
  }

  #showNow() {
    if (!this.#first) return;
    const now = new Date();
    const day = dayOf(this.#first, now);
    this.#now.hidden = day < 0 || day > 6;
    this.#now.style.setProperty("--day", day);
    this.#now.style.setProperty("--from", minutesOfDay(now));
  }
}
