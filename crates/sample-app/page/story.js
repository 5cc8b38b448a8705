// Tells how a change went, in a sentence and in steps.
import { make } from "./block.js";

const outcome = document.getElementById("outcome");
const steps = document.getElementById("steps");

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
  steps.classList.remove("open");
  steps.replaceChildren();
}

/** The connection has changed, perhaps its status too: what was said of it may no longer be so. */
export function outdate(hasOtherStatus) {
  const overBy = hasOtherStatus ? ["failing", "refused", "not watched", "given up"] : ["not watched", "given up"];
  if (overBy.includes(outcome.dataset.outcome)) forget();
}

/** A live region is read out whenever it is written to. */
function say(what) {
  if (outcome.textContent !== what) outcome.textContent = what;
}

/** Nothing was changed: what was asked for did not work. */
export function refuse(why) {
  forget();
  told = true;
  say(why);
  outcome.dataset.outcome = "refused";
}

export function tell(story) {
  told = true;
  say(sentence(story));
  outcome.dataset.outcome = story.outcome;
  const inOrder = story.steps.toSorted((one, other) => one.after - other.after);
  steps.replaceChildren(...inOrder.map(({ what, after, atMost }) => {
    const step = make("li");
    make("span", "", step).textContent = what;
    make("span", "after", step).textContent = after === 0 ? "0 s" : `${atMost ? "≤ " : "+"}${seconds(after)}`;
    return step;
  }));
  const ended = ["done", "not watched", "given up"].includes(story.outcome);
  steps.classList.toggle("open", !ended);
}

const count = (sessions) => (sessions === 1 ? "1 session" : `${sessions} sessions`);

function sentence({ outcome, moved, steps, error, wasHeldBack, hadFailed, wasSettled, look }) {
  const after = seconds(steps.at(-1).after);
  switch (outcome) {
    case "silence":
      return "Google says nothing: it has forgotten the channel. The calendar is looked at in a moment, as it is every few hours.";
    case "done":
      if (look === "nothing new") {
        return "Google said nothing, and the look saw nothing new: what is over for a day is not looked at. Change something that is yet to come.";
      }
      if (look === "found") {
        return `Google said nothing; a look found the change${moved ? `, and ${count(moved)} moved` : ""}. ` +
          "Another channel was opened: Google notifies again.";
      }
      if (wasSettled) return "Google notified, and a look found the calendar as the last run had left it: nothing was recalculated.";
      if (moved === 0) return `Recalculated; no session had to move. Seen ${after} after the change.`;
      return `${count(moved)} moved ${after} after the change` +
        (hadFailed ? ": the run failed before, and was tried again." : wasHeldBack ? ": after many changes in a row they are gathered." : ".");
    case "held back":
      return "Google has notified; the run waits. After many changes in a row they are gathered, for two minutes at most.";
    case "failing":
      return `The recalculation failed (${error}). The functions try again, at first after seconds, until it succeeds.`;
    case "not watched":
      return "The calendar is not watched at the moment: nothing follows by itself.";
    case "given up":
      return "No recalculation was seen. Is the sweep running?";
    default:
      return "Changed. Waiting for the sessions …";
  }
}
