// The package as others get it: packed by npm, imported by a page, by a server, and by a React app built with Vite.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";

import { Scene, eventually, launch } from "./scene.mjs";
import { row } from "./supabase.mjs";

const run = promisify(execFile);
const here = fileURLToPath(new URL("./", import.meta.url));
const packageDirectory = join(here, "../package");
const tools = join(here, "../../../scripts/node_modules");
const require = createRequire(import.meta.url);

let browser, work, packed;
before(async () => {
  browser = await launch();
  work = await mkdtemp(join(tmpdir(), "element-"));
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", work], { cwd: packageDirectory });
  packed = JSON.parse(stdout)[0];
});
after(async () => {
  await browser.close();
  await rm(work, { recursive: true });
});

/** A project with the packed package and these npm tools, as `npm install` would leave it. */
async function project(name, dependencies, files) {
  const directory = join(work, name);
  const modules = join(directory, "node_modules");
  await mkdir(join(modules, "google-calendar-integration"), { recursive: true });
  const into = join(modules, "google-calendar-integration");
  await run("tar", ["-xzf", join(work, packed.filename), "--strip-components=1", "-C", into]);
  for (const dependency of dependencies) {
    await mkdir(join(modules, dependency, ".."), { recursive: true });
    await symlink(join(tools, dependency), join(modules, dependency));
  }
  for (const file of files) await cp(join(here, "app", file), join(directory, file));
  await writeFile(join(directory, "package.json"), JSON.stringify({ private: true, type: "module" }));
  return directory;
}

async function check(directory, files, skipLibCheck) {
  const compilerOptions = {
    strict: true,
    noEmit: true,
    target: "es2022",
    module: "esnext",
    moduleResolution: "bundler",
    lib: ["es2022", "dom", "dom.iterable"],
    types: [],
    jsx: "react-jsx",
    skipLibCheck,
  };
  await writeFile(join(directory, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
  await run(process.execPath, [join(tools, "typescript/bin/tsc"), "--project", directory]).catch(({ stdout }) =>
    assert.fail(stdout),
  );
}

it("the package holds what its package.json says, and depends on nothing", async () => {
  const manifest = JSON.parse(await readFile(join(packageDirectory, "package.json")));
  assert.deepEqual(
    packed.files.map(({ path }) => path).sort(),
    ["LICENSE", "README.md", "google-calendar-integration.d.ts", "google-calendar-integration.js", "package.json"],
  );
  assert.equal(manifest.dependencies ?? manifest.peerDependencies, undefined);
  assert.match(manifest.version, /^\d+\.\d+\.\d+$/);
  const javascript = await readFile(join(packageDirectory, "google-calendar-integration.js"), "utf8");
  assert.doesNotMatch(javascript, /^\s*import |import\(|import\.meta/m);
  const wasm = Buffer.from(javascript.match(/const base64 =\s*"([^"]+)"/)[1], "base64");
  assert.ok(WebAssembly.validate(wasm));
  assert.ok(wasm.length <= 80_000, `${wasm.length} bytes`);
  assert.ok(gzipSync(wasm, { level: 9 }).length <= 35_000, `${gzipSync(wasm, { level: 9 }).length} bytes`);
});

it("a page that includes it loads nothing else", async (test) => {
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
  assert.deepEqual(loaded, ["/alone.html", "/element.js"]);
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

it("under a strict content security policy it needs nothing but wasm-unsafe-eval", async (test) => {
  const scene = await Scene.open(test, browser, { rows: [row()] });
  const page = await scene.context.newPage();
  const refused = [];
  page.on("console", (message) => message.type() === "error" && refused.push(message.text()));
  await page.route("**/strict.html", (route) =>
    route.fulfill({
      contentType: "text/html",
      headers: { "content-security-policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; img-src data:" },
      body: `<script type="module" src="/element.js"></script><link rel="icon" href="data:,"><google-calendar-integration></google-calendar-integration>`,
    }),
  );
  await page.goto(`${scene.supabase.url}/strict.html`);
  await page.getByText("Loading…").waitFor();
  assert.equal(await page.locator("[part~=panel]").evaluate((panel) => getComputedStyle(panel).borderTopStyle), "solid");
  assert.deepEqual(refused, []);
});

it("a server may import it and render it", async () => {
  const directory = await project("server", [], []);
  const entry = join(directory, "node_modules/google-calendar-integration/google-calendar-integration.js");
  const { GoogleCalendarIntegration } = await import(pathToFileURL(entry));
  assert.equal(typeof GoogleCalendarIntegration, "function");
  const { createElement } = require(join(tools, "react"));
  const { renderToString } = require(join(tools, "react-dom/server"));
  const markup = renderToString(createElement("google-calendar-integration", { client: {}, class: "settings" }));
  assert.equal(markup, '<google-calendar-integration class="settings"></google-calendar-integration>');
});

it("its types hold in a page without React", async () => {
  const directory = await project("plain", ["@supabase/supabase-js"], ["plain.ts"]);
  await check(directory, ["node_modules/google-calendar-integration/google-calendar-integration.d.ts"], false);
  // supabase-js's own types want Node's.
  await check(directory, ["plain.ts"], true);
});

it("a fresh React app with Vite compiles, builds and runs with it", { timeout: 120_000 }, async (test) => {
  const dependencies = ["vite", "react", "react-dom", "@types/react", "@types/react-dom", "@supabase/supabase-js"];
  const directory = await project("react", dependencies, ["index.html", "main.tsx", "mistakes.tsx"]);
  await check(directory, ["mistakes.tsx"], false);
  await check(directory, ["main.tsx"], true);
  await run(process.execPath, [join(tools, "vite/bin/vite.js"), "build", "--target", "es2022"], { cwd: directory });

  const rows = [row({ status: "reconnect_required", webhook_error: "reconnect_required" })];
  const scene = await Scene.open(test, browser, { rows });
  const { site } = scene.supabase;
  const dist = join(directory, "dist");
  site["/react"] = { type: "text/html", body: await readFile(join(dist, "index.html"), "utf8") };
  const assets = await readdir(join(dist, "assets"));
  assert.deepEqual(assets.map((file) => file.split(".").at(-1)), ["js"]);
  for (const file of assets) {
    site[`/assets/${file}`] = { type: "text/javascript", body: await readFile(join(dist, "assets", file)) };
  }
  await scene.page.goto(`${scene.supabase.url}/react`);
  await scene.button("Again, please").click();
  await scene.page.locator("#asked").getByText(rows[0].id).waitFor();
  assert.equal(await scene.element.getByText("Waiting for your consent").count(), 0);
  assert.equal(await scene.element.getAttribute("class"), "settings");
  Object.assign(rows[0], { status: "active", webhook_error: null });
  await scene.page.locator("#statuses").getByText("active").waitFor();
  await scene.page.getByRole("button", { name: "Toggle" }).click();
  await eventually(() => scene.element.count(), (count) => count === 0, "it is taken out");
  await scene.page.getByRole("button", { name: "Toggle" }).click();
  await scene.part("badge").getByText("Connected", { exact: true }).waitFor();
});
