//! Google's OAuth 2.0 and Calendar v3, in memory, for development and tests.
//!
//! What Google documents is answered as documented: the consent page, the token and revocation
//! endpoints, `events` (insert, get, list, patch, update, delete), `events.watch`, `channels.stop`, and
//! the notifications with their headers and retry rule. A recurring event is one item of `events.list`, and
//! so is each of its exceptions, which a change of an instance makes (`{series}_20300301T090000Z`; any time since
//! the first instance is taken for one). What is not done is refused instead of being wrong: recurring events in a
//! list with `singleEvents=true`, and parameters of `events.list` that nothing here needs. Partial responses
//! (`fields`) are those of `events.list` alone, and notifications to `https` addresses count as unreachable, because
//! the client that delivers them is built without TLS.
//!
//! # Control API
//!
//! Everything Google would not offer is under `/control`: JSON in and out, an unknown field is an error,
//! and every error is `{"error": "what is wrong"}`. Times are RFC 3339.
//!
//! | request | does |
//! |---|---|
//! | `POST /control/accounts {email, scopes?, access_token_seconds?, rotate_refresh_tokens?}` | a grant without the browser; creates the account and its primary calendar where missing, and sets what is given. → `{email, access_token, refresh_token, expires_at, client_id}` |
//! | `POST /control/calendars {email, id, push?, access_role?}` | gives the account a calendar (or changes this one; an id that another account has is shared). `push: false` → `watch` answers `pushNotSupportedForRequestedResource`. `access_role`: `owner` (default), `writer`, `reader` |
//! | `POST /control/events {email, calendar_id?, events, more?, from?, silently?}` | adds events to the calendar, one an hour from `from` (now) on, until it holds so many, or with `more` that many more; one change, however many; `silently`: no channel tells of it. → `{events}` |
//! | `POST /control/revoke {email}` | every grant: refresh tokens answer `invalid_grant`, access tokens `authError` |
//! | `POST /control/expire-access-tokens {email}` | access tokens issued so far answer `authError` |
//! | `POST /control/client {client_id?, client_secret?}` | replaces the OAuth client; grants stay with the client they were given to |
//! | `POST /control/faults {operation, email?, status?, reason?, body?, times?, delay_ms?, after?}` | the next `times` (default 1, `null` = until cleared) calls of `operation` (`watch`, `stop`, `token`, `revoke`, `list`, `events`, which includes `list`, `any`) fail. `status` 0 cuts the connection without an answer, none at all only delays; `reason` chooses the documented error, `body` replaces its JSON (a string is sent as HTML); `after: true` does the work first |
//! | `DELETE /control/faults` | clears them |
//! | `POST /control/delivery {email?, sync?, sync_delay_ms?, delay_ms?, duplicate?, drop?, reorder?}` | replaces how notifications reach the channels of one account, or of all that have no rule of their own. `sync`: `after` (default), `before` (delivered and answered before `watch` answers) or `dropped`. The next `drop` changes are never delivered, then `reorder` are held and delivered newest first, and the next `duplicate` ones are delivered twice |
//! | `DELETE /control/delivery` | back to normal; what was held is delivered |
//! | `POST /control/ttl {cap_seconds?, default_seconds?}` | lifetime of channels opened from now on (30 days, 7 days) |
//! | `POST /control/channels/{id}/expire` | the channel's time is over now |
//! | `POST /control/channels/{id}/forget` | Google loses the channel without a word: it stays `live` here, never speaks again, and `channels.stop` does not know it |
//! | `POST /control/channels/{id}/notify {state?, message_number?}` | one more notification, whatever state the channel is in. → `{message_number}` |
//! | `GET /control/channels?email=&address=` | `[{id, email, calendar_id, client_id, address, resource_id, token, expiration, state, opened_at, stopped_at, forgotten, last_message_number}]`, oldest first; `state`: `live`, `stopped`, `expired` |
//! | `GET /control/deliveries?channel_id=` | `[{channel_id, message_number, resource_state, queued_at, attempts, status, at, duration_ms}]`; `queued_at` is when the change happened, the rest tells of the last attempt; `status` is `null` if nobody answered |
//! | `GET /control/requests` | `[{at, operation, method, path, query, email, status}]`; operations as for faults, and `revoke`; `status` 0 = cut |
//! | `POST /control/reset` | as after the start |
//!
//! # Delivery
//!
//! Channels do not wait for each other. On one channel a notification is first tried when the first try
//! of the previous one is over; retries run beside it, so that a retried notification may arrive after
//! a newer one, with its old number.

#![allow(clippy::disallowed_methods, reason = "a native server, where the system clock always works")]

// Each knows those before it alone: model, state and delivery, routes, server.
mod config;
mod delivery;
mod line;
mod model;
mod routes;
mod server;
mod state;

pub use config::Config;
pub use server::FakeGoogle;
