//! Whether the project answers at this address, and whether it accepts the key.

use crate::check::{Check, Id};
use crate::functions::in_front;
use crate::home::Home;
use crate::variables::shown;
use machine::http::{Reply, Silence};

/// What stands between us and the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Open,
    /// A page answers, from what stands before the project.
    InFront(u16),
    /// Something else answers than a Supabase project.
    NotSupabase(u16),
    Paused,
    Restricted,
    KeyRefused,
    /// The key is one of the project's, and may not read what only the service may.
    NotTheService,
    /// The key's role may not use the schema `public`.
    SchemaClosed,
    /// PostgREST may not act as the key's role.
    RoleNotGranted,
    /// The key's role may not call what is called before each request.
    PreRequestRefused,
    /// PostgREST serves other schemas than `public`.
    PublicNotExposed,
    DatabaseDown(u16),
    Silent(Silence),
}

/// Judges PostgREST's answer for a view that every install has, asked with the secret key. `is_service`: whether it has
/// answered what it tells the service alone.
pub fn access(view: &Reply, is_service: bool) -> Access {
    let answer = match view {
        Ok(answer) => answer,
        Err(silence) => return Access::Silent(*silence),
    };
    let body = answer.json();
    // PostgREST's errors, and those of lite, have a code of their own or of PostgreSQL's.
    let text = |name| body.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let code = text("code");
    match answer.status() {
        200 if body.is_array() => Access::Open,
        status if answer.is_barred() => Access::InFront(status),
        401 => Access::KeyRefused,
        402 => Access::Restricted,
        403 if code == "42501" && text("message").ends_with("for schema public") => Access::SchemaClosed,
        // The service lacks a privilege: the database's matter.
        403 if code == "42501" && is_service => Access::Open,
        403 if code == "42501" && text("message").starts_with("permission denied for function") => {
            Access::PreRequestRefused
        }
        403 if code == "42501" && text("message").starts_with("permission denied to set role") => {
            Access::RoleNotGranted
        }
        403 if code == "42501" => Access::NotTheService,
        // There is no such view: the schema's matter.
        404 if !code.is_empty() => Access::Open,
        406 if code == "PGRST106" => Access::PublicNotExposed,
        540 => Access::Paused,
        status @ 500.. => Access::DatabaseDown(status),
        status => Access::NotSupabase(status),
    }
}

/// Whether the project's host answers at all, so that asking it anything else makes sense.
pub fn answers(access: Access) -> bool {
    !matches!(access, Access::Silent(_) | Access::InFront(_) | Access::NotSupabase(_) | Access::Paused)
}

