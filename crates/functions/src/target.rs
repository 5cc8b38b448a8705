//! Whose connections a request is about, and what becomes of the request when each had its turn.

use std::rc::Rc;

use adapters::deployment::{Deployment, Platform};
use adapters::json::{Field, array, object};
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join_all};
use protocol::Timestamp;
use protocol::connection::{Connection, ConnectionId, UnreadableRow, UserId};
use protocol::invocation::{Invocation, Kind};
use protocol::ports::Connections;
use protocol::refusal::Refusal;
use protocol::schedule::DATABASE_TIMEOUT;
use protocol::sweep::Part;
use protocol::table::{Column, Filter, Query, google, live};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::answer::Answer;
use crate::authenticate::Caller;
use crate::incoming::Incoming;
use crate::problem::Problem;
use crate::reply::Reply;

/// More than anybody has; a bound on the work of one request.
const MOST_CONNECTIONS: usize = 20;

/// The body of a request to setup or refresh. Unknown fields are ignored, as schedulers add their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    connection_id: Option<ConnectionId>,
    user_id: Option<UserId>,
    /// Of a sweep that shares the work with others.
    pub(crate) part: Part,
}

const NOT_A_UUID: Problem = Problem::InvalidRequest("connection_id and user_id must be UUIDs");

const NOT_A_PART: Problem =
    Problem::InvalidRequest("part must be from 0 to parts - 1, and parts from 1 to 20");

impl Target {
    pub(crate) fn is_everybody(self) -> bool {
        (self.connection_id, self.user_id) == (None, None)
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
        let number = |name: &str| fields.get(name)?.as_u64().and_then(|number| usize::try_from(number).ok());
        let part = match (fields.get("part"), fields.get("parts")) {
            (None, None) => Some(Part::default()),
            _ => number("part").zip(number("parts")).and_then(|(part, parts)| Part::new(part, parts)),
        };
        Ok(Self {
            connection_id: id("connection_id")?.map(ConnectionId),
            user_id: id("user_id")?.map(UserId),
            part: part.ok_or(NOT_A_PART)?,
        })
    }

    /// The connections that `caller` may act on and this names; live ones first, then the oldest. Where there are more
    /// than one request acts on, live ones that need it most: whose renewal is due first.
    async fn connections<P: Platform>(
        self,
        deployment: &Deployment<P>,
        caller: Caller,
    ) -> Result<Vec<Connection>, Problem> {
        let user = match caller {
            Caller::User(user) => Some(user),
            Caller::Service => None,
        };
        let users = self.user_id.into_iter().chain(user).map(|id| Filter::Eq(Column::UserId, id.into()));
        let connection = self.connection_id.map(|id| Filter::Eq(Column::Id, id.into()));
        let named: Vec<_> = [google()].into_iter().chain(connection).chain(users).collect();
        let oldest = read(deployment, named.clone(), Column::CreatedAt, MOST_CONNECTIONS + 1).await?;
        let are_all = oldest.len() <= MOST_CONNECTIONS;
        let (mut connections, others): (Vec<_>, Vec<_>) =
            oldest.into_iter().flatten().partition(Connection::is_live);
        if !are_all {
            let live = [named, live().into()].concat();
            let due = read(deployment, live, Column::WebhookNotBefore, MOST_CONNECTIONS).await?;
            connections = due.into_iter().flatten().collect();
        }
        connections.extend(others);
        connections.truncate(MOST_CONNECTIONS);
        if connections.is_empty() {
            return Err(Problem::Refused(Refusal::NoConnection));
        }
        Ok(connections)
    }
}

async fn read<P: Platform>(
    deployment: &Deployment<P>,
    filters: Vec<Filter>,
    order: Column,
    limit: usize,
) -> Result<Vec<Result<Connection, UnreadableRow>>, Problem> {
    Ok(deployment.select(Query::first(limit, filters, order), DATABASE_TIMEOUT).await?)
}

/// What was done for one connection, and what remains to be done once the caller is answered.
pub(crate) struct Attempt {
    pub(crate) result: Result<(), Refusal>,
    pub(crate) follow_up: LocalBoxFuture<'static, ()>,
}

/// Makes an attempt for every connection of `target` that `caller` may act on, and answers: 200 with all of them when
/// at least one is well; when none is, what is wrong with the first.
pub(crate) async fn attempt_all<P: Platform>(
    deployment: Rc<Deployment<P>>,
    caller: Caller,
    target: Target,
    started_at: Timestamp,
    attempt: impl FnOnce(
        Rc<Deployment<P>>,
        Rc<Invocation>,
        Vec<Connection>,
    ) -> LocalBoxFuture<'static, Vec<Attempt>>,
) -> Result<Reply, Problem> {
    let connections = target.connections(&deployment, caller).await?;
    let life_left = deployment.life_left(started_at);
    let invocation = Rc::new(Invocation::new(Kind::Targeted, started_at).within(life_left));
    let attempts = attempt(deployment.clone(), invocation, connections.clone()).await;
    let refusal = attempts.first().and_then(|first| first.result.err());
    let answer = match refusal.filter(|_| attempts.iter().all(|attempt| attempt.result.is_err())) {
        Some(refusal) => Err(Problem::Refused(refusal)),
        None => statuses(&deployment, &connections).await,
    };
    let follow_ups = join_all(attempts.into_iter().map(|attempt| attempt.follow_up));
    Ok(Reply { follow_up: Some(follow_ups.map(|_| ()).boxed_local()), ..answer.into() })
}

async fn statuses<P: Platform>(
    deployment: &Deployment<P>,
    connections: &[Connection],
) -> Result<Answer, Problem> {
    let ids: Vec<_> = connections.iter().map(|connection| connection.id).collect();
    let statuses = deployment.statuses(&ids).await?;
    let status = |id: &ConnectionId| statuses.iter().find(|(of, _)| of == id).map(|(_, row)| row.clone());
    let in_order: Vec<String> = ids.iter().filter_map(status).collect();
    if in_order.is_empty() {
        return Err(Problem::Refused(Refusal::NoConnection));
    }
    let mut fields = vec![("connections", Field::Json(array(&in_order)))];
    let warnings: Vec<String> = connections.iter().filter(|row| is_short_lived(row)).map(warning).collect();
    if !warnings.is_empty() {
        fields.push(("warnings", Field::Json(array(&warnings))));
    }
    Ok(Answer::ok(object(&fields)))
}

/// Nothing can renew its access token.
pub(crate) fn is_short_lived(row: &Connection) -> bool {
    row.is_live() && row.refresh_token.is_none()
}

fn warning(row: &Connection) -> String {
    object(&[
        ("code", "refresh_token_missing".into()),
        ("connection_id", row.id.to_string().into()),
        (
            "message",
            "there is no refresh token, so this connection works for an hour at most; ask Google with \
             access_type=offline and prompt=consent"
                .into(),
        ),
    ])
}
