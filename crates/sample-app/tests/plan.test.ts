// Where sessions go, in hours of one day: `slots("9-10 14-15.5")`.
import { plan, type Slot } from "../supabase/functions/recalculate-schedule/plan.ts";

const HOUR = 60 * 60 * 1000;

function slots(text: string): Slot[] {
  return text.split(" ").filter(Boolean).map((slot) => {
    const [start, end] = slot.split("-").map((hours) => Number(hours) * HOUR);
    return { start, end };
  });
}

function assertEquals(actual: unknown, expected: unknown, about: string) {
  const [seen, wanted] = [actual, expected].map((value) => JSON.stringify(value));
  if (seen !== wanted) throw new Error(`${about}: expected ${wanted}, saw ${seen}`);
}

Deno.test("sessions give way to events and to each other", () => {
  for (const [wanted, busy, expected] of [
    // Nothing to do.
    ["", "9-10", ""],
    ["9-10", "", "9-10"],
    ["9-10", "8-9 10-11", "9-10"],
    // Out of the way, by no more than necessary and as long as before.
    ["9-10", "9-10", "10-11"],
    ["9-10", "8-9.5", "9.5-10.5"],
    ["9-10.5", "9.5-10", "10-11.5"],
    ["9-11", "9-10 11-12", "12-14"],
    ["9-10", "9-10 10.5-11 11-13", "13-14"],
    // Events may overlap each other, and come in any order.
    ["9-10", "11-12 9-11.5 9-9.5", "12-13"],
    // A displaced session does not displace another one.
    ["9-10 10-11", "9-10", "11-12 10-11"],
    ["10-11 9-10", "9-10", "10-11 11-12"],
    // Two displaced ones keep their order.
    ["9-10 9.5-10.5", "9-11", "11-12 12-13"],
    ["9.5-10.5 9-10", "9-11", "12-13 11-12"],
    // Two that want the same time: the first one gets it.
    ["9-10 9-10", "", "9-10 10-11"],
  ]) {
    assertEquals(plan(slots(wanted), slots(busy)), slots(expected), `${wanted} among ${busy}`);
  }
});

Deno.test("a plan without the event is the one before it", () => {
  const wanted = slots("9-10 10-11 14-15");
  if (JSON.stringify(plan(wanted, slots("9-10.5"))) === JSON.stringify(wanted)) throw new Error("nothing moved");
  assertEquals(plan(wanted, []), wanted, "without events");
});
