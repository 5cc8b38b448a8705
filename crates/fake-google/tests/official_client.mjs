// Drives the fake at FAKE_GOOGLE_URL with @googleapis/calendar from NODE_MODULES, and says `done`.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { createRequire } from "node:module";
import { join } from "node:path";
import { randomUUID } from "node:crypto";

const url = process.env.FAKE_GOOGLE_URL;
const { auth: { OAuth2 }, calendar: calendarApi } =
  createRequire(join(process.env.NODE_MODULES, "-"))("@googleapis/calendar");

async function control(path, body) {
  const response = await fetch(`${url}/control/${path}`, { method: "POST", body: JSON.stringify(body) });
  assert.equal(response.status, 200, await response.clone().text());
  return response.json();
}

/** Status, reason and message of the error that a call of the library throws. */
async function failure(call) {
  const error = await call.then(() => undefined, (error) => error);
  assert(error?.response, `the call should have been refused: ${error}`);
  return { status: error.status, reason: error.response.data.error.errors?.[0].reason, message: error.message, error };
}

// The consent page, as the library builds its address.
const oauth = new OAuth2({
  clientId: "fake-client-id",
  clientSecret: "fake-client-secret",
  redirectUri: "http://127.0.0.1:1/callback",
  forceRefreshOnFailure: true,
  endpoints: {
    oauth2AuthBaseUrl: `${url}/o/oauth2/v2/auth`,
    oauth2TokenUrl: `${url}/token`,
    oauth2RevokeUrl: `${url}/revoke`,
  },
});
const scope = "https://www.googleapis.com/auth/calendar";
const address = oauth.generateAuthUrl({ access_type: "offline", scope, login_hint: "ada@example.com", state: "s" });
const page = await fetch(address);
assert.equal(page.status, 200);
assert.match(await page.text(), /ada@example\.com/);
const form = new URLSearchParams(new URL(address).search);
form.set("email", "ada@example.com");
form.set("decision", "allow");
const decided = await fetch(`${url}/o/oauth2/v2/auth`, { method: "POST", body: form, redirect: "manual" });
const { tokens } = await oauth.getToken(new URL(decided.headers.get("location")).searchParams.get("code"));
assert.equal(tokens.scope, scope);
assert(tokens.refresh_token && tokens.expiry_date > Date.now());
oauth.setCredentials(tokens);

const calendar = calendarApi({ version: "v3", auth: oauth, rootUrl: `${url}/` });
const calendarId = "ada@example.com";

// Events.
const session = { extendedProperties: { private: { app: "planner", session: "1" } } };
const time = (hour) => ({ dateTime: `2030-03-01T${hour}:00:00Z` });
const { data: lunch } = await calendar.events.insert({
  calendarId: "primary",
  requestBody: { summary: "Lunch", start: time(12), end: time(13), ...session },
});
assert.equal(lunch.kind, "calendar#event");
await calendar.events.insert({ calendarId, requestBody: { summary: "Talk", start: time(10), end: time(11) } });
const late = await calendar.events.list({
  calendarId,
  timeMin: "2030-03-01T11:30:00Z",
  timeMax: "2030-03-02T00:00:00Z",
  singleEvents: true,
});
assert.deepEqual(late.data.items.map((event) => event.summary), ["Lunch"]);

const summaries = [];
let part;
do {
  part = await calendar.events.list({ calendarId, maxResults: 1, pageToken: part?.data.nextPageToken });
  summaries.push(...part.data.items.map((event) => event.summary));
} while (part.data.nextPageToken);
assert.deepEqual(summaries, ["Lunch", "Talk"]);

const renamed = await calendar.events.patch({ calendarId, eventId: lunch.id, requestBody: { summary: "Late lunch" } });
assert.equal(renamed.data.extendedProperties.private.app, "planner");
assert.equal((await calendar.events.delete({ calendarId, eventId: lunch.id })).status, 204);
const gone = await failure(calendar.events.delete({ calendarId, eventId: lunch.id }));
assert.equal(gone.status, 410);
assert.equal(gone.message, "Resource has been deleted");

// A channel.
const notifications = [];
const receiver = createServer((request, response) => {
  notifications.push(request.headers);
  response.end();
  receiver.emit("notified");
}).listen(0, "127.0.0.1");
await once(receiver, "listening");
async function notified(count) {
  while (notifications.length < count) await once(receiver, "notified", { signal: AbortSignal.timeout(10_000) });
  return notifications[count - 1];
}
const requestBody = {
  id: randomUUID(),
  type: "web_hook",
  address: `http://127.0.0.1:${receiver.address().port}/`,
  token: "secret",
  params: { ttl: "2592000" },
};
const { data: channel } = await calendar.events.watch({ calendarId, requestBody });
assert.equal(channel.id, requestBody.id);
assert(Number(channel.expiration) > Date.now() + 29 * 86_400_000);
assert.equal((await notified(1))["x-goog-resource-state"], "sync");
await calendar.events.insert({ calendarId, requestBody: { summary: "News", start: time(14), end: time(15) } });
const change = await notified(2);
assert.equal(change["x-goog-resource-state"], "exists");
assert.equal(change["x-goog-resource-id"], channel.resourceId);
const reused = await failure(calendar.events.watch({ calendarId, requestBody }));
assert.equal(reused.status, 400);
assert.equal(reused.reason, "channelIdNotUnique");
const stop = () => calendar.channels.stop({ requestBody: { id: channel.id, resourceId: channel.resourceId } });
assert.equal((await stop()).status, 204);
assert.equal((await failure(stop())).status, 404);
receiver.close();

// The library refreshes by itself when Google answers 401, and tells when that is refused.
const refreshed = once(oauth, "tokens");
await control("expire-access-tokens", { email: calendarId });
assert.equal((await calendar.events.list({ calendarId })).status, 200);
assert.notEqual((await refreshed)[0].access_token, tokens.access_token);
await control("revoke", { email: calendarId });
const revoked = await failure(calendar.events.list({ calendarId }));
assert.equal(revoked.status, 400);
assert.equal(revoked.error.response.data.error, "invalid_grant");

console.log("done");
