// What hosted Edge Functions find beside Deno's own globals. Imported before the function, so that it is
// there when the function's module runs.

const background = new Set<Promise<unknown>>();

Object.assign(globalThis, {
  EdgeRuntime: {
    // Deno.serve ignores promises that nobody awaits, and an unhandled rejection would end the process.
    waitUntil(promise: Promise<unknown>): void {
      const kept = Promise.resolve(promise)
        .catch((error) => console.error("EdgeRuntime.waitUntil:", error))
        .finally(() => background.delete(kept));
      background.add(kept);
    },
  },
});
