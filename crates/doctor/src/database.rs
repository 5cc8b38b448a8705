//! Whether the functions may do on the database what they need to, as `calendar_webhook_obstacles` tells: privileges,
//! triggers, and whether a notification's update goes through, which is tried and undone.

use adapters::database::error_code;
use adapters::refusal::plain;
use serde_json::Value as Json;

use crate::check::{Check, Id};
use crate::health::word;
use crate::home::Home;
use machine::http::Reply;

/// Users may not see their own connections, which a host may mean.
const STATUS_HIDDEN: &str = "status_hidden";

/// What keeps the functions from working, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    code: String,
    what: String,
    remedy: String,
}

impl Obstacle {
    /// `service_role` may not execute the function that lists the obstacles, so none of the others is known.
    pub fn of_asking() -> Vec<Self> {
        vec![Self {
            code: "privilege_missing".to_owned(),
            what: "service_role may not execute public.calendar_webhook_obstacles".to_owned(),
            remedy: "grant execute on function public.calendar_webhook_obstacles(boolean) to service_role"
                .to_owned(),
        }]
    }
}

/// Reads the answer of `calendar_webhook_obstacles`, or gives it back where it tells none.
pub fn read(told: Reply) -> Result<Vec<Obstacle>, Box<Reply>> {
    let answer = told.as_ref().ok().filter(|answer| answer.status() == 200);
    answer.and_then(|answer| parse_obstacles(&answer.json())).ok_or_else(|| Box::new(told))
}

/// The rows of `calendar_webhook_obstacles`; none where the answer is something else.
fn parse_obstacles(answer: &Json) -> Option<Vec<Obstacle>> {
    let text = |row: &Json, name: &str| row.get(name).and_then(Json::as_str).map(str::to_owned);
    let obstacle = |row: &Json| {
        Some(Obstacle {
            code: word(&text(row, "obstacle")?).to_owned(),
            // A trigger of the host's may have said anything.
            what: plain(&text(row, "what")?),
            remedy: text(row, "remedy")?,
        })
    };
    answer.as_array()?.iter().map(obstacle).collect()
}

pub fn judge(obstacles: &[Obstacle]) -> Vec<Check> {
    let id = Id::Database;
    let check = |obstacle: &Obstacle| {
        let is_sql =
            ["grant ", "alter ", "create ", "update "].iter().any(|verb| obstacle.remedy.starts_with(verb));
        let next = if is_sql {
            format!("in the SQL editor: `{}`", obstacle.remedy)
        } else {
            obstacle.remedy.clone()
        };
        if obstacle.code == STATUS_HIDDEN {
            // Pages may get it from a server.
            let next = format!("unless your pages get it elsewhere, {next}");
            return Check { next: Some(next), ..Check::unknown(id, &obstacle.what).coded(STATUS_HIDDEN) };
        }
        Check::wrong(id, &obstacle.code, &obstacle.what, next)
    };
    let mut checks: Vec<Check> = obstacles.iter().map(check).collect();
    if !checks.iter().any(Check::is_wrong) {
        checks.insert(
            0,
            Check::ok(id, "privileges and triggers are there; a notification's update was tried, and undone"),
        );
    }
    checks
}

/// Whether a column that is missing may be the cause of each obstacle.
pub fn are_of_trial(obstacles: &[Obstacle]) -> bool {
    let is_of_trial = |obstacle: &Obstacle| {
        ["write_refused", "status_unreadable", STATUS_HIDDEN].contains(&obstacle.code.as_str())
    };
    !obstacles.is_empty() && obstacles.iter().all(is_of_trial)
}

