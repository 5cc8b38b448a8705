// A place in the week for the keyboard: arrows move it, Enter adds something there.
import { DAY_MINUTES, at, dayOf, longDay, minutesOfDay, startOfDay, timeOfDay } from "./days.js";

const STEP = 30;
const LENGTH = 60;

export class Cursor {
  #button = document.createElement("button");
  #announcement = document.createElement("span");
  #week;
  #day = 0;
  #minutes = 10 * 60;

  constructor(days, add) {
    this.#button.type = "button";
    this.#button.className = "cursor";
    this.#announcement.className = "unseen";
    this.#announcement.ariaLive = "polite";
    days.append(this.#button, this.#announcement);
    this.#button.addEventListener("click", () => add(...this.slot()));
    this.#button.addEventListener("keydown", (event) => this.#move(event));
  }

  /** The hour that something would be added at. */
  slot() {
    return [at(this.#week, this.#day, this.#minutes), at(this.#week, this.#day, this.#minutes + LENGTH)];
  }

  focus() {
    this.#button.focus({ preventScroll: true });
  }

  turnTo(week) {
    this.#week = week;
    const today = dayOf(week, startOfDay(new Date()));
    if (today >= 0 && today < 7) {
      this.#day = today;
      this.#minutes = Math.min(Math.ceil(minutesOfDay(new Date()) / 60) * 60, DAY_MINUTES - LENGTH);
    }
    this.#show();
  }

  #move(event) {
    const steps = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (!steps) return;
    event.preventDefault();
    this.#day = Math.min(Math.max(this.#day + steps[0], 0), 6);
    this.#minutes = Math.min(Math.max(this.#minutes + steps[1] * STEP, 0), DAY_MINUTES - LENGTH);
    this.#show();
    this.#button.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.#announcement.textContent = this.#label();
  }

  #label() {
    const [start] = this.slot();
    return `${longDay(start)}, ${timeOfDay(start)}`;
  }

  #show() {
    const { style } = this.#button;
    style.setProperty("--day", this.#day);
    style.setProperty("--from", this.#minutes);
    style.setProperty("--to", this.#minutes + LENGTH);
    this.#button.textContent = "+";
    this.#button.ariaLabel = `Add at ${this.#label()}`;
  }
}
