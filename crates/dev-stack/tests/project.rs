//! Somebody else's project, as `scripts/dev --project` runs it.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fs;
use std::sync::Mutex;

use dev_stack::{Config, Stack, project};
use local_supabase::{Backend, Deno, Keys};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What apps have, and a statement in each file that runs nowhere.
const MIGRATIONS: [(&str, &str); 3] = [
    (
        "20250101000000_profiles.sql",
        "begin;
create extension if not exists \"uuid-ossp\" with schema extensions;
create extension if not exists pgcrypto;
create table public.profiles (
  id uuid primary key references auth.users (id) on delete cascade,
  secret text not null default encode(gen_random_bytes(4), 'hex'),
  tag uuid not null default uuid_generate_v4(),
  name text
);
alter table public.profiles enable row level security;
create policy \"own profile\" on public.profiles for select to authenticated using ((select auth.uid()) = id);
create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into public.profiles (id, name) values (new.id, new.raw_user_meta_data ->> 'name');
  return new;
end;
$$;
create trigger on_auth_user_created after insert on auth.users
  for each row execute function public.handle_new_user();
alter publication supabase_realtime add table public.profiles;
-- Nothing is of this name;
alter table public.missing add column nothing text;
commit;",
    ),
    (
        "20250102000000_more.sql",
        "insert into storage.buckets (id, name, public) values ('avatars', 'avatars', true);
create policy \"avatars are public\" on storage.objects for select using (bucket_id = 'avatars');
create extension pg_cron with schema pg_catalog;
select cron.schedule('nightly', '0 3 * * *', $$select net.http_post('https://example.com')$$);
select vault.create_secret('s3cret', 'a_secret');
create extension postgis;
create table public.calendar_connections (
  id uuid primary key default gen_random_uuid(), user_id uuid not null references auth.users, provider text,
  access_token text, expires_at timestamptz, calendar_id text, is_active boolean default true,
  created_at timestamptz default now());",
    ),
    (
        "20250103000000_trigrams.sql",
        "create extension if not exists pg_trgm with schema extensions;
create index profiles_by_name on public.profiles using gin (name extensions.gin_trgm_ops);
do $$ begin raise warning 'nobody may read it' using hint = 'Grant it.'; end $$;",
    ),
];

const CONFIG: &str = "
project_id = \"theirs\"
[api]
auto_expose_new_tables = true
[functions.recalculate-schedule]
verify_jwt = false
[functions.elsewhere]
entrypoint = \"./other/elsewhere.ts\"
verify_jwt = false
[functions.disabled]
enabled = false
";

/// Supabase's own quickstart, with an import map, and Google's address as it stands in every guide.
const RECALCULATE: &str = r#"
import { greeting } from "~/greeting.ts";
Deno.serve({ port: 8000 }, async (request) => {
  const answer = await fetch("https://www.googleapis.com/calendar/v3/calendars/primary/events", {
    headers: { Authorization: "Bearer unknown" },
  });
  return Response.json({
    greeting,
    google: (await answer.json()).error.status,
    mine: Deno.env.get("MINE"),
    client: Deno.env.get("GOOGLE_CLIENT_ID"),
    keys: ["SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEYS", "SUPABASE_ANON_KEY"].map((name) => Deno.env.has(name)),
    database: Deno.env.get("SUPABASE_DB_URL")?.replace(/:\d+/, ":port"),
    file: await Deno.readTextFile(new URL("./notes.txt", import.meta.url)),
    path: new URL(request.url).pathname,
  });
});
"#;

