// The keyboard in the week view: arrows move a focused block, with Shift they resize it, Delete removes it.
import { addDays, addMinutes } from "./days.js";
import { STEP } from "./pointer.js";

const STEPS = {
  ArrowUp: (date) => addMinutes(date, -STEP),
  ArrowDown: (date) => addMinutes(date, STEP),
  ArrowLeft: (date) => addDays(date, -1),
  ArrowRight: (date) => addDays(date, 1),
};

export function followKeys(days, week) {
  days.addEventListener("keydown", (event) => {
    if (!event.target.matches(".block") || event.ctrlKey || event.metaKey || event.altKey) return;
    const item = week.itemOf(event.target);
    const step = STEPS[event.key];
    if (event.key === "Delete" || event.key === "Backspace") {
      week.remove(item);
    } else if (step && event.shiftKey) {
      const end = step(item.end);
      if (end > item.start) week.nudge(item, item.start, end);
    } else if (step) {
      week.nudge(item, step(item.start), step(item.end));
    } else {
      return;
    }
    event.preventDefault();
  });
}
