//! The host's supabase-js client, as far as it is used here. Its errors are values, and become `Failure`s.

use std::cell::Cell;
use std::rc::Rc;

use js_sys::{Array, Date, Function, Object, Promise, Reflect, parse_float};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, Response, console};

use crate::connection::{Connection, Event, EventKind, Millis, Status, SyncStatus, iso_8601};
use crate::problem::{Failure, Problem};
use crate::state::{Action, Answer, Session};

#[wasm_bindgen]
extern "C" {
    /// `SupabaseClient`.
    #[derive(Clone)]
    pub(crate) type Client;
    #[wasm_bindgen(method, getter, catch)]
    fn auth(this: &Client) -> Result<Auth, JsValue>;
    #[wasm_bindgen(method, getter, catch)]
    fn functions(this: &Client) -> Result<Functions, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn from(this: &Client, relation: &str) -> Result<Query, JsValue>;

    type Auth;
    #[wasm_bindgen(method, catch, js_name = getSession)]
    fn get_session(this: &Auth) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch, js_name = onAuthStateChange)]
    fn on_auth_state_change(this: &Auth, callback: &Function) -> Result<JsValue, JsValue>;

    type Functions;
    #[wasm_bindgen(method, catch)]
    fn invoke(this: &Functions, name: &str, options: &Object) -> Result<Promise, JsValue>;

    type Query;
    #[wasm_bindgen(method, catch)]
    fn select(this: &Query, columns: &str) -> Result<Query, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn update(this: &Query, values: &Object) -> Result<Query, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn delete(this: &Query) -> Result<Query, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn eq(this: &Query, column: &str, value: &str) -> Result<Query, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn order(this: &Query, column: &str) -> Result<Query, JsValue>;
    #[wasm_bindgen(method, catch, js_name = order)]
    fn order_by(this: &Query, column: &str, options: &Object) -> Result<Query, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn limit(this: &Query, count: u32) -> Result<Query, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn retry(this: &Query, enabled: bool) -> Result<Query, JsValue>;
    #[wasm_bindgen(method, catch, js_name = abortSignal)]
    fn abort_signal(this: &Query, signal: &AbortSignal) -> Result<Query, JsValue>;
}

/// How many of a connection's events are worth showing.
const EVENTS: u32 = 5;

impl Client {
    /// `None` without a client. Another object is named on the console.
    pub(crate) fn parse(given: JsValue) -> Option<Self> {
        if given.is_falsy() {
            return None;
        }
        if !get(&given, "from").is_function() {
            let misuse = "google-calendar-integration: `client` has to be what createClient() of supabase-js returns, not";
            console::error_2(&misuse.into(), &given);
            return None;
        }
        Some(given.unchecked_into())
    }

    /// Who is signed in, and their connections.
    pub(crate) async fn load(&self, signal: &AbortSignal) -> Result<Answer, Failure> {
        let session = self.session().await?;
        let rows = match &session {
            Session::SignedIn { user_id } => self.connections(user_id.as_deref(), signal).await?,
            _ => Vec::new(),
        };
        Ok(Answer { session: Some(session), rows, ..Answer::default() })
    }

    /// As the client knows without asking the server.
    async fn session(&self) -> Result<Session, Failure> {
        // A client that was made with `accessToken` refuses `auth`: whether it is signed in, the server says.
        let Ok(asked) = self.auth().and_then(|auth| auth.get_session()) else {
            return Ok(Session::SignedIn { user_id: None });
        };
        let answer = JsFuture::from(asked).await.map_err(|error| thrown(&error))?;
        let error = get(&answer, "error");
        let session = get(&get(&answer, "data"), "session");
        if session.is_falsy() && !error.is_falsy() && is_passing(&error) {
            return Err(Failure::unreachable());
        }
        Ok(session_of(&session))
    }

    /// Calls back with the user who is signed in, now and after each change.
    pub(crate) fn watch_session(&self, mut changed: impl FnMut(Session) + 'static) -> Option<SessionWatch> {
        let is_alive = Rc::new(Cell::new(true));
        let alive = is_alive.clone();
        let callback =
            Closure::<dyn FnMut(JsValue, JsValue)>::new(move |_event: JsValue, session: JsValue| {
                if alive.get() {
                    changed(session_of(&session));
                }
            });
        // The client still calls a subscriber that an earlier one has just unsubscribed, so that only the garbage
        // collector knows when the callback is no longer called.
        let callback = callback.into_js_value();
        let watched = self.auth().and_then(|auth| auth.on_auth_state_change(callback.unchecked_ref()));
        let subscription = get(&get(&watched.ok()?, "data"), "subscription");
        Some(SessionWatch { subscription, is_alive })
    }