pub fn judge(url: &str, access: Access) -> Check {
    let id = Id::Project;
    let home = Home::of(url);
    let url = shown(url);
    match access {
        Access::Open => Check::ok(id, format!("{url} answers, and accepts the key")),
        Access::Silent(silence) => {
            let next = home.pick(
                "compare the address with the dashboard's (Project Settings, Data API), and see there whether the \
                 project is paused; then look at this machine's network",
                "see `docker compose ps`, and compare the address with SUPABASE_PUBLIC_URL in Docker Compose's .env; then \
                 look at this machine's network",
            );
            let lock = "where all of that is well, a transaction of yours may lock calendar_connections: see \
                        `select pid, query, pg_blocking_pids(pid) from pg_stat_activity where wait_event_type = 'Lock'`";
            let next = if silence == Silence::TimedOut { format!("{next}; {lock}") } else { next };
            Check::wrong(id, silence.code(), format!("{url} cannot be reached: {}", silence.text()), next)
        }
        Access::InFront(status) => in_front(id, &url, status),
        Access::NotSupabase(status) => Check::wrong(
            id,
            "not_supabase",
            format!("what answers at {url} is not a Supabase project (HTTP {status})"),
            home.pick(
                "give the address of the project itself, https://<ref>.supabase.co, without a path",
                "give the address of its gateway, without a path, as SUPABASE_PUBLIC_URL in Docker Compose's .env",
            ),
        ),
        Access::Paused => Check::wrong(
            id,
            "paused",
            format!("{url} is paused"),
            "restore the project in the dashboard; free projects are paused after a week without use",
        ),
        Access::Restricted => Check::wrong(
            id,
            "restricted",
            format!("{url} is restricted: the plan's quota is used up, or a payment is due"),
            "see the organization's billing page in the dashboard",
        ),
        Access::KeyRefused => Check::wrong(
            id,
            "key_refused",
            format!(
                "{url} does not accept the key: it is another project's, was deleted, or legacy keys are disabled"
            ),
            format!("take a secret key (sb_secret_…) of this project from {}", home.where_keys_are()),
        ),
        Access::NotTheService => Check::wrong(
            id,
            "not_a_secret_key",
            format!("{url} accepts the key, but it does not act as the service"),
            "take a secret key (sb_secret_…, or the legacy service_role key), not a publishable or anon one",
        ),
        Access::SchemaClosed => Check::wrong(
            id,
            "schema_closed",
            format!("{url} accepts the key, but the key's role may not use the schema public"),
            "if it is a secret key, in the SQL editor: `grant usage on schema public to service_role, authenticated`; \
             otherwise take a secret key",
        ),
        Access::RoleNotGranted => Check::wrong(
            id,
            "role_not_granted",
            format!("{url} accepts the key, but PostgREST may not act as its role"),
            "in the SQL editor: `grant service_role, authenticated, anon to authenticator`",
        ),
        Access::PreRequestRefused => Check::wrong(
            id,
            "pre_request_refused",
            format!("{url} accepts the key, but its role may not call the function that PostgREST calls before each request"),
            "if it is a secret key, in the SQL editor: `grant execute` on the function of pgrst.db_pre_request to \
             service_role, authenticated and anon; otherwise take a secret key",
        ),
        Access::PublicNotExposed => Check::wrong(
            id,
            "public_not_exposed",
            format!("{url} answers, but its Data API does not expose the schema public"),
            home.pick(
                "add it in the dashboard: Project Settings, Data API, Exposed schemas",
                "add it to PGRST_DB_SCHEMAS in Docker Compose's .env, then `docker compose up -d rest`",
            ),
        ),
        Access::DatabaseDown(status) => Check::wrong(
            id,
            "database_unavailable",
            format!("{url} answers, but its database does not (HTTP {status})"),
            format!("{}; a database that is starting or overloaded needs minutes", home.see_health()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::answer;
    use crate::home::assert_self_hosted;

    #[test]
    fn what_stands_in_the_way_is_told_apart() {
        for (view, expected) in [
            (Ok(answer(200, "[]")), Access::Open),
            (Ok(answer(404, r#"{"code":"PGRST205"}"#)), Access::Open),
            (Ok(answer(403, r#"{"code":"42501"}"#)), Access::NotTheService),
            (
                Ok(answer(403, r#"{"code":"42501","message":"permission denied for schema public"}"#)),
                Access::SchemaClosed,
            ),
            (
                Ok(answer(
                    403,
                    r#"{"code":"42501","message":"permission denied to set role \"service_role\""}"#,
                )),
                Access::RoleNotGranted,
            ),
            (
                Ok(answer(
                    403,
                    r#"{"code":"42501","message":"permission denied for function check_request"}"#,
                )),
                Access::PreRequestRefused,
            ),
            (Ok(answer(403, "<html>")), Access::InFront(403)),
            (Ok(answer(404, "<html>")), Access::NotSupabase(404)),
            (Ok(answer(401, r#"{"message":"Invalid API key"}"#)), Access::KeyRefused),
            (Ok(answer(406, r#"{"code":"PGRST106"}"#)), Access::PublicNotExposed),
            (Ok(answer(402, "")), Access::Restricted),
            (Ok(answer(540, "")), Access::Paused),
            (Ok(answer(503, r#"{"code":"PGRST002"}"#)), Access::DatabaseDown(503)),
            (Ok(answer(200, "<html>")), Access::NotSupabase(200)),
            (Ok(answer(404, "not found")), Access::NotSupabase(404)),
            (Err(Silence::NoSuchHost), Access::Silent(Silence::NoSuchHost)),
        ] {
            assert_eq!(access(&view, false), expected);
            assert_eq!(judge("https://x", expected).is_wrong(), expected != Access::Open);
            // Supabase alone pauses and restricts projects.
            if !matches!(expected, Access::Paused | Access::Restricted) {
                assert_self_hosted(&judge("http://x", expected).next.unwrap_or_default());
            }
        }
        assert_eq!(access(&Ok(answer(403, r#"{"code":"42501"}"#)), true), Access::Open);
    }
}
