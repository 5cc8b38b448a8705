//! The project, its functions, and the ways in.

use std::fs;
use std::path::Path;
use std::time::Duration;

use chrono::{Datelike, Utc};
use dev_stack::{Config, shipped_functions};
use local_supabase::Backend;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::case::cases;
use crate::detour::Spoil;
use crate::world::{Report, World};

cases! {
    a_dead_host_ends_in_seconds_and_nothing_else_is_judged,
    a_host_that_never_answers_ends_in_seconds_too,
    a_paused_project_is_told,
    a_key_that_the_project_does_not_know_is_told,
    the_gateways_401_is_told,
    what_stands_before_a_project_is_told,
    a_function_that_does_not_start_is_told,
    a_callback_at_the_wrong_host_is_told,
    a_callback_on_a_private_network_is_told,
    a_robots_txt_that_keeps_google_away_is_told,
    clocks_that_differ_are_told,
}

/// An address where nobody listens.
async fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

async fn a_dead_host_ends_in_seconds_and_nothing_else_is_judged(world: &mut World) {
    let url = closed().await;
    let started = Instant::now();
    let report = world.examine_with(&[("SUPABASE_URL", &url)]).await;
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    let line = format!("{url} cannot be reached: it refuses connections");
    report.finds(&[("project", "connection_refused", &line)]);
    report.says("–", "schema", "not judged: put project right first");
    report.says("–", "google-calendar-webhook", "not judged: put project right first");
    report.says("–", "connections", "not judged: put project right first");
    report.says("✓", "google-client", "Google accepts GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET");

    // TLS is spoken: a server that does not is told from one that is not there.
    let https = world.detour.url.replace("http://", "https://");
    let report = world.examine_with(&[("SUPABASE_URL", &https)]).await;
    assert_eq!(report.check("project")["code"], "tls_failed", "{}", report.text);
}

async fn a_host_that_never_answers_ends_in_seconds_too(world: &mut World) {
    // The system accepts connections that nobody takes up.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let started = Instant::now();
    let report = world.run(&[], &[("SUPABASE_URL", &url)]).await;
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    report.says("✗", "project", &format!("{url} cannot be reached: it did not answer in time"));
    assert_eq!(report.code, 1);
}

async fn a_paused_project_is_told(world: &mut World) {
    world.detour.spoil("/", Spoil::Answer(540, "Project paused"));
    let report = world.examine().await;
    report.finds(&[("project", "paused", &format!("{} is paused", world.detour.url))]);
}

async fn a_key_that_the_project_does_not_know_is_told(world: &mut World) {
    world.open().await;
    let report = world.examine_with(&[("SUPABASE_SECRET_KEY", "sb_secret_of_another_project")]).await;
    let line = format!(
        "{} does not accept the key: it is another project's, was deleted, or legacy keys are disabled",
        world.detour.url
    );
    report.finds(&[("project", "key_refused", &line)]);
    report.says("✓", "google-calendar-webhook", "deployed, and reached without a JWT");

    let publishable = world.stack.keys().publishable.clone();
    let report = world.examine_with(&[("SUPABASE_SECRET_KEY", &publishable)]).await;
    let line = "SUPABASE_SECRET_KEY is a publishable key, which pages use, and not a secret one";
    report.finds(&[("variables", "not_a_secret_key", line)]);
}

async fn the_gateways_401_is_told(world: &mut World) {
    world.open().await;
    for body in [
        r#"{"code":401,"message":"Missing authorization header"}"#,
        r#"{"code":"UNAUTHORIZED_NO_AUTH_HEADER","message":"Missing authorization header"}"#,
    ] {
        world.detour.restore();
        world.detour.spoil("/functions/v1/google-calendar-webhook", Spoil::Answer(401, body));
        let report = world.examine().await;
        report.finds(&[(
            "google-calendar-webhook",
            "gateway_401",
            "Supabase's gateway refuses requests without a JWT (HTTP 401), before the function sees them",
        )]);
        report.says("–", "callback-url", "not judged: put google-calendar-webhook right first");
    }
}

async fn what_stands_before_a_project_is_told(world: &mut World) {
    world.open().await;
    let page = "<!DOCTYPE html><title>Just a moment…</title>";
    world.detour.spoil("/functions/v1/google-calendar-webhook", Spoil::Answer(403, page));
    let report = world.examine().await;
    let says = |address: &str| {
        format!(
            "a page answers at {address} (HTTP 403), from what stands before Supabase: a CDN, a firewall, maintenance"
        )
    };
    report.finds(&[("google-calendar-webhook", "page_in_front", &says("its address"))]);
    report.says("–", "callback-url", "not judged: put google-calendar-webhook right first");
    world.detour.restore();
    world.detour.spoil("/", Spoil::Answer(403, page));
    let report = world.examine().await;
    report.finds(&[("project", "page_in_front", &says(&world.detour.url))]);
    world.detour.restore();
    world.detour.spoil("/functions/v1/google-calendar-webhook", Spoil::WithoutHeaders("x-goog-"));
    let report = world.examine().await;
    report.finds(&[(
        "google-calendar-webhook",
        "headers_removed",
        "what stands before its address removes the headers X-Goog-…, which every notification of Google has",
    )]);
}

