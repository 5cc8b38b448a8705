//! A runtime for the functions' code outside of Deno: the database is real, everything else answers at once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use adapters::configuration::{Configuration, Environment};
use adapters::deployment::Deployment;
use adapters::http::{Http, HttpFailure, HttpRequest, HttpResponse, Method};
use chrono::Utc;
use functions::{Function, Incoming, handle};
use local_supabase::ApiKeys;
use local_supabase::postgrest::Postgrest;
use protocol::Timestamp;
use protocol::event::Event;
use protocol::ports::{Clock, Entropy, Instance, Log};
use protocol::waiters::Waiters;
use serde_json::{Value, json};
use uuid::Uuid;

const SUPABASE_URL: &str = "http://supabase.test";

const PLAN: &str = "application/vnd.pgrst.plan+text";
pub(crate) const ANALYZED_PLAN: &str = "application/vnd.pgrst.plan+text; options=analyze";

/// PostgREST's plan of every kind of request that was made, by the request.
pub(crate) type Plans = BTreeMap<String, String>;

/// The functions, with the plans of their requests.
pub(crate) struct Functions {
    deployment: Rc<Deployment<Platform>>,
    plans: Rc<RefCell<Plans>>,
    key: String,
}

impl Functions {
    pub(crate) fn new(rest: &Postgrest, keys: &ApiKeys) -> Self {
        let variables = [
            ("SUPABASE_URL", SUPABASE_URL),
            ("SUPABASE_SERVICE_ROLE_KEY", keys.legacy_service_role.as_str()),
            ("GOOGLE_CLIENT_ID", "client"),
            ("GOOGLE_CLIENT_SECRET", "secret"),
            ("GOOGLE_CALENDAR_API_URL", "http://calendar.test"),
            ("GOOGLE_OAUTH_TOKEN_URL", "http://oauth.test/token"),
        ];
        let configuration = Configuration::parse(&Environment::from(variables)).unwrap();
        let plans = Rc::default();
        let platform = Platform {
            client: reqwest::Client::new(),
            rest_url: rest.url(),
            plans: Rc::clone(&plans),
            waiters: Waiters::default(),
        };
        let deployment = Rc::new(Deployment::new(platform, Rc::new(configuration.into())));
        Self { deployment, plans, key: keys.legacy_service_role.clone() }
    }

    /// One request of a service; what follows the answer is waited for.
    pub(crate) async fn call(&self, function: Function, body: &Value) -> Value {
        let headers = [("apikey", self.key.clone())];
        self.handle(function, Request { headers: headers.into(), body: body.to_string() }).await
    }

    pub(crate) async fn notify(&self, channel: &str, token: &str, number: u32) -> Value {
        let headers = [
            ("x-goog-channel-id", channel.to_owned()),
            ("x-goog-channel-token", token.to_owned()),
            ("x-goog-resource-id", "resource".to_owned()),
            ("x-goog-resource-state", if number == 1 { "sync" } else { "exists" }.to_owned()),
            ("x-goog-message-number", number.to_string()),
        ];
        let request = Request { headers: headers.into(), body: String::new() };
        self.handle(Function::GoogleCalendarWebhook, request).await
    }

    /// The plans so far; the next ones are collected anew.
    pub(crate) fn take_plans(&self) -> Plans {
        self.plans.take()
    }

    async fn handle(&self, function: Function, request: Request) -> Value {
        let deployment = Ok(Rc::clone(&self.deployment));
        let handled = handle(function, deployment, &request, Utc::now(), Utc::now).await;
        if let Some(follow_up) = handled.follow_up {
            follow_up.await;
        }
        let body: Option<Value> = handled.answer.body.map(|body| serde_json::from_str(&body).unwrap());
        json!({ "status": handled.answer.status, "body": body })
    }
}

struct Request {
    headers: BTreeMap<&'static str, String>,
    body: String,
}

impl Incoming for Request {
    fn method(&self) -> String {
        "POST".to_owned()
    }

    fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).cloned()
    }

    async fn body(&self) -> Option<String> {
        Some(self.body.clone())
    }

    async fn discard_body(&self) {}
}

struct Platform {
    client: reqwest::Client,
    rest_url: String,
    plans: Rc<RefCell<Plans>>,
    waiters: Waiters,
}

impl Http for Platform {
    async fn send(&self, request: HttpRequest, _: Duration) -> Result<HttpResponse, HttpFailure> {
        let Some(path) = request.url.strip_prefix(&format!("{SUPABASE_URL}/rest/v1")) else {
            return Ok(HttpResponse {
                status: 200,
                body: elsewhere(&request).to_string(),
                ..HttpResponse::default()
            });
        };
        let kind = kind(&request, path);
        if !self.plans.borrow().contains_key(&kind) {
            // An analysis carries out what it analyses.
            let accept = if request.method == Method::Get { ANALYZED_PLAN } else { PLAN };
            let plan = self.to_rest(&request, path, Some(accept)).await;
            assert_eq!(plan.status, 200, "{kind}: {}", plan.body);
            self.plans.borrow_mut().insert(kind, plan.body);
        }
        Ok(self.to_rest(&request, path, None).await)
    }
}

impl Platform {
    async fn to_rest(&self, request: &HttpRequest, path: &str, accept: Option<&str>) -> HttpResponse {
        let url = format!("{}{path}", self.rest_url);
        let mut builder = self.client.request(request.method.name().parse().unwrap(), url);
        for (name, value) in request.headers.iter().filter(|(name, _)| accept.is_none() || name != "accept") {
            builder = builder.header(name, value);
        }
        if let Some(accept) = accept {
            builder = builder.header("accept", accept);
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let response = builder.send().await.unwrap();
        let content_range = response.headers().get("content-range");
        HttpResponse {
            status: response.status().as_u16(),
            content_range: content_range.map(|range| range.to_str().unwrap().to_owned()),
            body: response.text().await.unwrap(),
            ..HttpResponse::default()
        }
    }
}

/// Google and `recalculate-schedule`, who agree to everything.
fn elsewhere(request: &HttpRequest) -> Value {
    let expiration = (Utc::now() + chrono::TimeDelta::days(30)).timestamp_millis().to_string();
    json!({
        "access_token": "access", "expires_in": 3600,
        "kind": "api#channel", "resourceId": "resource", "expiration": expiration,
        "url": request.url,
    })
}

/// A request without its values: requests of one kind have one plan.
fn kind(request: &HttpRequest, path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let condition = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name {
            "select" => None,
            "or" | "order" | "limit" => Some(part.to_owned()),
            _ => {
                let operator = value.split('.').take_while(|word| {
                    ["not", "is", "eq", "lt", "lte", "in", "isdistinct", "null", "true", "false"]
                        .contains(word)
                });
                Some(format!("{name}={}", operator.collect::<Vec<_>>().join(".")))
            }
        }
    };
    let is_counted = request.headers.iter().any(|(_, value)| value.contains("count=exact"));
    let method = if is_counted { "count" } else { request.method.name() };
    format!("{method} {path}?{}", query.split('&').filter_map(condition).collect::<Vec<_>>().join("&"))
}

impl Clock for Platform {
    fn now(&self) -> Timestamp {
        Utc::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

impl Entropy for Platform {
    fn random(&self) -> u128 {
        Uuid::new_v4().as_u128()
    }
}

impl Instance for Platform {
    fn waiters(&self) -> &Waiters {
        &self.waiters
    }
}

impl Log for Platform {
    fn log(&self, _: Event) {}
}
