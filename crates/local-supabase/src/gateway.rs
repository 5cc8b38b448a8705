//! One port for the whole project, as on hosted Supabase: `/rest/v1`, `/auth/v1` and `/functions/v1`.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, AUTHORIZATION};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use chrono::Utc;
use serde_json::json;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::caller::{Caller, Refusal, bearer, identify};
use crate::edge_function::Address;
use crate::forward::{FUNCTION_TIMEOUT, Forward, RESTART_PATIENCE, function_name, header, refuse};
use crate::keys::{ApiKeys, Role};
use crate::self_hosted::{self, Main};
use crate::users::Users;

/// Bytes of an answer of Auth that is looked into.
const ANSWER_LIMIT: usize = 1 << 20;

const APIKEY: HeaderName = HeaderName::from_static("apikey");

/// Pages that people open from a mail or are sent back to by a provider: no key can be in those requests.
const OPEN: [&str; 4] =
    ["/auth/v1/verify", "/auth/v1/callback", "/auth/v1/authorize", "/auth/v1/.well-known/"];

/// A server for REST or Auth.
#[derive(Clone, Copy)]
pub(crate) enum Upstream {
    /// It knows API keys by itself.
    Lite { port: u16 },
    /// It knows tokens only.
    Postgrest { port: u16 },
}

/// What answers at `/functions/v1/<name>`.
#[derive(Clone)]
pub(crate) enum Function {
    /// A process, and whether requests need a valid token.
    Process { address: Address, verify_jwt: bool },
    /// Its process did not start.
    NotStarted,
}

/// What stands before a function: it gets the requests to it, and passes on to the function what it likes.
pub type Front = Box<dyn FnOnce(Router) -> Router + Send>;

pub(crate) struct Routes {
    pub keys: Arc<ApiKeys>,
    pub rest: Upstream,
    pub auth: Upstream,
    pub functions: HashMap<String, Function>,
    /// What serves all functions instead, in a self-hosted project.
    pub main: Option<Arc<Main>>,
    /// Where Auth's users are copied to.
    pub users: Option<Users>,
}

pub(crate) fn router(routes: Routes, fronts: Vec<(String, Front)>) -> Router {
    let gateway = Arc::new(Gateway { routes, forward: Forward::new() });
    let fronts = fronts.into_iter().map(|(name, front)| {
        let gateway = gateway.clone();
        let function = any(async move |request| gateway.function(request).await);
        (name, front(Router::new().fallback_service(function)))
    });
    let fronts: HashMap<String, Router> = fronts.collect();
    let function = any(async move |State(gateway): State<Arc<Gateway>>, request: Request| {
        match fronts.get(function_name(&request)) {
            Some(front) => front.clone().oneshot(request).await.unwrap_or_else(|never| match never {}),
            None => gateway.function(request).await,
        }
    });
    Router::new()
        .route("/rest/v1/{*path}", any(rest))
        .route("/rest/v1/", any(rest))
        .route("/auth/v1/{*path}", any(auth))
        .route("/functions/v1/", function.clone())
        .route("/functions/v1/{name}", function.clone())
        .route("/functions/v1/{name}/", function.clone())
        .route("/functions/v1/{name}/{*path}", function)
        .fallback(async |State(gateway): State<Arc<Gateway>>| match gateway.routes.main {
            Some(_) => self_hosted::studio(),
            None => refuse(StatusCode::NOT_FOUND, "no Route matched with those values"),
        })
        .with_state(gateway)
}

struct Gateway {
    routes: Routes,
    forward: Forward,
}

async fn rest(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    gateway.data_api(gateway.routes.rest, "/rest/v1", request).await
}

async fn auth(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let writes = matches!(*request.method(), Method::POST | Method::PUT);
    let answer = gateway.data_api(gateway.routes.auth, "/auth/v1", request).await;
    match &gateway.routes.users {
        Some(users) if writes && answer.status().is_success() => with_user_kept(users, answer).await,
        _ => answer,
    }
}

/// The answer, once the user whom it is about is in the project's database too.
async fn with_user_kept(users: &Users, answer: Response) -> Response {
    let (parts, body) = answer.into_parts();
    let Ok(body) = axum::body::to_bytes(body, ANSWER_LIMIT).await else {
        return refuse(StatusCode::BAD_GATEWAY, "Auth's answer broke off");
    };
    match users.keep(&serde_json::from_slice(&body).unwrap_or_default()).await {
        Ok(()) => Response::from_parts(parts, Body::from(body)),
        Err(error) => {
            let told = json!({
                "code": 500,
                "error_code": "unexpected_failure",
                "msg": format!("Database error saving new user: {error:#}"),
            });
            (StatusCode::INTERNAL_SERVER_ERROR, Json(told)).into_response()
        }
    }
}