    async fn connections(
        &self,
        user_id: Option<&str>,
        signal: &AbortSignal,
    ) -> Result<Vec<Connection>, Failure> {
        let ask = || {
            // All columns, by no name: PostgREST refuses a name that the view of an earlier edition does not have, and
            // is slower the more are named.
            let mut query = self.from("calendar_connection_status")?.select("*")?;
            if let Some(user_id) = user_id {
                // Row Level Security may let an administrator see everybody's.
                query = query.eq("user_id", user_id).unwrap_or(query);
            }
            // Always in the same order.
            let query = query.order("calendar_id").unwrap_or(query);
            let query = query.order("id").unwrap_or(query);
            query.patiently(signal)
        };
        Ok(list(&answer(ask()).await?, connection))
    }

    /// What befell a connection, the newest first.
    pub(crate) async fn events(&self, id: &str, signal: &AbortSignal) -> Result<Answer, Failure> {
        let ask = || {
            let query = self.from("calendar_connection_events")?.select("event,at,reason,detail")?;
            let query = query.eq("connection_id", id)?;
            let query = query.order_by("id", &object(&[("ascending", JsValue::FALSE)]))?;
            query.limit(EVENTS)?.patiently(signal)
        };
        let events = answer(ask()).await?;
        Ok(Answer { events: list(&events, event), ..Answer::default() })
    }

    /// Returns the connections as they are afterwards, as far as the answer tells.
    pub(crate) async fn act(
        &self,
        action: Action,
        id: &str,
        signal: &AbortSignal,
    ) -> Result<Answer, Failure> {
        let data = match action {
            Action::SetUp => self.invoke("setup-calendar-webhook", id, signal).await?,
            Action::Refresh => self.invoke("refresh-calendar-webhook", id, signal).await?,
            Action::Resume | Action::Pause | Action::Disconnect | Action::Remove => {
                let ask = || {
                    let rows = self.from("calendar_connections")?;
                    let column = if action == Action::Disconnect { "is_active" } else { "sync_enabled" };
                    let query = if action == Action::Remove {
                        rows.delete()
                    } else {
                        rows.update(&object(&[(column, (action == Action::Resume).into())]))
                    };
                    query?.eq("id", id)?.select("id")?.patiently(signal)
                };
                let changed = answer(ask()).await.map_err(|failure| match failure.problem {
                    // The table was read: what is missing is a privilege, or another table refers to the row.
                    Problem::NotInstalled => Failure { problem: Problem::DatabaseRefused, ..failure },
                    _ => failure,
                })?;
                if changed.dyn_ref::<Array>().is_none_or(|changed| changed.length() == 0) {
                    return Err(Failure { problem: Problem::NoConnection, retry_after: None });
                }
                JsValue::UNDEFINED
            }
        };
        Ok(Answer { rows: list(&get(&data, "connections"), connection), ..Answer::default() })
    }

    async fn invoke(&self, name: &str, id: &str, signal: &AbortSignal) -> Result<JsValue, Failure> {
        let body = object(&[("connection_id", id.into())]);
        let options = object(&[("body", body.into()), ("signal", signal.into())]);
        answer(self.functions().and_then(|functions| functions.invoke(name, &options))).await
    }
}

impl Query {
    /// Ends with the signal, and without supabase-js's own retries: the element asks again by itself.
    fn patiently(self, signal: &AbortSignal) -> Result<Promise, JsValue> {
        let query = self.retry(false).unwrap_or(self);
        let query = query.abort_signal(signal).unwrap_or(query);
        Ok(Promise::resolve(query.unchecked_ref::<JsValue>()))
    }
}

/// A subscription to `onAuthStateChange`.
pub(crate) struct SessionWatch {
    subscription: JsValue,
    is_alive: Rc<Cell<bool>>,
}

impl Drop for SessionWatch {
    fn drop(&mut self) {
        self.is_alive.set(false);
        if let Ok(unsubscribe) = get(&self.subscription, "unsubscribe").dyn_into::<Function>() {
            // There is nothing to do about a client that cannot.
            let _ = unsubscribe.call0(&self.subscription);
        }
    }
}

/// The `data` of what was asked, or what is wrong.
async fn answer(asked: Result<Promise, JsValue>) -> Result<JsValue, Failure> {
    let answer = match asked {
        Ok(asked) => JsFuture::from(asked).await,
        Err(error) => Err(error),
    };
    let answer = answer.map_err(|error| thrown(&error))?;
    let error = get(&answer, "error");
    if error.is_falsy() {
        return Ok(get(&answer, "data"));
    }
    // A function's error holds the response; PostgREST's stands beside its status.
    match get(&error, "context").dyn_into::<Response>() {
        Ok(response) => Err(of_response(&response).await),
        Err(_) => {
            let status = get(&answer, "status").as_f64().unwrap_or_default() as u16;
            let code = get(&error, "code").as_string();
            Err(Failure::of_answer(status, code.as_deref(), None))
        }
    }
}