async fn a_function_that_does_not_start_is_told(world: &mut World) {
    world.open().await;
    world
        .detour
        .spoil("/functions/v1/setup-calendar-webhook", Spoil::Answer(503, r#"{"code":"BOOT_ERROR"}"#));
    world
        .detour
        .spoil("/functions/v1/refresh-calendar-webhook", Spoil::Answer(546, r#"{"code":"WORKER_LIMIT"}"#));
    let report = world.examine().await;
    report.finds(&[
        ("setup-calendar-webhook", "does_not_start", "it is deployed, but does not start (HTTP 503)"),
        ("refresh-calendar-webhook", "does_not_start", "it is deployed, but does not start (HTTP 546)"),
    ]);
}

async fn a_callback_at_the_wrong_host_is_told(world: &mut World) {
    world.open().await;
    let elsewhere = format!("{}/google", world.stack.google().url());
    let report = world.examine_with(&[("CALENDAR_WEBHOOK_URL", &elsewhere)]).await;
    let line = format!("what answers at {elsewhere} is not google-calendar-webhook");
    report.finds(&[("callback-url", "wrong_host", &line)]);

    let dead = format!("{}/google", closed().await);
    let report = world.examine_with(&[("CALENDAR_WEBHOOK_URL", &dead)]).await;
    let line = format!("{dead} cannot be reached: it refuses connections");
    report.finds(&[("callback-url", "connection_refused", &line)]);
    report.says(
        "–",
        "robots.txt",
        &format!(
            "not judged: {}/robots.txt could not be read, it refuses connections",
            dead.trim_end_matches("/google")
        ),
    );
}

async fn a_callback_on_a_private_network_is_told(world: &mut World) {
    world.open().await;
    let private = "https://192.168.255.254/functions/v1/google-calendar-webhook";
    let report = world.examine_with(&[("CALENDAR_WEBHOOK_URL", private)]).await;
    let line = format!("Google cannot reach {private}: it is an address of a private network");
    report.finds(&[("callback-url", "not_public", &line)]);
}

async fn a_robots_txt_that_keeps_google_away_is_told(world: &mut World) {
    world.open().await;
    let robots = format!("{}/robots.txt", world.detour.url);
    world.detour.spoil("/robots.txt", Spoil::Answer(200, "User-agent: *\nDisallow: /\n"));
    let report = world.examine().await;
    report.is_all_well();
    report.says("✓", "robots.txt", &format!("{robots} lets APIs-Google in"));

    world.detour.restore();
    world.detour.spoil("/robots.txt", Spoil::Answer(200, "User-agent: APIs-Google\nDisallow: /functions/\n"));
    let report = world.examine().await;
    let line = format!(
        "{robots} keeps APIs-Google away from /functions/v1/google-calendar-webhook (\"Disallow: /functions/\")"
    );
    report.finds(&[("robots.txt", "robots_disallowed", &line)]);
}

async fn clocks_that_differ_are_told(world: &mut World) {
    world.open().await;
    world.detour.spoil("/", Spoil::Ahead(5430));
    let report = world.examine().await;
    report.finds(&[(
        "clocks",
        "clocks_differ",
        "the project's gateway and all other clocks are 1 h 30 min apart",
    )]);

    // The database's clock, and with it every time that it tells; four years are always as long.
    world.detour.restore();
    let year = Utc::now().year();
    let later = Spoil::Replace(format!("\"{year}-"), format!("\"{}-", year + 4));
    world.detour.spoil("/rest/v1/calendar_webhook_health", later);
    differ(&world.examine().await, "the database's clock and all others are ");

    world.detour.spoil("/", Spoil::Ahead(1461 * 86_400));
    differ(&world.examine().await, "this machine's clock and the project's are ");
}

/// By how much the clocks differ depends on how long it took to read them, which is never as long twice.
#[track_caller]
fn differ(report: &Report, which: &str) {
    assert_eq!(report.wrong(), [("clocks", "clocks_differ")], "{}", report.text);
    assert!(report.text.contains(&format!("✗ {:24}  {which}", "clocks")), "{}", report.text);
}

/// Three functions, of which each lacks something else.
pub(crate) async fn spoilt_functions() {
    let project = tempfile::tempdir().unwrap();
    let functions = project.path().join("functions");
    for name in ["_shared", "google-calendar-webhook", "refresh-calendar-webhook"] {
        copy(&shipped_functions().unwrap().join(name), &functions.join(name));
    }
    fs::write(
        project.path().join("config.toml"),
        "[functions.google-calendar-webhook]\nverify_jwt = true\n\
         [functions.refresh-calendar-webhook]\nverify_jwt = false\n",
    )
    .unwrap();
    let world = World::start(Config {
        backend: Backend::Postgrest,
        functions_dir: functions,
        extra_env: vec![("GOOGLE_CLIENT_SECRET".to_owned(), String::new())],
        ..Config::default()
    })
    .await;
    world.swept("now()").await;
    let report = world.examine().await;
    report.finds(&[
        ("setup-calendar-webhook", "not_deployed", "it is not deployed (HTTP 404)"),
        (
            "google-calendar-webhook",
            "gateway_401",
            "Supabase's gateway refuses requests without a JWT (HTTP 401), before the function sees them",
        ),
        (
            "refresh-calendar-webhook",
            "misconfigured",
            "it is deployed, but its environment is not usable: GOOGLE_CLIENT_SECRET is not set",
        ),
    ]);
    world.stack.stop().await;
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