/// Of a database that has the schema and does not tell its obstacles.
pub fn untold(home: Home, told: &Reply) -> Check {
    let id = Id::Database;
    let asked = "calendar_webhook_obstacles, which tells what the functions may not do in the database,";
    let answer = match told {
        Ok(answer) => answer,
        Err(silence) => {
            return Check::wrong(
                id,
                silence.code(),
                format!("{asked} does not answer: {}", silence.text()),
                format!("{}, and run the doctor again", home.see_health()),
            );
        }
    };
    let body = answer.json();
    let text = |name| body.get(name).and_then(Json::as_str).unwrap_or_default();
    match (answer.status(), text("code")) {
        (404, "PGRST202" | "") => Check::wrong(
            id,
            "migration_missing",
            format!("{asked} is missing"),
            format!("bring the project up to date: scripts/install, then {}", home.migrate()),
        ),
        (status, code) => {
            let code = if code.is_empty() { format!("HTTP {status}") } else { error_code(&answer.response) };
            let message = plain(text("message"));
            Check::wrong(
                id,
                "obstacles_untold",
                format!("{asked} fails: {}", format!("{message} ({code})").trim_start()),
                "see what `select * from public.calendar_webhook_obstacles(true)` answers in the SQL editor; where it \
                 was edited, apply both migrations again",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use machine::http::Silence;
    use serde_json::json;

    use super::*;
    use crate::answer::answer;
    use crate::check::Verdict;

    #[test]
    fn each_obstacle_is_a_finding_with_its_remedy() {
        let obstacles = parse_obstacles(&json!([
            {
                "obstacle": "privilege_missing",
                "what": "service_role may not update public.calendar_connections",
                "remedy": "grant update on public.calendar_connections to service_role",
            },
            {
                "obstacle": "write_refused",
                "what": "an update of public.calendar_connections fails: ada@example.com has no seat (P0001)",
                "remedy": "change what does this; triggers of your own on the table: seats",
            },
        ]))
        .unwrap();
        let checks = judge(&obstacles);
        let next = |check: &Check| check.next.clone().unwrap();
        assert_eq!(
            next(&checks[0]),
            "in the SQL editor: `grant update on public.calendar_connections to service_role`"
        );
        assert_eq!(checks[1].line, "an update of public.calendar_connections fails: […] has no seat (P0001)");
        assert_eq!(next(&checks[1]), "change what does this; triggers of your own on the table: seats");
        assert!(!judge(&[])[0].is_wrong());
    }

    #[test]
    fn a_connection_that_its_user_may_not_see_is_mentioned_and_no_fault() {
        let told = json!([{
            "obstacle": "status_hidden",
            "what": "pages may not read public.calendar_connections, so they show no connection",
            "remedy": "grant select (id) on public.calendar_connections to authenticated",
        }]);
        let [well, hidden] = judge(&parse_obstacles(&told).unwrap()).try_into().unwrap();
        assert_eq!((well.verdict, hidden.verdict), (Verdict::Ok, Verdict::Unknown));
        assert!(
            hidden.next.unwrap().starts_with("unless your pages get it elsewhere, in the SQL editor: `grant")
        );
    }

    #[test]
    fn a_database_that_does_not_tell_says_why() {
        for (told, line) in [
            (Ok(answer(404, r#"{"code":"PGRST202"}"#)), "is missing"),
            (
                Ok(answer(400, r#"{"code":"42703","message":"column \"owner\" does not exist"}"#)),
                "fails: column \"owner\" does not exist (42703)",
            ),
            (Ok(answer(503, "<html>")), "fails: (HTTP 503)"),
            (
                Ok(answer(404, r#"{"code":"42P01","message":"relation \"seats\" does not exist"}"#)),
                "fails: relation \"seats\" does not exist (42P01)",
            ),
            (Err(Silence::TimedOut), "does not answer: it did not answer in time"),
        ] {
            let check = untold(Home::Hosted, &told);
            assert!(check.line.ends_with(line), "{}", check.line);
        }
    }

    #[test]
    fn what_is_no_list_of_obstacles_tells_nothing() {
        for answer in [json!(null), json!({ "code": "PGRST202" }), json!([{ "obstacle": "x" }])] {
            assert_eq!(parse_obstacles(&answer), None);
        }
    }
}
