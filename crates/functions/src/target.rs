//! Whose connections a request is about, and what becomes of the request when each had its turn.

use adapters::deployment::{Deployment, Platform};
use adapters::json::{Field, array, object};
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join_all};
use protocol::connection::{Connection, ConnectionId, UserId};
use protocol::event::Event;
use protocol::ports::{Connections, Log};
use protocol::refusal::Refusal;
use protocol::schedule::DATABASE_TIMEOUT;
use protocol::table::{Column, Filter, Query, google};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::authenticate::Caller;
use crate::problem::Problem;
use crate::{Answer, Incoming, Reply};

/// More than anybody has; a bound on the work of one request.
const MOST_CONNECTIONS: usize = 50;

/// The body of a request to setup or refresh. Unknown fields are ignored, as schedulers add their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    connection_id: Option<Uuid>,
    user_id: Option<Uuid>,
}

const NOT_A_UUID: Problem = Problem::InvalidRequest("connection_id and user_id must be UUIDs");

impl Target {
    pub(crate) fn is_everybody(self) -> bool {
        self == Self::default()
    }

    /// Reads the body, which may be missing.
    pub(crate) async fn read(incoming: &impl Incoming) -> Result<Self, Problem> {
        let body = incoming
            .body()
            .await
            .ok_or(Problem::InvalidRequest("the body is incomplete, not UTF-8, or over 16 KiB"))?;
        if body.trim().is_empty() {
            return Ok(Self::default());
        }
        let body: Json =
            serde_json::from_str(&body).map_err(|_| Problem::InvalidRequest("the body is not JSON"))?;
        let fields = body.as_object().ok_or(Problem::InvalidRequest("the body is not a JSON object"))?;
        let id = |name: &str| match fields.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) => Uuid::parse_str(text).map(Some).map_err(|_| NOT_A_UUID),
            Some(_) => Err(NOT_A_UUID),
        };
        Ok(Self { connection_id: id("connection_id")?, user_id: id("user_id")? })
    }

    /// The connections that `caller` may act on and this names; live ones first, then the oldest.
    pub(crate) async fn connections<P: Platform>(
        self,
        deployment: &Deployment<P>,
        caller: Caller,
    ) -> Result<Vec<Connection>, Problem> {
        let mut filters = vec![google()];
        if let Some(connection) = self.connection_id {
            filters.push(id(Column::Id, connection));
        }
        if let Some(user) = self.user_id {
            filters.push(id(Column::UserId, user));
        }
        if let Caller::User(UserId(user)) = caller {
            filters.push(id(Column::UserId, user));
        }
        let query = Query { filters, order: Column::CreatedAt, limit: MOST_CONNECTIONS };
        let rows = deployment.select(query, DATABASE_TIMEOUT).await?.into_iter();
        let readable =
            rows.filter_map(|row| row.inspect_err(|odd| deployment.log(Event::UnreadableRow(*odd))).ok());
        let (mut connections, others): (Vec<_>, Vec<_>) = readable.partition(Connection::is_live);
        connections.extend(others);
        if connections.is_empty() {
            return Err(Problem::Refused(Refusal::NoConnection));
        }
        Ok(connections)
    }
}

fn id(column: Column, id: Uuid) -> Filter {
    Filter::Eq(column, protocol::table::Value::Uuid(id))
}

/// What was done for one connection, and what remains to be done once the caller is answered.
pub(crate) struct Attempt {
    pub(crate) result: Result<(), Refusal>,
    pub(crate) follow_up: LocalBoxFuture<'static, ()>,
}

/// Makes an attempt for every connection and answers: 200 with all of them when at least one is well; when none is,
/// what is wrong with the first.
pub(crate) async fn attempt_all<P: Platform>(
    deployment: &Deployment<P>,
    connections: &[Connection],
    attempt: impl Fn(Connection) -> LocalBoxFuture<'static, Attempt>,
) -> Reply {
    let attempts = join_all(connections.iter().map(|connection| attempt(connection.clone()))).await;
    let refusal = attempts.first().and_then(|first| first.result.err());
    let answer = match refusal.filter(|_| attempts.iter().all(|attempt| attempt.result.is_err())) {
        Some(refusal) => Err(Problem::Refused(refusal)),
        None => statuses(deployment, connections).await,
    };
    let follow_ups = join_all(attempts.into_iter().map(|attempt| attempt.follow_up));
    Reply { follow_up: Some(follow_ups.map(|_| ()).boxed_local()), ..answer.into() }
}

async fn statuses<P: Platform>(
    deployment: &Deployment<P>,
    connections: &[Connection],
) -> Result<Answer, Problem> {
    let ids: Vec<_> = connections.iter().map(|connection| connection.id).collect();
    let statuses = deployment.statuses(&ids).await?;
    let status = |id: &ConnectionId| statuses.iter().find(|(of, _)| of == id).map(|(_, row)| row.clone());
    let in_order: Vec<String> = ids.iter().filter_map(status).collect();
    Ok(Answer::ok(object(&[("connections", Field::Json(array(&in_order)))])))
}