impl Gateway {
    async fn function(&self, request: Request) -> Response {
        if let Some(main) = &self.routes.main {
            return main.through_kong(&self.forward, request).await;
        }
        let (mut address, verify_jwt) = match self.routes.functions.get(function_name(&request)) {
            None => return refuse(StatusCode::NOT_FOUND, "Requested function was not found"),
            Some(Function::NotStarted) => {
                let told = json!({
                    "code": "BOOT_ERROR",
                    "message": "Function failed to start (please check logs)",
                });
                return (StatusCode::SERVICE_UNAVAILABLE, Json(told)).into_response();
            }
            Some(Function::Process { address, verify_jwt }) => (address.clone(), *verify_jwt),
        };
        let token = header(request.headers(), &AUTHORIZATION).and_then(bearer);
        if verify_jwt
            && request.method() != Method::OPTIONS
            && !token.is_some_and(|token| self.routes.keys.accepts_jwt(token, Utc::now()))
        {
            return refuse(StatusCode::UNAUTHORIZED, "Invalid JWT");
        }
        let Some(port) = address.port(RESTART_PATIENCE).await else {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "the function's process is not running");
        };
        let path = request.uri().path().strip_prefix("/functions/v1").unwrap_or_default().to_owned();
        let query = request.uri().query().map(str::to_owned);
        timeout(FUNCTION_TIMEOUT, self.forward.to(port, &path, query.as_deref(), request))
            .await
            .unwrap_or_else(|_| {
                refuse(StatusCode::GATEWAY_TIMEOUT, "Request idle timeout limit (150s) reached")
            })
    }

    async fn data_api(&self, upstream: Upstream, prefix: &str, request: Request) -> Response {
        let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let preflight = request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let mut response = if preflight {
            StatusCode::NO_CONTENT.into_response()
        } else {
            self.authorised(upstream, prefix, request).await
        };
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
        if preflight {
            let methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
            if let Some(asked) = asked {
                headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
            }
        }
        response
    }

    async fn authorised(&self, upstream: Upstream, prefix: &str, request: Request) -> Response {
        let (mut parts, body) = request.into_parts();
        let (key_in_query, query) = without_apikey(parts.uri.query());
        let apikey = header(&parts.headers, &APIKEY).map(str::to_owned).or(key_in_query);
        let caller =
            match identify(&self.routes.keys, apikey.as_deref(), header(&parts.headers, &AUTHORIZATION)) {
                Err(Refusal::NoKey) if OPEN.iter().any(|open| parts.uri.path().starts_with(open)) => {
                    Caller { role: Role::Anon, has_token: false }
                }
                Err(Refusal::InvalidKey) if self.routes.main.is_some() => {
                    return refuse(StatusCode::UNAUTHORIZED, "Invalid authentication credentials");
                }
                Err(refusal) => return refuse(StatusCode::UNAUTHORIZED, refusal.message()),
                Ok(caller) => caller,
            };
        let port = match self.authorise(upstream, &caller, &mut parts) {
            Ok(port) => port,
            Err(error) => return refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        };
        let path = match upstream {
            Upstream::Lite { .. } => parts.uri.path().to_owned(),
            Upstream::Postgrest { .. } => {
                parts.uri.path().strip_prefix(prefix).unwrap_or_default().to_owned()
            }
        };
        self.forward.to(port, &path, query.as_deref(), Request::from_parts(parts, body)).await
    }

    /// Replaces the caller's credentials by those that the upstream understands, and returns its port.
    fn authorise(&self, upstream: Upstream, caller: &Caller, parts: &mut Parts) -> Result<u16> {
        let keys = &self.routes.keys;
        parts.headers.remove(APIKEY);
        if !caller.has_token {
            parts.headers.remove(AUTHORIZATION);
        }
        match upstream {
            Upstream::Lite { port } => {
                let key = match caller.role {
                    Role::Anon => &keys.publishable,
                    Role::ServiceRole => &keys.secret,
                };
                parts.headers.insert(APIKEY, key.parse()?);
                Ok(port)
            }
            Upstream::Postgrest { port } => {
                if !caller.has_token {
                    let token = keys.mint(caller.role, Utc::now()).context("no token")?;
                    parts.headers.insert(AUTHORIZATION, format!("Bearer {token}").parse()?);
                }
                Ok(port)
            }
        }
    }
}

/// The key in a query, and the rest of it: PostgREST would take the key for a filter on a column.
fn without_apikey(query: Option<&str>) -> (Option<String>, Option<String>) {
    let Some(query) = query else { return (None, None) };
    let (keys, rest): (Vec<&str>, Vec<&str>) =
        query.split('&').partition(|parameter| parameter.starts_with("apikey="));
    let key = keys.first().and_then(|parameter| parameter.strip_prefix("apikey="));
    (key.map(str::to_owned), (!rest.is_empty()).then(|| rest.join("&")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_the_query_is_taken_out_of_it() {
        for (query, key, rest) in [
            (None, None, None),
            (Some("select=id"), None, Some("select=id")),
            (Some("apikey=k"), Some("k"), None),
            (Some("select=id&apikey=k&id=eq.1"), Some("k"), Some("select=id&id=eq.1")),
        ] {
            let (found, left) = without_apikey(query);
            assert_eq!((found.as_deref(), left.as_deref()), (key, rest), "{query:?}");
        }
    }
}
