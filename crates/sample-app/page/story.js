// Tells how a change went, in a sentence and in steps.
import { make } from "./block.js";

const outcome = document.getElementById("outcome");
const steps = document.getElementById("steps");
const track = document.getElementById("track");

const seconds = (milliseconds) => `${(milliseconds / 1000).toFixed(milliseconds < 995 ? 2 : 1)} s`;

let told = false;

/** What to do, as long as nothing has been done. */
export function suggest(what) {
  if (!told) say(what);
}

/** Nothing has been done, or not by this user. */
export function forget() {
  told = false;
  delete outcome.dataset.outcome;
  track.replaceChildren();
  steps.replaceChildren();
}

/** A live region is read out whenever it is written to. */
function say(what) {
  if (outcome.textContent !== what) outcome.textContent = what;
}

export function tell(story) {
  told = true;
  say(sentence(story));
  outcome.dataset.outcome = story.outcome;
  const inOrder = story.steps.toSorted((one, other) => one.after - other.after);
  const span = inOrder.at(-1).after || 1;
  track.replaceChildren(...inOrder.map(({ after }) => {
    const dot = make("i");
    dot.style.setProperty("--at", after / span);
    return dot;
  }));
  steps.replaceChildren(...inOrder.map(({ what, after, atMost }) => {
    const step = make("li");
    make("span", "", step).textContent = what;
    make("span", "after", step).textContent = after === 0 ? "0 s" : `${atMost ? "≤ " : "+"}${seconds(after)}`;
    return step;
  }));
  const ended = ["done", "not watched", "given up"].includes(story.outcome);
  track.classList.toggle("open", !ended);
}

function sentence({ outcome, moved, steps, error, wasHeldBack }) {
  const after = seconds(steps.at(-1).after);
  switch (outcome) {
    case "done":
      if (moved === 0) return `Recalculated; no session had to move. Seen ${after} after the change.`;
      return `${moved === 1 ? "1 session" : `${moved} sessions`} moved ${after} after the change` +
        (wasHeldBack ? ": after many changes in a row they are gathered." : ".");
    case "held back":
      return "Google has notified; the run waits. After many changes in a row they are gathered, for two minutes at most.";
    case "failing":
      return `The recalculation failed (${error}). It is repeated by itself.`;
    case "not watched":
      return "The calendar is not watched at the moment: nothing follows by itself.";
    case "given up":
      return "No recalculation was seen. Is the sweep running?";
    default:
      return "Changed. Waiting for the sessions …";
  }
}
