//! What one request, one user or one answer can make the functions do at most.

use std::convert::Infallible;
use std::fs;
use std::future::ready;
use std::io::Write as _;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::response::IntoResponse;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::{join, join_all};
use futures_util::stream;
use serde_json::json;
use sha2::{Digest, Sha256};
use system_tests::{Caller, Connection, RECEIVE, REFRESH, SETUP, is_epoch, until};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::case::cases;
use crate::moment::{ago, uuid_born};
use crate::notification::Notification;
use crate::scene::Scene;
use crate::standalone::Standalone;
use crate::tap::{Asked, Spoil};

cases! {
    shared: [
        a_strangers_notification_costs_two_requests,
        of_a_burst_one_waits_and_claims,
        of_a_users_setups_three_wait_and_the_rest_come_back_later,
        a_setup_that_waits_reads_all_rows_of_a_user_at_once,
        a_calendar_that_is_changed_again_and_again_is_watched_every_five_seconds,
        a_part_that_is_none_is_refused,
        of_an_answer_of_the_database_four_megabytes_are_read,
        of_an_answer_of_google_one_megabyte_is_read,
    ],
    alone: [
        rows_that_refuse_do_not_hide_the_next,
        sweeps_that_share_the_work_do_as_many_times_as_much,
        a_page_of_any_size_is_no_functions_answer,
    ],
}

fn rest_requests(scene: &Scene, matches: impl Fn(&Asked) -> bool) -> usize {
    scene.backdrop.tap.asked(|asked| asked.is_rest() && matches(asked)).len()
}

fn claims_of_runs(scene: &Scene) -> usize {
    rest_requests(scene, |asked| asked.uri.contains("sync_attempts=eq") && asked.method == "PATCH")
}

fn claims_of_its_run(scene: &Scene, connection: &Connection) -> usize {
    let id = connection.id.to_string();
    rest_requests(scene, |asked| asked.uri.contains(&id) && asked.uri.contains("sync_attempts=eq"))
}

async fn a_strangers_notification_costs_two_requests(scene: &Scene) {
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    let token = format!("{:064x}", Uuid::new_v4().as_u128());
    let answer = scene.notify(&Notification::of(&connection, &row, 9).token(&token)).await;
    assert_eq!(answer.outcome(), (404, "unknown_channel"));
    let hash: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(rest_requests(scene, |asked| asked.uri.contains(&hash)), 2);
}

async fn of_a_burst_one_waits_and_claims(scene: &Scene) {
    let connection = scene.open().await;
    scene.let_an_hour_pass(&connection).await;
    scene.set(&connection, "sync_not_before = now() + interval '5 seconds'").await;
    let row = scene.row(&connection).await;
    let (claims, runs) = (claims_of_its_run(scene, &connection), scene.runs(&connection).await.len());
    let burst = (10..90).map(|number| Notification::of(&connection, &row, number));
    let burst: Vec<_> = burst.collect();
    for answer in join_all(burst.iter().map(|notification| scene.notify(notification))).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    until("the run", || async { (scene.runs(&connection).await.len() > runs).then_some(()) }).await;
    scene.settled(&connection).await;
    let claims = claims_of_its_run(scene, &connection) - claims;
    assert!(claims <= 2, "{claims} claims of one run");
}

/// A connection that somebody else is renewing, for a minute.
async fn busy(scene: &Scene, user: Uuid) -> Connection {
    let connection = scene.connection_of(user).await;
    scene.set(&connection, "webhook_lease_until = now() + interval '1 minute'").await;
    connection
}

async fn of_a_users_setups_three_wait_and_the_rest_come_back_later(scene: &Scene) {
    let user = Uuid::new_v4();
    let connection = busy(scene, user).await;
    let body = json!({ "user_id": user });
    let answers = join_all((0..20).map(|_| scene.call(SETUP, Caller::Service, &body))).await;
    assert!(answers.iter().all(|answer| answer.outcome() == (429, "too_soon")));
    let waited = answers.iter().filter(|answer| answer.took > Duration::from_secs(10)).count();
    assert_eq!(waited, 3);
    let id = connection.id.to_string();
    let reads = rest_requests(scene, |asked| asked.uri.contains(&id));
    assert!(reads <= 3 * 16, "{reads} requests for one row");
    assert_eq!(scene.asked_google(&connection, "watch").await, 0);
}

