// The element in apps of React 19, Vue 3 and Svelte 5, made with Vite and written the way of each.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { Projects } from "./project.mjs";
import { Scene, eventually, launch } from "./scene.mjs";
import { row } from "./supabase.mjs";

const frameworks = {
  react: {
    dependencies: ["react", "react-dom", "@types/react", "@types/react-dom"],
    app: ["main.tsx", "hydrated.tsx"],
    mistakes: ["mistakes.tsx"],
    hydrates: true,
  },
  vue: {
    dependencies: ["vue", "@vitejs/plugin-vue"],
    app: ["App.vue"],
    mistakes: ["Mistakes.vue"],
    hydrates: true,
    checker: ["vue-tsc/bin/vue-tsc.js", "--project"],
  },
  svelte: {
    dependencies: ["svelte", "@sveltejs/vite-plugin-svelte"],
    app: ["App.svelte"],
    mistakes: ["Mistakes.svelte"],
    checker: ["svelte-check/bin/svelte-check", "--fail-on-warnings", "--tsconfig"],
  },
};

let browser, projects;
before(async () => {
  browser = await launch();
  projects = await Projects.start();
});
after(async () => {
  await browser.close();
  await projects.stop();
});

for (const [name, { dependencies, app, mistakes, checker, hydrates }] of Object.entries(frameworks)) {
  describe(`an app of ${name}`, () => {
    let project;
    before(async () => {
      project = await projects.open(name, ["vite", "@supabase/supabase-js", ...dependencies]);
    });

    it("compiles, and its mistakes do not", { timeout: 120_000 }, async () => {
      await project.check(mistakes, { checker });
      // supabase-js's own types want Node's.
      await project.check(app, { checker, skipLibCheck: true });
    });

    for (const command of ["dev", "preview"]) {
      it(`runs under vite ${command}`, { timeout: 120_000 }, async (test) => {
        if (command === "preview") await project.build();
        await tell(test, await project.serve(test, command));
      });
    }

    if (hydrates) {
      it("runs where a server has rendered it", { timeout: 120_000 }, async (test) => {
        await tell(test, `${await project.serve(test, "dev")}hydrated.html`);
      });
    }
  });
}

/** What an app does with the element: the same in each, by whatever means its framework has. */
async function tell(test, address) {
  const rows = [row({ status: "reconnect_required", webhook_error: "reconnect_required" })];
  const scene = await Scene.open(test, browser, { rows });
  const { page, context, supabase } = scene;
  const complaints = [];
  page.on("console", (message) => {
    if (["warning", "error"].includes(message.type())) complaints.push(message.text());
  });
  await context.route(/\/(auth|rest|functions)\/v1\//, async (route) => {
    const { pathname, search } = new URL(route.request().url());
    await route.fulfill({ response: await route.fetch({ url: `${supabase.url}${pathname}${search}` }) });
  });
  await page.addInitScript(() => {
    window.listening = 0;
    const { addEventListener: add, removeEventListener: remove } = window;
    window.addEventListener = (...values) => ((listening += values[0] === "online"), add.apply(window, values));
    window.removeEventListener = (...values) => ((listening -= values[0] === "online"), remove.apply(window, values));
  });
  const press = (name) => page.getByRole("button", { name, exact: true }).click();
  const listening = () => page.evaluate(() => listening);
  await page.goto(address);

  // Properties and attributes, and that they change.
  await scene.button("Reconnect").waitFor();
  assert.equal(await scene.element.getAttribute("class"), "settings");
  assert.equal(await scene.element.getAttribute("client"), null);
  await press("Deutsch");
  await scene.button("Erneut verbinden").waitFor();
  await scene.part("last-sync").getByText("vor 2 Stunden").waitFor();
  await press("Deutsch");
  await scene.button("Reconnect").waitFor();
  await scene.part("last-sync").getByText("2 hours ago").waitFor();
  await press("Client");
  await scene.part("summary").getByText("Loading…").waitFor();
  await press("Client");
  await scene.button("Reconnect").waitFor();

  // An event that is prevented.
  await press("Reconnect");
  await page.locator("#asked").getByText(rows[0].id).waitFor();
  assert.equal(await scene.element.getByText("Waiting for your consent").count(), 0);

  // A method, and the other event.
  Object.assign(rows[0], { status: "active", webhook_error: null });
  await press("Look");
  await page.locator("#statuses").getByText("active", { exact: true }).waitFor();

  // It goes, and comes again.
  assert.equal(await listening(), 1);
  await press("Toggle");
  await eventually(() => scene.element.count(), (count) => count === 0, "it is taken out");
  await eventually(listening, (count) => count === 0, "it listens no more");
  await press("Toggle");
  await scene.part("badge").getByText("Connected", { exact: true }).waitFor();
  assert.deepEqual(complaints, []);
}
