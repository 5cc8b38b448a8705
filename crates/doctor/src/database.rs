//! Whether the functions may do on the database what they need to, as `calendar_webhook_obstacles` tells: privileges,
//! triggers, and whether a notification's update goes through, which is tried and undone.

use adapters::refusal::plain;
use serde_json::Value as Json;

use crate::check::{Check, Id};
use crate::health::word;
use crate::home::Home;

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

/// The rows of `calendar_webhook_obstacles`; none where the answer is something else.
pub fn parse_obstacles(answer: &Json) -> Option<Vec<Obstacle>> {
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
    if obstacles.is_empty() {
        return vec![Check::ok(
            id,
            "privileges and triggers are there; a notification's update was tried, and undone",
        )];
    }
    let wrong = |obstacle: &Obstacle| {
        let is_sql = ["grant ", "alter "].iter().any(|verb| obstacle.remedy.starts_with(verb));
        let next = if is_sql {
            format!("in the SQL editor: `{}`", obstacle.remedy)
        } else {
            obstacle.remedy.clone()
        };
        Check::wrong(id, &obstacle.code, &obstacle.what, next)
    };
    obstacles.iter().map(wrong).collect()
}

/// Whether every obstacle was found by trying an update.
pub fn are_of_trial(obstacles: &[Obstacle]) -> bool {
    !obstacles.is_empty() && obstacles.iter().all(|obstacle| obstacle.code == "write_refused")
}

/// Of a database that has the schema, but not the function that tells.
pub fn untold(home: Home) -> Check {
    Check::wrong(
        Id::Database,
        "migration_missing",
        "the database lacks calendar_webhook_obstacles, which tells what the functions may not do there",
        format!("bring the project up to date: scripts/install, then {}", home.migrate()),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
    fn what_is_no_list_of_obstacles_tells_nothing() {
        for answer in [json!(null), json!({ "code": "PGRST202" }), json!([{ "obstacle": "x" }])] {
            assert_eq!(parse_obstacles(&answer), None);
        }
    }
}
