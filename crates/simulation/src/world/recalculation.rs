//! `recalculate-schedule`: reads the calendar when it starts, writes the schedule when it ends, and outlives its
//! caller.

use std::rc::Rc;

use protocol::connection::RequestId;
use protocol::failure::RunFailure;
use protocol::schedule::PREPARATION;

use crate::assumption::CALLEE_LIFE;
use crate::fact::Fact;
use crate::fault::Fault;
use crate::subject::{Broken, Calendar, Plans, Run, Writes};
use crate::time::{Instant, MILLISECOND, SECOND, delta};
use crate::world::calendar;
use crate::world::executor::Reply;
use crate::world::life::Life;
use crate::world::state::{Phase, World};

/// How a call goes.
struct Course {
    duration: Instant,
    succeeds: bool,
    /// What the caller hears, and when; none = nothing.
    answer: Option<(Instant, Result<(), RunFailure>)>,
}

/// A call on its way.
pub(crate) struct Call {
    pub(crate) connection: usize,
    pub(crate) request: RequestId,
    pub(crate) holder: Rc<Life>,
    /// None = the answer is lost.
    pub(crate) answer: Option<Reply<Result<(), RunFailure>>>,
    /// How long the callee stands still in the middle.
    pub(crate) pause: Option<Instant>,
}

/// A call arrives.
pub(crate) fn start(world: &Rc<World>, call: Call) {
    let Call { connection, request, holder, answer, pause } = call;
    let start = world.now();
    let course = course(world, connection).paused(pause);
    let run = Run {
        number: world.number_run(),
        connection,
        request,
        holder: holder.invocation,
        start,
        end: start + course.duration,
        succeeds: course.succeeds,
        read: read(world, connection),
    };
    world.tell(&Fact::RunStarted(&run));
    let writes = world.character(connection).map_or(Writes::Nothing, |character| character.writes);
    // Or nothing would ever be quiet: what no look can tell apart is an echo for ever, too.
    let broken = world.broken(Some(connection));
    let is_unreadable = matches!(broken, Some(Broken::Unreadable | Broken::Unlisted));
    let is_restless = writes == Writes::Restless || (writes == Writes::Recreated && is_unreadable);
    let writes_now = !is_restless || matches!(world.phase.get(), Phase::Faults | Phase::Echoes);
    if let Some((calendar, plans)) = run.read.filter(|_| course.succeeds && writes_now) {
        let server = Rc::clone(world);
        let at = world.dice.between(start, run.end);
        world.executor.at(at, move || calendar::write(&server, calendar, plans, writes));
    }
    let server = Rc::clone(world);
    world.executor.at(run.end, move || server.tell(&Fact::RunEnded(&run)));
    if let (Some((after, result)), Some(back)) = (course.answer, answer) {
        let server = Rc::clone(world);
        world.executor.at(start + after + 5 * MILLISECOND, move || {
            if back.complete(result) && result.is_ok() && !holder.crashed.get() {
                server.tell(&Fact::RunHeard(&run));
            }
        });
    }
}

/// What it finds in the calendar that the row names.
fn read(world: &World, connection: usize) -> Option<(Calendar, Plans)> {
    let calendar = world.row(connection).and_then(|row| world.calendar_of(&row))?;
    let plans = world.google.borrow_mut().contents(calendar).plans();
    Some((calendar, plans))
}

impl Course {
    fn paused(self, pause: Option<Instant>) -> Self {
        let pause = pause.unwrap_or_default();
        let answer = self.answer.map(|(after, result)| (after + pause, result));
        Self { duration: self.duration + pause, answer, ..self }
    }
}

fn course(world: &World, connection: usize) -> Course {
    let dice = &world.dice;
    let fails =
        |after, failure| Course { duration: after, succeeds: false, answer: Some((after, Err(failure))) };
    match world.broken(Some(connection)) {
        Some(Broken::RunsFail) => return fails(SECOND, RunFailure::Answered(500)),
        Some(Broken::RunsHang) => return Course { duration: CALLEE_LIFE, succeeds: false, answer: None },
        _ => {}
    }
    if world.happens(Fault::SlowRuns) {
        let duration = dice.between(20 * SECOND, CALLEE_LIFE);
        let silence = dice.pick(&[RunFailure::TimedOut, RunFailure::Unreachable]);
        let cut_off = (dice.between(SECOND, duration), Err(silence.unwrap_or(RunFailure::TimedOut)));
        return match dice.below(4) {
            0 => Course { duration, succeeds: true, answer: Some((duration, Ok(()))) },
            1 => Course { duration, succeeds: true, answer: Some(cut_off) },
            2 => Course { duration, succeeds: false, answer: Some(cut_off) },
            _ => Course { duration, succeeds: false, answer: None },
        };
    }
    let duration = match world.phase.get() {
        Phase::Faults => dice.mostly_low(100 * MILLISECOND, 30 * SECOND),
        // The next run begins where there is no time for a look any more under the lease of this one.
        Phase::Echoes | Phase::Calm | Phase::Steady if world.host_is_slow => {
            delta(PREPARATION) / 2 + dice.between(SECOND, 2 * SECOND)
        }
        Phase::Echoes | Phase::Calm => dice.between(200 * MILLISECOND, 5 * SECOND),
        Phase::Steady | Phase::Refusing => dice.between(4 * SECOND, 6 * SECOND),
        Phase::Failing => return fails(dice.between(100 * MILLISECOND, SECOND), RunFailure::Answered(503)),
    };
    if world.happens(Fault::FailingRuns) {
        let status = dice.pick(&[400, 401, 404, 429, 500, 502, 503]).unwrap_or(500);
        return fails(duration, RunFailure::Answered(status));
    }
    Course { duration, succeeds: true, answer: Some((duration, Ok(()))) }
}
