// Where blocks of one day go that overlap: side by side.

/**
 * Gives every block a `column` and the number of `columns` of its group. Blocks that overlap, directly or by way of
 * others, are a group; `from` and `to` are minutes;
 * equal ones go by `key`, so that nothing changes places for no reason.
 */
export function arrange(blocks) {
  const sorted = blocks.toSorted((a, b) => a.from - b.from || b.to - a.to || (a.key < b.key ? -1 : 1));
  let group = [];
  let groupEnd = -1;
  const finish = () => {
    const columns = Math.max(0, ...group.map((block) => block.column)) + 1;
    for (const block of group) block.columns = columns;
  };
  for (const block of sorted) {
    if (block.from >= groupEnd) {
      finish();
      group = [];
    }
    const taken = new Set(group.filter((other) => other.to > block.from).map((other) => other.column));
    block.column = 0;
    while (taken.has(block.column)) block.column += 1;
    group.push(block);
    groupEnd = Math.max(groupEnd, block.to);
  }
  finish();
  return sorted;
}
