//! `recalculate-schedule`: reads the calendar when it starts, writes the schedule when it ends, and outlives its
//! caller.

use std::cell::Cell;
use std::rc::Rc;

use protocol::connection::RequestId;
use protocol::failure::RunFailure;

use crate::assumption::{CALLEE_LIFE, SKEW};
use crate::database::last;
use crate::executor::Reply;
use crate::fault::Fault;
use crate::google;
use crate::life::Life;
use crate::promise::Promise;
use crate::time::{Instant, MILLISECOND, SECOND};
use crate::world::{Broken, Phase, Run, World};

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
    let claim = holder.claims.borrow().get(&connection).copied();
    let run = Rc::new(Run {
        start,
        end: start + course.duration,
        succeeds: course.succeeds,
        lease_until: claim.map_or(0, |claim| claim.lease_until),
        request,
        holder: Rc::clone(&holder),
        answered: Cell::new(false),
    });
    world.trace(Some(connection), || format!("{holder} calls run …{}", last(&request.to_string())));
    match claim {
        None => {
            world.broke(Promise::OneRunAtATime, Some(connection), format!("{holder} runs without a lease"))
        }
        Some(claim) => {
            if !claim.live {
                let what = format!("{holder} runs what was paused when it was claimed");
                world.broke(Promise::PausedMeansPaused, Some(connection), what);
            }
            if !holder.frozen.get() && claim.lease_until < start + CALLEE_LIFE + SKEW {
                let what = format!("{holder} calls what may outlive its lease");
                world.broke(Promise::OneRunAtATime, Some(connection), what);
            }
            if holder.refused_at.get().is_some_and(|at| claim.sent_at > at) {
                let what = format!("{holder} goes on after nested calls were refused");
                world.broke(Promise::WorkIsBounded, Some(connection), what);
            }
        }
    }
    judge_overlap(world, connection, &run);
    world.ledger(connection, |ledger| ledger.runs.push(Rc::clone(&run)));

    let echoes = matches!(world.phase.get(), Phase::Faults | Phase::Echoes)
        && world.ledger(connection, |ledger| ledger.echoes) == Some(true);
    if echoes && course.succeeds {
        let server = Rc::clone(world);
        let at = world.dice.between(start, run.end);
        world.executor.at(at, move || {
            if let Some(calendar) = server.row(connection).and_then(|row| server.calendar_of(&row)) {
                google::change(&server, calendar);
            }
        });
    }
    let (server, ended) = (Rc::clone(world), Rc::clone(&run));
    world.executor.at(run.end, move || {
        let how = if ended.succeeds { "writes the schedule" } else { "fails" };
        server.trace(Some(connection), || format!("run …{} {how}", last(&ended.request.to_string())));
    });
    if let (Some((after, result)), Some(back)) = (course.answer, answer) {
        world.executor.at(start + after + 5 * MILLISECOND, move || {
            let ended = result.is_ok();
            if back.complete(result) && ended && !run.holder.crashed.get() {
                run.answered.set(true);
            }
        });
    }
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

/// Two runs at a time are wrong, unless one's holder stood still long enough to lose its lease.
fn judge_overlap(world: &World, connection: usize, run: &Run) {
    let holds = |run: &Run, now| run.lease_until > now + SKEW;
    let overlap = world.ledger(connection, |ledger| {
        ledger.runs.iter().rev().take(8).any(|other| {
            let overlaps = other.end > run.start;
            let excused = (other.holder.frozen.get() || run.holder.frozen.get())
                && !(holds(other, run.start) && holds(run, run.start));
            overlaps && !excused
        })
    });
    if overlap == Some(true) {
        let what = format!("{} runs while another run goes on", run.holder);
        world.broke(Promise::OneRunAtATime, Some(connection), what);
    }
}
