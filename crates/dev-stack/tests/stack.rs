//! The whole stack from outside, with a trivial function in the place of the shipped ones.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the report, and a deadline needs the clock"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dev_stack::{Config, Stack};
use local_supabase::{Backend, Deno, Keys};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
use serde_json::{Value, json};
use tempfile::TempDir;

const MIGRATION: &str = "
create table public.calendar_connections (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null,
  provider text not null default 'google',
  access_token text,
  refresh_token text,
  expires_at timestamptz default now() + interval '1 hour',
  calendar_id text,
  calendar_name text,
  is_active boolean default true,
  created_at timestamptz default now()
);
create table public.notes (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null default auth.uid(),
  text text not null
);
grant all on public.calendar_connections, public.notes to anon, authenticated, service_role;
alter table public.notes enable row level security;
create policy \"own notes\" on public.notes for all to authenticated
  using (user_id = auth.uid()) with check (user_id = auth.uid());
";

/// Answers what it was asked, and shows that background work and its failure are possible.
const ECHO: &str = r#"
declare const EdgeRuntime: { waitUntil(promise: Promise<unknown>): void };
export default {
  async fetch(request: Request): Promise<Response> {
    EdgeRuntime.waitUntil(Promise.reject(new Error("failed in the background")));
    console.log("asked");
    const { pathname, search } = new URL(request.url);
    return Response.json({
      method: request.method,
      path: pathname + search,
      body: await request.text(),
      header: request.headers.get("x-goog-channel-id"),
      authorization: request.headers.get("authorization"),
      environment: Object.keys(Deno.env.toObject()).sort(),
      key: Deno.env.get("SUPABASE_SERVICE_ROLE_KEY") ?? JSON.parse(Deno.env.get("SUPABASE_SECRET_KEYS")!).default,
    }, { status: 203 });
  },
};
"#;

/// A project directory with two functions: `echo`, and `guarded` behind `verify_jwt`.
fn project() -> TempDir {
    let project = TempDir::new().unwrap();
    let write = |path: &str, text: &str| {
        let path = project.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("config.toml", "project_id = \"test\"\n[functions.echo]\nverify_jwt = false\n");
    write("migrations/20260101000000_test.sql", MIGRATION);
    write("functions/echo/index.ts", ECHO);
    write("functions/guarded/index.ts", "export default { fetch: () => new Response(\"let in\") };");
    write("functions/_shared/index.ts", "throw new Error(\"not a function\");");
    project
}

fn config(project: &Path) -> Config {
    Config {
        functions_dir: project.join("functions"),
        migrations_dir: project.join("migrations"),
        ..Config::default()
    }
}

async fn start(config: Config) -> Stack {
    Stack::start(config, |_| {}).await.unwrap()
}

fn request(stack: &Stack, method: Method, path: &str) -> RequestBuilder {
    Client::new().request(method, format!("{}{path}", stack.url()))
}

async fn json(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap_or(Value::Null))
}

/// The key that the functions have.
fn service_key(stack: &Stack) -> &str {
    match stack.generation() {
        Keys::Current | Keys::Both => &stack.keys().secret,
        Keys::Legacy => &stack.keys().legacy_service_role,
    }
}

struct User {
    id: String,
    token: String,
}

async fn sign_up(stack: &Stack, email: &str) -> User {
    let (status, body) = json(
        request(stack, Method::POST, "/auth/v1/signup")
            .header("apikey", stack.keys().publishable.as_str())
            .bearer_auth(stack.keys().publishable.as_str())
            .json(&json!({ "email": email, "password": "correct horse" })),
    )
    .await;
    assert_eq!(status, StatusCode::OK, "{body}");
    User {
        id: body["user"]["id"].as_str().unwrap().to_owned(),
        token: body["access_token"].as_str().unwrap().to_owned(),
    }
}