fn theirs() -> TempDir {
    let project = TempDir::new().unwrap();
    let write = |path: &str, text: &str| {
        let path = project.path().join("supabase").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for (name, sql) in MIGRATIONS {
        write(&format!("migrations/{name}"), sql);
    }
    write("config.toml", CONFIG);
    write("functions/.env", "MINE=yes\nGOOGLE_CLIENT_ID=the-real-one\nSUPABASE_URL=https://elsewhere\n");
    write("functions/recalculate-schedule/index.ts", RECALCULATE);
    write("functions/recalculate-schedule/deno.json", r#"{"imports": {"~/": "../_shared/"}}"#);
    write("functions/recalculate-schedule/notes.txt", "read");
    write("functions/_shared/greeting.ts", "export const greeting: string = \"hello\";");
    write("functions/broken/index.ts", "import \"./missing.ts\";\nDeno.serve(() => new Response());");
    write("functions/silent/index.ts", "console.log(\"neither\");");
    write("functions/disabled/index.ts", "throw new Error(\"never run\");");
    write("other/elsewhere.ts", "export default { fetch: () => new Response(\"elsewhere\") };");
    // A workspace around it is no concern of the functions.
    fs::write(
        project.path().join("package.json"),
        r#"{"workspaces": ["missing"], "dependencies": {"left-pad": "1"}}"#,
    )
    .unwrap();
    for name in ["setup-calendar-webhook", "google-calendar-webhook", "refresh-calendar-webhook"] {
        write(&format!("functions/{name}/index.ts"), "Deno.serve(() => new Response(\"installed\"));");
    }
    project
}

async fn get(stack: &Stack, path: &str, key: &str, token: &str) -> Value {
    let request =
        Client::new().get(format!("{}{path}", stack.url())).header("apikey", key).bearer_auth(token);
    request.send().await.unwrap().json().await.unwrap()
}

async fn is_run(backend: Backend, deno: Deno, expected: &[&str]) {
    let directory = theirs();
    let told = Mutex::new(Vec::new());
    let tell = |line: &str| told.lock().unwrap().push(line.to_owned());
    let config = project::config(directory.path(), tell).unwrap();
    let stack = Stack::start(Config { backend, deno, keys: Keys::Both, ..config }, tell).await.unwrap();

    let left_out: Vec<&str> = stack.left_out().iter().map(String::as_str).collect();
    assert_eq!(left_out.len(), expected.len() + 2, "{left_out:#?}");
    for expected in expected {
        assert!(left_out.contains(expected), "{expected} is not in {left_out:#?}");
    }
    let of = |name: &str| left_out.iter().find(|line| line.contains(&format!("function {name} "))).unwrap();
    assert!(of("broken").contains("missing.ts"), "{left_out:#?}");
    assert!(of("silent").contains("it neither calls Deno.serve(handler) nor exports default { fetch }"));

    let told = told.lock().unwrap().join("\n");
    for line in [
        "1 variable of supabase/functions/.env",
        "not taken from it, because scripts/dev or Supabase sets them: GOOGLE_CLIENT_ID, SUPABASE_URL",
        "function recalculate-schedule, yours",
        "function google-oauth-start, the sample app's",
        left_out[0],
    ] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
    let hint = project::hint(&stack, true).unwrap();
    assert!(hint.starts_with("Your own recalculate-schedule runs") && !hint.contains("JWT"), "{hint}");

    let call = Client::new().post(format!("{}/functions/v1/recalculate-schedule", stack.url()));
    let answer: Value = call.json(&json!({})).send().await.unwrap().json().await.unwrap();
    let mut answered = json!({
        "greeting": "hello", "google": "UNAUTHENTICATED", "mine": "yes", "client": "fake-client-id",
        "keys": [true, true, true], "file": "read", "path": "/recalculate-schedule",
    });
    // PGlite's database takes no connection from outside, and says nothing of warnings.
    if backend == Backend::Postgrest {
        answered["database"] = "postgres://postgres@127.0.0.1:port/postgres".into();
        assert!(told.contains("warning of the migrations: nobody may read it\nGrant it."), "{told}");
    }
    assert_eq!(answer, answered);
    let elsewhere = reqwest::get(format!("{}/functions/v1/elsewhere", stack.url())).await.unwrap();
    assert_eq!(elsewhere.text().await.unwrap(), "elsewhere");
    let disabled = reqwest::get(format!("{}/functions/v1/disabled", stack.url())).await.unwrap();
    assert_eq!(disabled.status(), 404);

    // A user has a profile: the trigger on auth.users, the foreign key and the extensions' functions have worked.
    let key = stack.keys().publishable.as_str();
    let sign_up =
        Client::new().post(format!("{}/auth/v1/signup", stack.url())).header("apikey", key).json(&json!({
            "email": "ada@example.com", "password": "correct horse", "data": { "name": "Ada" }
        }));
    let signed_up: Value = sign_up.send().await.unwrap().json().await.unwrap();
    let token = signed_up["access_token"].as_str().unwrap();
    let profiles = get(&stack, "/rest/v1/profiles?select=name,secret,tag", key, token).await;
    assert_eq!(profiles[0]["name"], "Ada", "{profiles}");
    assert_eq!(profiles[0]["secret"].as_str().map(str::len), Some(8), "{profiles}");
    stack.stop().await;
}

#[tokio::test]
async fn another_project_is_run_on_lite_and_what_cannot_run_is_named() {
    is_run(
        Backend::Lite,
        Deno::Newest,
        &[
            "left out of 20250101000000_profiles.sql, line 22: relation \"public.missing\" does not exist: \
             alter table public.missing add column nothing text",
            "left out of 20250102000000_more.sql, line 6: PGlite does not have postgis: create extension postgis",
            "left out of 20250103000000_trigrams.sql, line 1: PGlite does not have pg_trgm: \
             create extension if not exists pg_trgm with schema extensions",
            "left out of 20250103000000_trigrams.sql, line 2: operator class \"extensions.gin_trgm_ops\" does not exist \
             for access method \"gin\": create index profiles_by_name on public.profiles using gin (name extensions.gin_…",
        ],
    )
    .await;
}

#[tokio::test]
async fn another_project_is_run_on_postgresql_and_what_cannot_run_is_named() {
    is_run(
        Backend::Postgrest,
        Deno::Floor,
        &[
            "left out of 20250101000000_profiles.sql, line 22: relation \"public.missing\" does not exist: \
             alter table public.missing add column nothing text",
            "left out of 20250102000000_more.sql, line 6: extension \"postgis\" is not available: \
             create extension postgis",
        ],
    )
    .await;
}

#[test]
fn a_project_without_the_functions_is_told_to_install_them() {
    let directory = theirs();
    fs::remove_dir_all(directory.path().join("supabase/functions/google-calendar-webhook")).unwrap();
    let error = project::config(directory.path(), |_| {}).err().unwrap().to_string();
    assert!(
        error.starts_with("google-calendar-webhook is missing in") && error.contains("scripts/install"),
        "{error}"
    );
}
