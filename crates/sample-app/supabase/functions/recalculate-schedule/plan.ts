// Where sessions go among the events of a calendar. The same input always gives the same plan.

/** A stretch of time in milliseconds, its end excluded. */
export interface Slot {
  start: number;
  end: number;
}

/**
 * A slot for each session. Those that can stay where they are wanted do; the others then get the earliest free slot after
 * that, in the order in which they are wanted.
 */
export function plan(wanted: Slot[], busy: Slot[]): Slot[] {
  const taken = [...busy];
  const planned = [...wanted];
  const order = wanted.map((_, index) => index)
    .sort((a, b) =>
      wanted[a].start - wanted[b].start || wanted[a].end - wanted[b].end ||
      a - b
    );
  const displaced = order.filter((index) => {
    if (taken.some((slot) => overlap(slot, wanted[index]))) return true;
    taken.push(wanted[index]);
    return false;
  });
  for (const index of displaced) {
    planned[index] = earliestFree(wanted[index], taken);
    taken.push(planned[index]);
  }
  return planned;
}

function earliestFree({ start, end }: Slot, taken: Slot[]): Slot {
  const length = end - start;
  for (const slot of taken.toSorted((a, b) => a.start - b.start)) {
    if (overlap(slot, { start, end: start + length })) start = slot.end;
  }
  return { start, end: start + length };
}

function overlap(a: Slot, b: Slot): boolean {
  return a.start < b.end && b.start < a.end;
}