async fn users_see_their_own_rows(stack: &Stack) {
    let (ada, bob) = (sign_up(stack, "ada@example.com").await, sign_up(stack, "bob@example.com").await);
    let as_user = |method, path: &str, user: &User| {
        request(stack, method, path)
            .header("apikey", stack.keys().publishable.as_str())
            .bearer_auth(&user.token)
    };
    let (status, user) = json(as_user(Method::GET, "/auth/v1/user", &ada)).await;
    assert_eq!((status, user["id"].as_str()), (StatusCode::OK, Some(ada.id.as_str())));

    let note = as_user(Method::POST, "/rest/v1/notes", &ada)
        .header("prefer", "return=representation")
        .json(&json!({ "text": "mine" }));
    let (status, rows) = json(note).await;
    assert_eq!((status, rows[0]["user_id"].as_str()), (StatusCode::CREATED, Some(ada.id.as_str())), "{rows}");

    let notes = "/rest/v1/notes?select=text";
    let service = stack.keys().secret.as_str();
    let legacy = stack.keys().legacy_service_role.as_str();
    for (request, seen) in [
        (as_user(Method::GET, notes, &ada), json!([{ "text": "mine" }])),
        (as_user(Method::GET, notes, &bob), json!([])),
        (request(stack, Method::GET, notes).header("apikey", stack.keys().publishable.as_str()), json!([])),
        (request(stack, Method::GET, notes).header("apikey", service), json!([{ "text": "mine" }])),
        (
            request(stack, Method::GET, notes).header("apikey", legacy).bearer_auth(legacy),
            json!([{ "text": "mine" }]),
        ),
        (request(stack, Method::GET, &format!("{notes}&apikey={service}")), json!([{ "text": "mine" }])),
    ] {
        assert_eq!(json(request).await, (StatusCode::OK, seen));
    }
    for (request, message) in [
        (request(stack, Method::GET, notes), "No API key found in request"),
        (request(stack, Method::GET, notes).bearer_auth(service), "No API key found in request"),
        (request(stack, Method::GET, notes).header("apikey", "sb_secret_other"), "Invalid API key"),
        (
            request(stack, Method::GET, notes)
                .header("apikey", stack.keys().publishable.as_str())
                .bearer_auth(service),
            "Invalid JWT",
        ),
    ] {
        assert_eq!(json(request).await, (StatusCode::UNAUTHORIZED, json!({ "message": message })));
    }

    let preflight = request(stack, Method::OPTIONS, notes)
        .header("origin", "http://example.com")
        .header("access-control-request-method", "PATCH")
        .header("access-control-request-headers", "apikey,prefer,x-client-info")
        .send()
        .await
        .unwrap();
    assert!(preflight.status().is_success());
    assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
    assert_eq!(preflight.headers()["access-control-allow-headers"], "apikey,prefer,x-client-info");
}