async fn of_response(response: &Response) -> Failure {
    let retry_after = response.headers().get("retry-after").ok().flatten();
    // A date, the other thing that may stand there, is no number: then the usual pause applies.
    let retry_after = retry_after.map(|seconds| parse_float(&seconds)).filter(|seconds| seconds.is_finite());
    let body = match response.json() {
        Ok(body) => JsFuture::from(body).await.unwrap_or_default(),
        Err(_) => JsValue::UNDEFINED,
    };
    let code = get(&get(&body, "error"), "code").as_string();
    Failure::of_answer(response.status(), code.as_deref(), retry_after)
}

/// What a client throws is a mistake of the page, unless it was aborted.
fn thrown(error: &JsValue) -> Failure {
    if get(error, "name").as_string().as_deref() != Some("AbortError") {
        console::error_2(&"google-calendar-integration:".into(), error);
    }
    Failure::unreachable()
}

/// Whether a session that has expired may come back: the server could not be asked for another.
fn is_passing(error: &JsValue) -> bool {
    get(error, "name").as_string().as_deref() == Some("AuthRetryableFetchError")
        || get(error, "status").as_f64().is_some_and(|status| status == 0.0 || status >= 500.0)
}

fn session_of(session: &JsValue) -> Session {
    if session.is_falsy() {
        return Session::SignedOut;
    }
    Session::SignedIn { user_id: get(&get(session, "user"), "id").as_string() }
}

fn list<T>(rows: &JsValue, parse: fn(&JsValue) -> Option<T>) -> Vec<T> {
    rows.dyn_ref::<Array>()
        .map(|rows| rows.iter().filter_map(|row| parse(&row)).collect())
        .unwrap_or_default()
}

/// A row with a status that is not known is left out: the page is older than the view.
fn connection(row: &JsValue) -> Option<Connection> {
    let text = |name| get(row, name).as_string();
    let time = |name| time(row, name);
    Some(Connection {
        id: text("id")?,
        calendar_id: text("calendar_id"),
        calendar_name: text("calendar_name"),
        status: Status::parse(&text("status")?)?,
        webhook_expiration: time("webhook_expiration"),
        webhook_error: text("webhook_error"),
        webhook_error_reason: text("webhook_error_reason"),
        webhook_notified_at: time("webhook_notified_at"),
        sync_status: SyncStatus::parse(&text("sync_status")?)?,
        last_sync_at: time("last_sync_at"),
        sync_error: text("sync_error"),
        has_looks: !get(row, "webhook_notified_at").is_undefined(),
    })
}

/// An event of a kind that is not known is left out, as a connection is.
fn event(row: &JsValue) -> Option<Event> {
    let text = |name| get(row, name).as_string();
    Some(Event {
        event: EventKind::parse(&text("event")?)?,
        at: time(row, "at")?,
        reason: text("reason"),
        detail: text("detail"),
    })
}

impl Connection {
    /// As the view has it.
    pub(crate) fn to_object(&self) -> Object {
        let text = |text: &Option<String>| text.as_deref().map_or(JsValue::NULL, JsValue::from_str);
        let time = |time: Option<Millis>| {
            time.map_or(JsValue::NULL, |time| Date::new(&time.into()).to_iso_string().into())
        };
        object(&[
            ("id", self.id.as_str().into()),
            ("calendar_id", text(&self.calendar_id)),
            ("calendar_name", text(&self.calendar_name)),
            ("status", self.status.name().into()),
            ("webhook_expiration", time(self.webhook_expiration)),
            ("webhook_error", text(&self.webhook_error)),
            ("webhook_error_reason", text(&self.webhook_error_reason)),
            ("webhook_notified_at", time(self.webhook_notified_at)),
            ("sync_status", self.sync_status.name().into()),
            ("last_sync_at", time(self.last_sync_at)),
            ("sync_error", text(&self.sync_error)),
        ])
    }
}

fn time(row: &JsValue, name: &str) -> Option<Millis> {
    let millis = Date::parse(&iso_8601(&get(row, name).as_string()?));
    (!millis.is_nan()).then_some(millis)
}

/// A property of whatever this is; `undefined` of what has none.
fn get(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap_or_default()
}

pub(crate) fn object(properties: &[(&str, JsValue)]) -> Object {
    let object = Object::new();
    for (name, value) in properties {
        // A fresh object takes any property.
        let _ = Reflect::set(&object, &(*name).into(), value);
    }
    object
}
