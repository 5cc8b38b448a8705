// What 1,000 mounts leave behind.

import assert from "node:assert/strict";
import { after, before, it } from "node:test";

import { Scene, eventually, launch } from "./scene.mjs";
import { row } from "./supabase.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

/** Counts the timers and listeners of the page, and finds the module's memory. */
function count() {
  const timers = new Set();
  const { setTimeout: set, clearTimeout: clear } = window;
  window.setTimeout = (callback, ...rest) => {
    const timer = set((...values) => {
      timers.delete(timer);
      callback(...values);
    }, ...rest);
    timers.add(timer);
    return timer;
  };
  window.clearTimeout = (timer) => {
    timers.delete(timer);
    clear(timer);
  };
  let listeners = 0;
  for (const target of [window, document]) {
    const { addEventListener: add, removeEventListener: remove } = target;
    target.addEventListener = (...values) => (listeners++, add.apply(target, values));
    target.removeEventListener = (...values) => (listeners--, remove.apply(target, values));
  }
  const { instantiate } = WebAssembly;
  let exports;
  WebAssembly.instantiate = async (...values) => {
    const started = await instantiate.apply(WebAssembly, values);
    exports = started.instance.exports;
    return started;
  };
  window.counts = () => ({
    timers: timers.size,
    listeners,
    subscriptions: client.auth.stateChangeEmitters.size,
    memory: exports.memory.buffer.byteLength,
    handles: exports.__wbindgen_externrefs?.length ?? 0,
  });
}

const isNoMore = (counts, before) => Object.entries(counts).every(([what, count]) => count <= before[what]);

it("1,000 mounts leave no timer, listener, closure or memory", { timeout: 300_000 }, async (test) => {
  const scene = await Scene.open(test, browser, {
    rows: [row({ sync_status: "pending" }), row({ id: "0190b000-0000-7000-8000-000000000002", status: "not_set_up" })],
    faults: { "setup-calendar-webhook": "hang" },
    before: async (scene) => {
      await scene.page.addInitScript(count);
      await scene.page.reload();
    },
  });
  await scene.card(1).waitFor();
  const devtools = await scene.context.newCDPSession(scene.page);
  await devtools.send("Performance.enable");

  /** Some are taken out at once, some while they ask, some while a setup is under way. */
  const mounts = (times) =>
    scene.page.evaluate(async (times) => {
      document.querySelector("google-calendar-integration")?.remove();
      for (let time = 0; time < times; time++) {
        const element = mount();
        if (time % 4 === 1) await null;
        if (time % 4 >= 2) await element.refresh();
        if (time % 4 === 3) element.shadowRoot.querySelector("summary").focus();
        element.remove();
      }
      await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    }, times);
  const look = async () => {
    await devtools.send("HeapProfiler.collectGarbage");
    const { metrics } = await devtools.send("Performance.getMetrics");
    const metric = (name) => metrics.find((metric) => metric.name === name).value;
    return {
      ...(await scene.page.evaluate(() => counts())),
      jsListeners: metric("JSEventListeners"),
      nodes: metric("Nodes"),
      heap: metric("JSHeapUsedSize"),
    };
  };

  /** The answers of what was aborted may still be under way: two looks have to agree. */
  const settled = () => {
    let last;
    const isAsBefore = (counts) => {
      const agrees = last && ["timers", "handles", "nodes"].every((what) => counts[what] === last[what]);
      last = counts;
      return agrees;
    };
    return eventually(look, isAsBefore, "nothing is under way any more");
  };

  await mounts(200);
  const before = await settled();
  before.heap += 500_000;
  // The module's memory is as large as what was ever under way at once: it may grow, and a leak grows every time.
  for (let tries = 3; ; tries--) {
    await mounts(1_000);
    const { memory } = await settled();
    if (memory <= before.memory) break;
    assert.ok(tries > 1, `the memory goes on growing, to ${memory} bytes`);
    before.memory = memory;
  }
  await eventually(look, (counts) => isNoMore(counts, before), `no more is left than ${JSON.stringify(before)}`);
});

it("a mounted element that goes on looking does not grow", { timeout: 120_000 }, async (test) => {
  const scene = await Scene.open(test, browser, {
    rows: [row()],
    before: async (scene) => {
      await scene.page.addInitScript(count);
      await scene.page.reload();
    },
  });
  const look = (times) =>
    scene.page.evaluate(async (times) => {
      const element = document.querySelector("google-calendar-integration");
      for (let time = 0; time < times; time++) await element.refresh();
      return counts();
    }, times);
  const before = await look(50);
  await look(500);
  // The client sets timers of its own, which come and go at any time.
  await eventually(() => look(1), (counts) => isNoMore(counts, before), `grows no further than ${JSON.stringify(before)}`);
});
