// How soon something is seen at 4× CPU slowdown: the first contentful paint of a page with the element, and of the same
// page with a plain custom element of the same styles and markup, in turn. Prints the medians and their ratio.
// Run it after scripts/build: node crates/element/tests/paint.mjs [pairs]

import { readFile } from "node:fs/promises";

import { launch } from "./scene.mjs";
import { Supabase } from "./supabase.mjs";

const pairs = Number(process.argv[2] ?? 30);
const source = (file) => readFile(new URL(`../npm/${file}`, import.meta.url), "utf8");

/** As one would write it who needs neither Rust nor languages. */
const vanilla = (css, html) => `
  const styles = new CSSStyleSheet();
  styles.replaceSync(${JSON.stringify(css)});
  const template = document.createElement("template");
  template.innerHTML = ${JSON.stringify(html)};
  customElements.define("vanilla-panel", class extends HTMLElement {
    connectedCallback() {
      const root = this.attachShadow({ mode: "open" });
      root.adoptedStyleSheets = [styles];
      root.append(template.content.firstElementChild.cloneNode(true));
      root.querySelector(".title").textContent = "Google Calendar";
      root.querySelector(".summary").textContent = "Loading…";
    }
  });
`;
const page = (script, tag) => ({
  type: "text/html",
  body: `<!doctype html><html lang="en"><link rel="icon" href="data:,"><script type="module" src="${script}"></script><${tag}></${tag}>`,
});

const supabase = await Supabase.start();
supabase.site = {
  "/vanilla.js": { type: "text/javascript", body: vanilla(await source("style.css"), (await source("panel.html")) + (await source("card.html"))) },
  "/vanilla": page("/vanilla.js", "vanilla-panel"),
  "/element": page("/element.js", "google-calendar-integration"),
};
const browser = await launch();

async function firstPaint(path) {
  const context = await browser.newContext({ viewport: { width: 720, height: 640 } });
  const tab = await context.newPage();
  const devtools = await context.newCDPSession(tab);
  await devtools.send("Emulation.setCPUThrottlingRate", { rate: 4 });
  await tab.goto(`${supabase.url}${path}`);
  const paint = await tab.evaluate(
    () =>
      new Promise((resolve) =>
        new PerformanceObserver((list) => {
          for (const { name, startTime } of list.getEntries()) if (name === "first-contentful-paint") resolve(startTime);
        }).observe({ type: "paint", buffered: true }),
      ),
  );
  await context.close();
  return paint;
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const seen = { vanilla: [], element: [] };
for (let pair = 0; pair < pairs; pair++) {
  for (const name of Object.keys(seen)) seen[name].push(await firstPaint(`/${name}`));
}
const [plain, ours] = [median(seen.vanilla), median(seen.element)];
console.log(`vanilla ${plain.toFixed(0)} ms, element ${ours.toFixed(0)} ms: ${(ours / plain).toFixed(2)} ×`);
await browser.close();
await supabase.stop();
