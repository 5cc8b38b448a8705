//! Whose connections a request is about, and what becomes of the request when each had its turn.

use adapters::deployment::{Deployment, Platform};
use protocol::connection::{Connection, ConnectionId, UserId};
use protocol::event::Event;
use protocol::ports::{Connections, Log};
use protocol::refresh::Refusal;
use protocol::schedule::DATABASE_TIMEOUT;
use protocol::table::{Column, Filter, Query, google};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::authenticate::Caller;
use crate::problem::Problem;
use crate::{Answer, Incoming};

/// More than anybody has; a bound on the work of one request.
const MOST_CONNECTIONS: usize = 50;

/// The body of a request to setup or refresh. Unknown fields are ignored, as schedulers add their own.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct Target {
    #[serde(default)]
    connection_id: Option<Uuid>,
    #[serde(default)]
    user_id: Option<Uuid>,
}

impl Target {
    pub(crate) fn is_everybody(self) -> bool {
        self == Self::default()
    }

    /// Reads the body, which may be missing.
    pub(crate) async fn read(incoming: &impl Incoming) -> Result<Self, Problem> {
        let body = incoming
            .body()
            .await
            .ok_or(Problem::InvalidRequest("the body is not text of at most 16 KiB, or did not arrive"))?;
        if body.trim().is_empty() {
            return Ok(Self::default());
        }
        let body: Json =
            serde_json::from_str(&body).map_err(|_| Problem::InvalidRequest("the body is not JSON"))?;
        if !body.is_object() {
            return Err(Problem::InvalidRequest("the body is not a JSON object"));
        }
        Self::deserialize(body)
            .map_err(|_| Problem::InvalidRequest("connection_id and user_id must be UUIDs"))
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
        let query = Query { filters, any_of: Vec::new(), order: Column::CreatedAt, limit: MOST_CONNECTIONS };
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

/// 200 with every connection when at least one is well; when none is, what is wrong with the first.
pub(crate) async fn answer<P: Platform>(
    deployment: &Deployment<P>,
    connections: &[Connection],
    results: &[Result<(), Refusal>],
) -> Result<Answer, Problem> {
    if let Some(Err(refusal)) = results.first()
        && results.iter().all(Result::is_err)
    {
        return Err(Problem::Refused(*refusal));
    }
    let ids: Vec<_> = connections.iter().map(|connection| connection.id).collect();
    let statuses = deployment.statuses(&ids).await?;
    let is = |status: &Json, id: &ConnectionId| {
        status.get("id").and_then(Json::as_str).is_some_and(|text| Uuid::parse_str(text) == Ok(id.0))
    };
    let in_order = ids.iter().filter_map(|id| statuses.iter().find(|status| is(status, id)));
    Ok(Answer::ok(json!({ "connections": in_order.collect::<Vec<_>>() })))
}