async fn a_setup_that_waits_reads_all_rows_of_a_user_at_once(scene: &Scene) {
    let user = Uuid::new_v4();
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(busy(scene, user).await.id.to_string());
    }
    let answer = scene.call(SETUP, Caller::Service, json!({ "user_id": user })).await;
    assert_eq!(answer.outcome(), (429, "too_soon"));
    let mine =
        |asked: &Asked| asked.uri.contains(&user.to_string()) || ids.iter().any(|id| asked.uri.contains(id));
    let requests = rest_requests(scene, mine);
    assert!(requests <= 20, "{requests} requests for 12 rows in 15 seconds");
}

async fn a_calendar_that_is_changed_again_and_again_is_watched_every_five_seconds(scene: &Scene) {
    let connection = scene.connection().await;
    let started = Instant::now();
    let is_over = || started.elapsed() > Duration::from_secs(11);
    let changes = async {
        while !is_over() {
            for calendar in ["calendar_id = null", "calendar_id = 'primary'", "calendar_id = ''"] {
                scene.set(&connection, calendar).await;
                sleep(Duration::from_millis(100)).await;
            }
        }
    };
    let setups = async {
        while !is_over() {
            scene.call(SETUP, Caller::Service, connection.target()).await;
        }
    };
    join(changes, setups).await;
    let watches = scene.asked_google(&connection, "watch").await;
    let seconds = started.elapsed().as_secs();
    assert!(watches as u64 <= 1 + seconds / 5, "{watches} watches in {seconds} s");
}

async fn a_part_that_is_none_is_refused(scene: &Scene) {
    for body in [
        json!({ "part": 0 }),
        json!({ "parts": 2 }),
        json!({ "part": 2, "parts": 2 }),
        json!({ "part": -1, "parts": 2 }),
        json!({ "part": 0, "parts": 0 }),
        json!({ "part": 0, "parts": 21 }),
        json!({ "part": "0", "parts": "2" }),
        json!({ "part": 0.5, "parts": 2 }),
    ] {
        let answer = scene.call(REFRESH, Caller::Service, &body).await;
        assert_eq!(answer.outcome(), (400, "invalid_request"), "{body}");
    }
}

async fn of_an_answer_of_the_database_four_megabytes_are_read(scene: &Scene) {
    for (megabytes, outcome) in [(3, (404, "no_connection")), (5, (503, "database_unavailable"))] {
        let user = Uuid::new_v4();
        let answer = format!("[{}]", " ".repeat(megabytes << 20));
        let reads = move |asked: &Asked| asked.uri.contains(&user.to_string());
        scene.backdrop.tap.spoil(1, Spoil::Answer(200, answer.leak()), reads);
        let answer = scene.call(SETUP, Caller::Service, json!({ "user_id": user })).await;
        assert_eq!(answer.outcome(), outcome, "{megabytes} MB");
    }
}

async fn of_an_answer_of_google_one_megabyte_is_read(scene: &Scene) {
    let (short, long) = ((900, "reconnect_required"), (1100, "google_unavailable"));
    for ((kilobytes, code), is_compressed) in [(short, false), (long, false), (short, true), (long, true)] {
        let connection = scene.connection().await;
        scene.set(&connection, "expires_at = 'epoch'").await;
        let refusal = format!("{{\"error\": \"invalid_grant\"}}{}", " ".repeat(kilobytes << 10));
        let answer = if is_compressed { compressed(&refusal) } else { refusal.into_bytes() };
        let encoding = [(CONTENT_ENCODING, if is_compressed { "gzip" } else { "identity" })];
        let url = answering(move || (StatusCode::BAD_REQUEST, encoding.clone(), answer.clone())).await;
        let function = Standalone::start(scene, SETUP, &[("GOOGLE_OAUTH_TOKEN_URL", Some(&url))]).await;
        let body: &'static str = connection.target().to_string().leak();
        let answer = function.call(scene, Caller::Service, body).await;
        function.end(scene).await;
        assert_eq!(answer.outcome().1, code, "{kilobytes} KB, compressed: {is_compressed}");
    }
}

fn compressed(text: &str) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

