// The element as others get it: packed by npm, imported by a page and by a server.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { promisify } from "node:util";
import { gzipSync, inflateRawSync } from "node:zlib";

import { Projects, packageDirectory } from "./project.mjs";
import { Scene, launch } from "./scene.mjs";
import { row } from "./supabase.mjs";

const run = promisify(execFile);

let browser, projects;
before(async () => {
  browser = await launch();
  projects = await Projects.start();
});
after(async () => {
  await browser.close();
  await projects.stop();
});

it("the package holds all that the element loads, and nothing that is larger than it may be", async () => {
  const files = projects.packed.files.map(({ path }) => path).filter((path) => path.startsWith("element/"));
  assert.deepEqual(
    files.map((path) => path.slice("element/".length)).sort(),
    [
      "google-calendar-integration.d.ts",
      "google-calendar-integration.js",
      "module.js",
      ...["de", "es", "fr", "it", "ja", "pt"].map((language) => `texts.${language}.js`),
    ],
  );
  const elementDirectory = join(packageDirectory, "element");
  const javascript = await readFile(join(elementDirectory, "google-calendar-integration.js"), "utf8");
  const imported = [...javascript.matchAll(/^\s*import .*|import\(.*?\)|import\.meta/gm)].map(([words]) => words);
  assert.deepEqual(imported, [...["de", "es", "fr", "it", "ja", "pt"].map((language) => `import("./texts.${language}.js")`), 'import("./module.js")']);
  const module = await readFile(join(elementDirectory, "module.js"), "utf8");
  const wasm = inflateRawSync(Buffer.from(module.match(/const base64 =\s*"([^"]+)"/)[1], "base64"));
  assert.ok(WebAssembly.validate(wasm));
  const kilobytes = (bytes) => Math.round(gzipSync(bytes, { level: 9 }).length / 1000);
  const told = `${kilobytes(javascript)} KB after gzip and draws the panel at once; behind it comes \`module.js\` with the WASM, ${kilobytes(module)} KB after gzip, ${kilobytes(wasm)} of them WASM`;
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  assert.ok(readme.replace(/\s+/g, " ").includes(told), `crates/element/README.md does not say: ${told}`);
  assert.ok(kilobytes(module) <= 45, `${kilobytes(module)} KB`);
});

it("a page in English that includes it loads the module behind it, and nothing else", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  const page = await scene.context.newPage();
  const loaded = [];
  page.on("request", (request) => loaded.push(new URL(request.url()).pathname));
  await page.route("**/alone.html", (route) =>
    route.fulfill({
      contentType: "text/html",
      body: `<script type="module" src="/element.js"></script><link rel="icon" href="data:,"><google-calendar-integration></google-calendar-integration>`,
    }),
  );
  await page.goto(`${scene.supabase.url}/alone.html`);
  await page.getByText("Loading…").waitFor();
  assert.deepEqual(loaded, ["/alone.html", "/element.js", "/module.js"]);
});

it("including it twice, and setting properties before it is there, does no harm", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  const page = await scene.context.newPage();
  const failures = [];
  page.on("pageerror", (error) => failures.push(error));
  await page.route("**/twice.html", (route) =>
    route.fulfill({
      contentType: "text/html",
      body: `<script src="/supabase.js"></script>
        <google-calendar-integration></google-calendar-integration>
        <script>
          const element = document.querySelector("google-calendar-integration");
          element.client = supabase.createClient(location.origin, "sb_publishable_test");
          element.texts = { refresh: "Aktualisieren" };
        </script>
        <script type="module" src="/element.js?1"></script>
        <script type="module" src="/element.js?2"></script>`,
    }),
  );
  await page.goto(`${scene.supabase.url}/twice.html`);
  await page.getByRole("button", { name: "Aktualisieren" }).waitFor();
  assert.deepEqual(failures, []);
});

