// Elements, and where in the week they are.

export function make(tag, className, parent) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  parent?.append(element);
  return element;
}

/** `from` and `to` are minutes of the day; blocks that overlap share the day's width as columns. */
export function place(block, { day, from, to, column = 0, columns = 1 }) {
  const values = { day, from, to, column, columns };
  for (const [name, value] of Object.entries(values)) block.style.setProperty(`--${name}`, value);
}