/// Connections with a channel, an owed run that is due, and the calendar that is called so.
async fn owing(scene: &Scene, count: i32, calendar: &str) -> Uuid {
    let user = Uuid::new_v4();
    scene.makes_rows_of(user);
    scene
        .sql(
            "insert into calendar_connections (user_id, provider, calendar_id, access_token, expires_at, last_sync_at)
               select $1, 'google', $2, 'ya29.owing', now() + interval '1 hour', now() - interval '1 hour'
                 from generate_series(1, $3)",
            &[&user, &calendar, &count],
        )
        .await
        .unwrap();
    let set = format!(
        "update calendar_connections set webhook_id = gen_random_uuid(), webhook_not_before = 'infinity',
             sync_look_at = 'infinity', sync_request_id = '{}', sync_not_before = now() - interval '1 minute'
           where user_id = $1",
        uuid_born(ago(1))
    );
    scene.sql(&set, &[&user]).await.unwrap();
    user
}

async fn rows_that_refuse_do_not_hide_the_next(scene: &mut Scene) {
    let scene = &*scene;
    scene
        .sql(
            "create or replace function refuse() returns trigger language plpgsql as
               $$ begin raise exception 'no seat'; end $$",
            &[],
        )
        .await
        .unwrap();
    owing(scene, 410, "refuses").await;
    scene
        .sql(
            "create or replace trigger refuse before update on calendar_connections for each row
               when (old.calendar_id = 'refuses') execute function refuse()",
            &[],
        )
        .await
        .unwrap();
    let last = owing(scene, 1, "last").await;
    scene
        .sql("update calendar_connections set sync_not_before = now() where user_id = $1", &[&last])
        .await
        .unwrap();
    let answer = scene.call(REFRESH, Caller::Service, "{}").await;
    scene.sql("drop trigger refuse on calendar_connections", &[]).await.unwrap();
    scene.sql("drop function refuse", &[]).await.unwrap();
    assert_eq!(answer.body["synced"], 1, "{}", answer.text);
}

async fn sweeps_that_share_the_work_do_as_many_times_as_much(scene: &mut Scene) {
    let scene = &*scene;
    owing(scene, 60, "shared").await;
    let claims = claims_of_runs(scene);
    let sweeps = (0..3).map(|part| scene.call(REFRESH, Caller::Service, json!({ "part": part, "parts": 3 })));
    let answers = join_all(sweeps).await;
    let synced: Vec<_> = answers.iter().map(|answer| answer.body["synced"].as_u64().unwrap()).collect();
    // Five of each are kept for looks until it is known that none are due.
    assert_eq!(synced.iter().sum::<u64>(), 60, "{synced:?}");
    let claims = claims_of_runs(scene) - claims;
    // Where runs take a while, a sweep that has made its own part tries those of the others, each once.
    assert!(claims <= 3 * 60, "{claims} claims of 60 runs");
}

async fn a_page_of_any_size_is_no_functions_answer(scene: &mut Scene) {
    let scene = &*scene;
    let connection = scene.open().await;
    let row = scene.row(&connection).await;
    scene.let_an_hour_pass(&connection).await;
    let url = answering(page_of_400_megabytes).await;
    let function = Standalone::start(scene, RECEIVE, &[("RECALCULATE_SCHEDULE_URL", Some(&url))]).await;
    let mut request = scene.http.post(format!("http://{}/", function.address()));
    for (name, value) in Notification::of(&connection, &row, 9).headers() {
        request = request.header(name, value);
    }
    assert_eq!(scene.send(request).await.status, 200);
    let failed = scene.row_where(&connection, "an error", |row| row["sync_error"].is_string()).await;
    assert_eq!(failed["sync_error"], "recalculate_not_a_function");
    assert!(is_epoch(&failed["sync_lease_until"]), "{failed}");
    let status = fs::read_to_string(format!("/proc/{}/status", function.process_id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    function.end(scene).await;
    assert!(kilobytes < 300 * 1024, "{} MB for an answer of 400", kilobytes / 1024);
}

/// The address of a server that answers everything so.
async fn answering<T: IntoResponse>(answer: impl Fn() -> T + Clone + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().fallback(move || ready(answer().into_response()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn page_of_400_megabytes() -> impl IntoResponse {
    let megabyte = Bytes::from(vec![b' '; 1 << 20]);
    let page = stream::iter((0..400).map(move |_| Ok::<_, Infallible>(megabyte.clone())));
    ([(CONTENT_TYPE, "text/html")], Body::from_stream(page))
}