/** A page with nothing but the element, under a content security policy; and what the console calls an error. */
async function strictPage(test, policy, { language = "en", before = () => {} } = {}) {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  const page = await scene.context.newPage();
  const refused = [];
  page.on("console", (message) => message.type() === "error" && refused.push(message.text()));
  await page.addInitScript(before);
  await page.route("**/strict.html", (route) =>
    route.fulfill({
      contentType: "text/html",
      headers: { "content-security-policy": `default-src 'none'; img-src data:; ${policy}` },
      body: `<html lang="${language}"><script type="module" src="/element.js"></script><script src="/start.js"></script>
        <link rel="icon" href="data:,"><google-calendar-integration></google-calendar-integration>`,
    }),
  );
  // A client that says that nobody is signed in.
  await page.route("**/start.js", (route) =>
    route.fulfill({
      contentType: "text/javascript",
      body: `addEventListener("DOMContentLoaded", () => {
        const auth = { getSession: async () => ({ data: { session: null } }), onAuthStateChange: () => {} };
        document.querySelector("google-calendar-integration").client = { auth, from() {}, functions: {} };
      });`,
    }),
  );
  await page.goto(`${scene.supabase.url}/strict.html`);
  return { page, refused };
}

it("under a strict content security policy it needs nothing but wasm-unsafe-eval", async (test) => {
  const { page, refused } = await strictPage(test, "script-src 'self' 'wasm-unsafe-eval'");
  await page.getByText("You are signed out").waitFor();
  assert.equal(await page.locator("[part~=panel]").evaluate((panel) => getComputedStyle(panel).borderTopStyle), "solid");
  assert.deepEqual(refused, []);
});

it("it runs where the page demands Trusted Types and allows no policy", async (test) => {
  const policy = "script-src 'self' 'wasm-unsafe-eval'; require-trusted-types-for 'script'; trusted-types 'none'";
  const { page, refused } = await strictPage(test, policy);
  await page.getByText("You are signed out").waitFor();
  assert.deepEqual(refused, []);
});

it("where the page's policy refuses WebAssembly, the panel says what the page's owner must set", async (test) => {
  const { page } = await strictPage(test, "script-src 'self'");
  await page.getByText("must allow 'wasm-unsafe-eval' in script-src.").waitFor();
  assert.equal(await page.getByText("Loading…").count(), 0);
  const german = await strictPage(test, "script-src 'self'", { language: "de" });
  await german.page.getByText("'wasm-unsafe-eval' in script-src erlauben muss.").waitFor();
});

it("a browser that cannot run the module is told apart from a policy that forbids it", async (test) => {
  for (const missing of ["WebAssembly", "DecompressionStream"]) {
    const before = `delete globalThis.${missing}`;
    const { page } = await strictPage(test, "script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'", { before });
    await page.getByText("This browser cannot show your calendars.").waitFor();
  }
});

it("where the module cannot be loaded, the panel says so, and tries again when asked to", async (test) => {
  let isAway = true;
  const scene = await Scene.open(test, browser, {
    rows: [row()],
    before: (scene) => scene.context.route("**/module.js", (route) => (isAway ? route.abort() : route.continue())),
  });
  const failed = scene.element.getByText("The server cannot be reached. Try again in a moment.");
  await failed.waitFor();
  isAway = false;
  await scene.element.getByRole("button", { name: "Try again" }).click();
  await scene.part("card").waitFor();
  assert.equal(await failed.count(), 0);
  assert.equal(await scene.part("skeleton").isVisible(), false);
});

it("the panel is drawn as soon as the element is on the page, before the module runs", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  const drawn = await scene.page.evaluate(() => {
    const root = mount().shadowRoot;
    const panel = root.querySelector(".panel");
    const { height } = root.querySelector(".skeleton").getBoundingClientRect();
    return { title: root.querySelector("h2").textContent, summary: root.querySelector(".summary").textContent, busy: panel.ariaBusy, height };
  });
  assert.ok(drawn.height > 150, `${drawn.height} px`);
  assert.deepEqual({ ...drawn, height: 0 }, { title: "Google Calendar", summary: "Loading…", busy: "true", height: 0 });
});

it("a server may import it and render it", async () => {
  const { directory } = await projects.open("server", ["react", "react-dom", "vue"]);
  const { stdout } = await run(process.execPath, [join(directory, "render.js")]);
  const markup = '<google-calendar-integration class="settings"></google-calendar-integration>';
  assert.deepEqual(stdout.split("\n"), ["function", markup, markup, ""]);
});

it("its types hold in a page without React", async () => {
  const project = await projects.open("plain", ["@supabase/supabase-js"]);
  await project.check(["node_modules/google-calendar-webhooks/element/google-calendar-integration.d.ts"]);
  // supabase-js's own types want Node's.
  await project.check(["plain.ts"], { skipLibCheck: true });
});
