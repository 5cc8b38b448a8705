// The page knows every status that the view tells, and no other.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { STATUSES } from "../../page/statuses.js";

test("the page's statuses are the view's", async () => {
  const migrations = new URL("../../../../supabase/migrations/", import.meta.url);
  const sql = await readFile(new URL("20261122000000_calendar_webhooks.sql", migrations), "utf8");
  const [, cases] = sql.match(/create or replace view public\.calendar_connection_status[^]*?\bcase\b([^]*?)\bend as status/);
  const statuses = [...cases.matchAll(/\b(?:then|else) '(\w+)'/g)].map(([, status]) => status);
  assert.deepEqual(Object.keys(STATUSES).toSorted(), statuses.toSorted());
});