async fn functions_see_requests_as_hosted_ones_do(stack: &Stack) {
    let asked = request(stack, Method::POST, "/functions/v1/echo?a=b%20c&apikey=kept")
        .header("x-goog-channel-id", "channel")
        .header("authorization", "Bearer anything")
        .body("the body");
    let (status, answer) = json(asked).await;
    assert_eq!(status, StatusCode::NON_AUTHORITATIVE_INFORMATION);
    assert_eq!(answer["method"], "POST");
    assert_eq!(answer["path"], "/echo?a=b%20c&apikey=kept");
    assert_eq!(answer["body"], "the body");
    assert_eq!(answer["header"], "channel");
    assert_eq!(answer["authorization"], "Bearer anything");

    let guarded = || request(stack, Method::POST, "/functions/v1/guarded");
    assert_eq!(guarded().send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let forged = guarded().bearer_auth(stack.keys().secret.as_str());
    assert_eq!(forged.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let signed = guarded().bearer_auth(stack.keys().legacy_anon.as_str()).send().await.unwrap();
    assert_eq!(signed.text().await.unwrap(), "let in");

    for path in ["/functions/v1/unknown", "/functions/v1/_shared", "/storage/v1/bucket"] {
        assert_eq!(json(request(stack, Method::POST, path)).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

async fn a_killed_function_comes_back(stack: &Stack) {
    stack.kill_function("echo").await;
    let answer = request(stack, Method::GET, "/functions/v1/echo").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NON_AUTHORITATIVE_INFORMATION);
    let log = stack.function_log("echo");
    assert!(log.contains("asked") && log.contains("failed in the background"), "{log}");
    assert!(log.contains("restarting"), "{log}");
}

async fn the_sample_app_refuses_strangers_and_bad_bodies(stack: &Stack) {
    let id = "7f6ad1f0-5a3c-4c56-9f3e-2d3f6f2f0001";
    let body =
        json!({ "user_id": id, "userId": id, "connection_id": id, "reason": "test", "request_id": id });
    let call = |body: &Value| {
        request(stack, Method::POST, "/functions/v1/recalculate-schedule")
            .header("idempotency-key", id)
            .json(body)
    };
    let key = service_key(stack);
    let mut other_user = body.clone();
    other_user["userId"] = json!("7f6ad1f0-5a3c-4c56-9f3e-2d3f6f2f0002");
    for (request, expected) in [
        (call(&body), StatusCode::UNAUTHORIZED),
        (call(&body).header("apikey", stack.keys().publishable.as_str()), StatusCode::UNAUTHORIZED),
        (call(&body).bearer_auth("e30.e30.e30"), StatusCode::UNAUTHORIZED),
        (call(&json!({})).header("apikey", key), StatusCode::BAD_REQUEST),
        (call(&other_user).header("apikey", key), StatusCode::BAD_REQUEST),
        (
            call(&body).header("apikey", key).header("idempotency-key", "another"),
            StatusCode::NOT_FOUND, // The first of two headers counts; there is no such connection.
        ),
        (call(&body).bearer_auth(key), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(json(request).await.0, expected);
    }

    let control = |path: &str| format!("{}{path}", stack.recalculate_url());
    let client = Client::new();
    for behaviour in [json!({ "times": 1, "status": 503 }), json!({ "times": 1, "status": 200, "cut": true })]
    {
        client.post(control("/control/behaviour")).json(&behaviour).send().await.unwrap();
    }
    let told = call(&body).header("apikey", key).send().await.unwrap();
    assert_eq!(told.status(), StatusCode::SERVICE_UNAVAILABLE);
    let cut = call(&body).header("apikey", key).send().await;
    assert!(cut.is_err(), "{cut:?}");

    let runs: Vec<Value> = client
        .get(control(&format!("/control/runs?user_id={id}")))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let statuses: Vec<_> = runs.iter().map(|run| run["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [404, 404, 503, 200]);
    assert!(runs.iter().all(|run| run["request_id"] == id && run["overlapped"] == false));
}

async fn the_sample_app_tells_runs_that_overlap(stack: &Stack) {
    let id = "7f6ad1f0-5a3c-4c56-9f3e-2d3f6f2f0004";
    let client = Client::new();
    let behaviour = json!({ "user_id": id, "times": 2, "delay_ms": 300, "status": 200 });
    let control = format!("{}/control", stack.recalculate_url());
    client.post(format!("{control}/behaviour")).json(&behaviour).send().await.unwrap();
    let call = || {
        let body =
            json!({ "user_id": id, "userId": id, "connection_id": id, "reason": "test", "request_id": id });
        request(stack, Method::POST, "/functions/v1/recalculate-schedule")
            .header("apikey", service_key(stack))
            .header("idempotency-key", id)
            .json(&body)
    };
    tokio::join!(json(call()), json(call()));
    let (_, runs) = json(client.get(format!("{control}/runs?user_id={id}"))).await;
    assert_eq!([&runs[0]["overlapped"], &runs[1]["overlapped"]], [false, true]);
}

/// A user with a calendar of their own and a session at nine.
struct Planned {
    user: User,
    connection: String,
    session: String,
    events: String,
    access_token: String,
}

async fn plan_a_session(stack: &Stack, email: &str) -> Planned {
    let user = sign_up(stack, email).await;
    let accounts = format!("{}/control/accounts", stack.google().url());
    let (_, account) = json(Client::new().post(accounts).json(&json!({ "email": email }))).await;
    let insert = |table: &str, row: Value| {
        request(stack, Method::POST, &format!("/rest/v1/{table}"))
            .header("prefer", "return=representation")
            .json(&row)
    };
    let connection = json!({
        "user_id": user.id,
        "access_token": account["access_token"],
        "refresh_token": account["refresh_token"],
    });
    let (_, connections) =
        json(insert("calendar_connections", connection).header("apikey", stack.keys().secret.as_str())).await;
    let session = json!({ "starts_at": "2036-01-02T09:00:00Z", "ends_at": "2036-01-02T10:00:00Z" });
    let as_user = insert("sessions", session)
        .header("apikey", stack.keys().publishable.as_str())
        .bearer_auth(&user.token);
    let (status, sessions) = json(as_user).await;
    assert_eq!(status, StatusCode::CREATED, "{sessions}");
    Planned {
        connection: connections[0]["id"].as_str().unwrap().to_owned(),
        session: sessions[0]["id"].as_str().unwrap().to_owned(),
        events: format!("{}/calendars/primary/events", stack.google().calendar_api_url()),
        access_token: account["access_token"].as_str().unwrap().to_owned(),
        user,
    }
}

async fn recalculate(stack: &Stack, planned: &Planned) -> Value {
    let (status, answer) = try_recalculate(stack, planned).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["moved"].clone()
}

async fn try_recalculate(stack: &Stack, planned: &Planned) -> (StatusCode, Value) {
    let request_id = "7f6ad1f0-5a3c-4c56-9f3e-2d3f6f2f0003";
    json(
        request(stack, Method::POST, "/functions/v1/recalculate-schedule")
            .header("apikey", service_key(stack))
            .header("idempotency-key", request_id)
            .json(&json!({
                "user_id": planned.user.id,
                "userId": planned.user.id,
                "connection_id": planned.connection,
                "reason": "test",
                "request_id": request_id,
            })),
    )
    .await
}

async fn start_of_session(stack: &Stack, planned: &Planned) -> String {
    let path = format!("/rest/v1/sessions?id=eq.{}&select=starts_at", planned.session);
    let (_, rows) =
        json(request(stack, Method::GET, &path).header("apikey", stack.keys().secret.as_str())).await;
    rows[0]["starts_at"].as_str().unwrap()[11..16].to_owned()
}

async fn the_sample_app_moves_sessions_out_of_the_way_of_events_and_back(stack: &Stack) {
    let ada = plan_a_session(stack, "ada.planner@example.com").await;
    let bob = plan_a_session(stack, "bob.planner@example.com").await;
    let event = json!({
        "start": { "dateTime": "2036-01-02T08:30:00Z" },
        "end": { "dateTime": "2036-01-02T09:30:00Z" },
    });
    let insert = Client::new().post(&ada.events).bearer_auth(&ada.access_token).json(&event);
    let (status, event) = json(insert).await;
    assert_eq!(status, StatusCode::OK, "{event}");

    assert_eq!((recalculate(stack, &ada).await, recalculate(stack, &bob).await), (json!(1), json!(0)));
    assert_eq!(start_of_session(stack, &ada).await, "09:30");
    assert_eq!(start_of_session(stack, &bob).await, "09:00");
    assert_eq!(recalculate(stack, &ada).await, json!(0));

    let delete = format!("{}/{}", ada.events, event["id"].as_str().unwrap());
    Client::new().delete(delete).bearer_auth(&ada.access_token).send().await.unwrap();
    assert_eq!(recalculate(stack, &ada).await, json!(1));
    assert_eq!(start_of_session(stack, &ada).await, "09:00");

    // A run takes the access token as it finds it in the row.
    let expire = format!("{}/control/expire-access-tokens", stack.google().url());
    Client::new().post(expire).json(&json!({ "email": "ada.planner@example.com" })).send().await.unwrap();
    let (status, answer) = try_recalculate(stack, &ada).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::CONFLICT, &json!("reconnect_required")),
        "{answer}"
    );
}

/// What a browser does on the fake's consent page, whose address an attacker or a bad app may have changed.
async fn consent(stack: &Stack, url: &str, decision: &str, changes: &[(&str, &str)]) -> Value {
    let fake = url.replace("https://accounts.google.com", &stack.google().url());
    let mut form: BTreeMap<String, String> = Url::parse(&fake).unwrap().query_pairs().into_owned().collect();
    let given = [("email", "zoe@example.com"), ("decision", decision)];
    form.extend(given.iter().chain(changes).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    let answer = client.post(fake).form(&form).send().await.unwrap();
    let returned = Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
    assert!(returned.as_str().starts_with("http://127.0.0.1/calendar/connected?"), "{returned}");
    let query: BTreeMap<String, String> = returned.query_pairs().into_owned().collect();
    json!(query)
}

async fn the_sample_app_connects_calendars(stack: &Stack) {
    let (zoe, eve) = (sign_up(stack, "zoe@example.com").await, sign_up(stack, "mallory@example.com").await);
    let call = async |function: &str, user: &User, body: &Value| {
        let request = request(stack, Method::POST, &format!("/functions/v1/google-oauth-{function}"))
            .header("apikey", stack.keys().publishable.as_str())
            .bearer_auth(&user.token)
            .json(body);
        json(request).await
    };
    let start = async |reason: &str| {
        let body = json!({ "redirect_uri": "http://127.0.0.1/calendar/connected", "reason": reason });
        let (status, answer) = call("start", &zoe, &body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["url"].as_str().unwrap().to_owned()
    };
    let rows = async || {
        let path = format!("/rest/v1/calendar_connections?user_id=eq.{}", zoe.id);
        json(request(stack, Method::GET, &path).header("apikey", service_key(stack))).await.1
    };

    let url = start("connect").await;
    for part in
        ["access_type=offline", "prompt=consent&", "login_hint=zoe%40example.com", "auth%2Fcalendar.events"]
    {
        assert!(url.contains(part), "{part} is not in {url}");
    }
    assert!(start("add").await.contains("prompt=select_account+consent"));
    let refused = async |user: &User, returned: &Value, status: u16, code: &str| {
        let (seen, answer) = call("callback", user, returned).await;
        assert_eq!((seen.as_u16(), answer["error"]["code"].as_str()), (status, Some(code)), "{answer}");
    };
    refused(&zoe, &consent(stack, &url, "deny", &[]).await, 409, "consent_denied").await;
    refused(&zoe, &consent(stack, &url, "allow", &[("scope", "openid")]).await, 409, "permission_missing")
        .await;
    let online = consent(stack, &url, "allow", &[("access_type", "online")]).await;
    refused(&zoe, &online, 502, "refresh_token_missing").await;
    let good = consent(stack, &url, "allow", &[]).await;
    refused(&eve, &good, 403, "another_user").await;
    let mut forged = good.clone();
    forged["state"] = json!(good["state"].as_str().unwrap().replacen("ey", "fy", 1));
    refused(&zoe, &forged, 400, "state_invalid").await;
    refused(&zoe, &json!({ "code": "4/any" }), 400, "state_invalid").await;
    assert_eq!(rows().await, json!([]));

    let (status, answer) = call("callback", &zoe, &good).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let first = rows().await;
    assert_eq!(
        (first[0]["id"].clone(), first[0]["user_id"].clone()),
        (answer["connection_id"].clone(), json!(zoe.id))
    );
    // A code counts once; another consent is written over the first.
    refused(&zoe, &good, 502, "google_rejected").await;
    // Google is to ask the account of the connection; before a look has told which one it is, the user chooses.
    assert!(start("reconnect").await.contains("prompt=select_account+consent"));
    let path = format!("/rest/v1/calendar_connections?user_id=eq.{}", zoe.id);
    let named = request(stack, Method::PATCH, &path)
        .header("apikey", service_key(stack))
        .json(&json!({ "calendar_name": "zoe.at.home@example.com" }));
    assert_eq!(named.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let url = start("reconnect").await;
    assert!(url.contains("prompt=consent&login_hint=zoe.at.home%40example.com"), "{url}");
    let again = consent(stack, &url, "allow", &[]).await;
    assert_eq!(call("callback", &zoe, &again).await.0, StatusCode::OK);
    let second = rows().await;
    assert_eq!((second[0]["id"].clone(), second[1].clone()), (first[0]["id"].clone(), Value::Null));
    assert_ne!(second[0]["refresh_token"], first[0]["refresh_token"]);
    let other = consent(stack, &start("add").await, "allow", &[("email", "zoe.at.work@example.com")]).await;
    assert_eq!(call("callback", &zoe, &other).await.0, StatusCode::OK);
    let both = rows().await;
    assert_eq!(both.as_array().unwrap().len(), 2);
    assert!(both.as_array().unwrap().iter().any(|row| row["refresh_token"] == second[0]["refresh_token"]));

    // After the user has changed sessions the page calls as the user, and acts on that user alone.
    let recalculate = request(stack, Method::POST, "/functions/v1/recalculate-schedule")
        .header("apikey", stack.keys().publishable.as_str())
        .bearer_auth(&zoe.token)
        .json(&json!({ "user_id": eve.id }));
    assert_eq!(json(recalculate).await, (StatusCode::OK, json!({ "moved": 0 })));
    for function in ["start", "callback"] {
        let service = request(stack, Method::POST, &format!("/functions/v1/google-oauth-{function}"))
            .header("apikey", service_key(stack))
            .json(&json!({}));
        assert_eq!(json(service).await.1["error"]["code"], "user_required");
    }
}

/// The calendar as its owner sees it: ids, and what else there is to see.
async fn seen_by(planned: &Planned) -> (Vec<String>, Vec<String>) {
    let list = Client::new().get(&planned.events).bearer_auth(&planned.access_token);
    let (_, list) = json(list).await;
    let events = list["items"].as_array().unwrap().iter();
    let seen = events.map(|event| {
        let summary = event["summary"].as_str().unwrap_or("-");
        let id = event["id"].as_str().unwrap().to_owned();
        (id, format!("{summary} {}", &event["start"]["dateTime"].as_str().unwrap()[11..16]))
    });
    seen.unzip()
}

async fn the_sample_app_writes_sessions_into_the_calendar_in_either_style(stack: &Stack) {
    let eve = plan_a_session(stack, "eve.planner@example.com").await;
    let choose = async |style: &str| {
        let choice = json!({ "user_id": eve.user.id, "style": style });
        let url = format!("{}/control/host-writes", stack.recalculate_url());
        let answer = Client::new().post(url).json(&choice).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    };
    recalculate(stack, &eve).await;
    assert_eq!(seen_by(&eve).await.1, [] as [&str; 0]);

    choose("in-place").await;
    recalculate(stack, &eve).await;
    let (written, seen) = seen_by(&eve).await;
    assert_eq!(seen, ["Session 09:00"]);
    // Its own event is not in the session's way, and stays as it is.
    assert_eq!(recalculate(stack, &eve).await, json!(0));
    assert_eq!(seen_by(&eve).await, (written.clone(), seen));

    let event = json!({
        "summary": "Dentist",
        "start": { "dateTime": "2036-01-02T08:30:00Z" },
        "end": { "dateTime": "2036-01-02T09:30:00Z" },
    });
    json(Client::new().post(&eve.events).bearer_auth(&eve.access_token).json(&event)).await;
    assert_eq!(recalculate(stack, &eve).await, json!(1));
    let (patched, seen) = seen_by(&eve).await;
    assert_eq!((&patched[0], seen), (&written[0], vec!["Session 09:30".into(), "Dentist 08:30".into()]));

    choose("recreate").await;
    assert_eq!(recalculate(stack, &eve).await, json!(0));
    let (recreated, seen) = seen_by(&eve).await;
    assert_eq!(seen, ["Dentist 08:30", "Session 09:30"]);
    assert!(!recreated.contains(&written[0]), "{recreated:?}");

    choose("none").await;
    recalculate(stack, &eve).await;
    assert_eq!(seen_by(&eve).await.0, recreated);
}

#[tokio::test]
async fn the_lite_backend_serves_users_functions_and_the_sample_app() {
    let project = project();
    let stack = start(config(project.path())).await;
    users_see_their_own_rows(&stack).await;
    functions_see_requests_as_hosted_ones_do(&stack).await;
    the_sample_app_refuses_strangers_and_bad_bodies(&stack).await;
    the_sample_app_tells_runs_that_overlap(&stack).await;
    the_sample_app_moves_sessions_out_of_the_way_of_events_and_back(&stack).await;
    the_sample_app_writes_sessions_into_the_calendar_in_either_style(&stack).await;
    the_sample_app_connects_calendars(&stack).await;
    a_killed_function_comes_back(&stack).await;
    assert!(stack.sql("select 1", &[]).await.is_err());
    stack.stop().await;
}

#[tokio::test]
async fn the_postgrest_backend_serves_users_functions_and_the_sample_app() {
    let project = project();
    let mut stack = start(Config {
        backend: Backend::Postgrest,
        deno: Deno::Floor,
        keys: Keys::Legacy,
        ..config(project.path())
    })
    .await;
    users_see_their_own_rows(&stack).await;
    functions_see_requests_as_hosted_ones_do(&stack).await;
    the_sample_app_refuses_strangers_and_bad_bodies(&stack).await;
    the_sample_app_tells_runs_that_overlap(&stack).await;
    the_sample_app_moves_sessions_out_of_the_way_of_events_and_back(&stack).await;
    the_sample_app_writes_sessions_into_the_calendar_in_either_style(&stack).await;
    the_sample_app_connects_calendars(&stack).await;
    a_killed_function_comes_back(&stack).await;

    let rows = stack.sql("select text from notes where text = $1", &[&"mine"]).await.unwrap();
    assert_eq!(rows.len(), 1);

    let notes = |stack: &Stack| {
        request(stack, Method::GET, "/rest/v1/notes").header("apikey", stack.keys().secret.clone()).send()
    };
    stack.postgrest().unwrap().stop().await;
    assert_eq!(notes(&stack).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    stack.postgrest().unwrap().restart().await.unwrap();
    assert_eq!(notes(&stack).await.unwrap().status(), StatusCode::OK);
    stack.stop().await;
}

#[tokio::test]
async fn functions_find_the_keys_as_configured_and_nothing_of_the_developers_environment() {
    let project = project();
    let stack = start(Config {
        extra_env: vec![("CALENDAR_WEBHOOK_URL".to_owned(), "https://example.com/hook".to_owned())],
        ..config(project.path())
    })
    .await;
    let (_, answer) = json(request(&stack, Method::GET, "/functions/v1/echo")).await;
    assert_eq!(answer["key"], stack.keys().secret.as_str());
    let expected = [
        "CALENDAR_WEBHOOK_URL",
        "GOOGLE_CALENDAR_API_URL",
        "GOOGLE_CLIENT_ID",
        "GOOGLE_CLIENT_SECRET",
        "GOOGLE_OAUTH_TOKEN_URL",
        "NO_COLOR",
        "SUPABASE_PUBLISHABLE_KEYS",
        "SUPABASE_SECRET_KEYS",
        "SUPABASE_URL",
    ];
    let environment: Vec<&str> =
        answer["environment"].as_array().unwrap().iter().flat_map(Value::as_str).collect();
    // Deno 2.9 adds to its own variables a PATH of its own making.
    let given: Vec<&str> =
        environment.into_iter().filter(|name| !name.starts_with("DENO_") && *name != "PATH").collect();
    assert_eq!(given, expected);
    stack.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let project = project();
    let error = Stack::start(Config { port, ..config(project.path()) }, |_| {}).await.err().unwrap();
    let message = format!("{error:#}");
    assert!(message.contains(&port.to_string()) && message.contains("--port"), "{message}");
}

#[tokio::test]
async fn a_function_that_does_not_start_is_left_out_and_says_why() {
    let project = project();
    fs::write(
        project.path().join("functions/echo/index.ts"),
        "throw new Error(\"no module\"); export default {};",
    )
    .unwrap();
    let stack = start(config(project.path())).await;
    assert_eq!(stack.left_out().len(), 1, "{:?}", stack.left_out());
    let message = &stack.left_out()[0];
    assert!(message.contains("function echo did not start") && message.contains("no module"), "{message}");
    let (status, answer) = json(request(&stack, Method::POST, "/functions/v1/echo")).await;
    assert_eq!((status, &answer["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("BOOT_ERROR")));
    stack.stop().await;
}
