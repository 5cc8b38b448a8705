// How the page looks, from a telephone to a large screen, in light and in dark.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { openScene } from "./scene.mjs";

const SIZES = [[360, 780], [768, 1024], [1024, 768], [1440, 1000], [1600, 1000]];

let scene;
before(async () => {
  scene = await openScene();
});
after(() => scene?.close());

for (const colorScheme of ["light", "dark"]) {
  test(`axe-core finds nothing, and nothing sticks out at any width, in ${colorScheme} colours`, async () => {
    const person = await scene.newcomer({ colorScheme });
    const look = async (name) => {
      for (const [width, height] of SIZES) {
        await person.page.setViewportSize({ width, height });
        const wide = await person.page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= width, `${name} is ${wide} px wide in a window of ${width} px`);
        await person.shot(`${name}-${colorScheme}-${width}`);
      }
      await person.page.setViewportSize({ width: 1440, height: 1000 });
      assert.deepEqual(await person.violations(), [], name);
    };
    await person.button("Continue as Ada").waitFor();
    await look("welcome");

    await person.signUp(`${colorScheme}@example.com`);
    await person.integration.getByRole("button", { name: "Connect Google Calendar" }).waitFor();
    await look("not-connected");

    await person.connect();
    await person.button("Plan five sessions").click();
    await person.block(/^Session Deep work/).waitFor();
    await person.draw("Event", 1, 9.5, 10.75);
    await person.block(/^Session Run, .* gave way/).waitFor();
    await person.draw("Event", 2, 11, 12.5);
    await person.draw("Event", 4, 12.5, 14);
    await person.block(/^Session Practise the talk, .* gave way/).waitFor();
    await person.followed();
    await look("week");
    await person.context.close();
  });
}

test("blocks that overlap stand side by side", async () => {
  const person = await scene.newcomer();
  await person.continueAs("Ada");
  await person.connect();
  await person.draw("Event", 2, 9, 12);
  await person.block(/^Event Dentist/).waitFor();
  // Two more on top of it: with the mouse one could only draw beside it.
  for (const title of ["Lunch with Grace", "School play"]) {
    await person.draw("Event", 2, 8, 10);
    const block = person.block(new RegExp(`^Event ${title}`));
    await block.press("ArrowDown");
    await block.press("ArrowDown");
    await block.press("ArrowDown");
    await block.press("ArrowDown");
    await person.block(new RegExp(`^Event ${title}, .* 9:00 to 11:00$`)).waitFor();
  }
  await person.still();
  const boxes = await Promise.all((await person.block(/^Event/).all()).map((block) => block.boundingBox()));
  boxes.sort((a, b) => a.x - b.x);
  assert.equal(boxes.length, 3);
  for (const [index, { x }] of boxes.slice(1).entries()) {
    assert.ok(x >= boxes[index].x + boxes[index].width, `${JSON.stringify(boxes)}`);
  }
  await person.shot("side-by-side");
  await person.context.close();
});

test("sessions glide to their new places, unless less motion is wanted", async () => {
  for (const [reducedMotion, glides] of [["no-preference", true], ["reduce", false]]) {
    const person = await scene.newcomer({ reducedMotion });
    await person.signUp(`${reducedMotion}@example.com`);
    await person.draw("Session", 2, 10, 11);
    const session = person.block(/^Session/);
    await session.waitFor();
    const duration = await session.evaluate((block) => parseFloat(getComputedStyle(block).transitionDuration));
    assert.equal(duration > 0, glides, reducedMotion);
    await person.context.close();
  }
});

test("another week can be looked at, and today's again", async () => {
  const person = await scene.newcomer();
  await person.signUp("week@example.com");
  await person.page.locator(".day.today").waitFor();
  await person.page.locator(".now").waitFor();
  await person.button("Next week").click();
  assert.equal(await person.page.locator(".day.today").count(), 0);
  assert.equal(await person.page.locator(".now").isVisible(), false);
  await person.button("Today").click();
  assert.equal(await person.page.locator(".day-name.today[aria-current=date]").count(), 1);
  await person.context.close();
});
