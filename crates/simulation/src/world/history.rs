//! One history: a few minutes of faults, then quiet hours, then one last round of changes.

use std::rc::Rc;

use protocol::schedule::{DAILY, LOOK_INTERVAL, ROWS_PER_PAGE, RUNS_PER_INVOCATION};
use protocol::sweep::Part;

use crate::fact::{Fact, Moment};
use crate::settings::Settings;
use crate::subject::Broken;
use crate::time::{HOUR, Instant, MILLISECOND, MINUTE, SECOND, delta, micros};
use crate::world::start::Start;
use crate::world::state::{Phase, Reader, World};
use crate::world::{calendar, cron, host, invocation, users};

/// How long nothing goes wrong before everything must be well, and before what is tried daily must be, too.
const RECOVERY: Instant = 3 * HOUR;
const RECONCILIATION: Instant = delta(DAILY) + 3 * HOUR;
/// How long silence may last before it must be noticed, and what it hid be mended.
const SILENCE: Instant = micros(LOOK_INTERVAL) / 10 * 11 + 10 * MINUTE;
/// How much longer it takes where a connection crashes the sweeps that look at it: a connection that shares one of
/// them is tried again up to an hour later, and chance may have it share another.
const CRASHING: Instant = 5 * HOUR;

/// More connections than one sweep can run, and fewer than two can.
const MANY: usize = RUNS_PER_INVOCATION as usize + 5;

/// Plays the history of a seed to its end, or to where its reader ends it.
pub(crate) fn play(seed: u64, settings: &Settings, reader: Reader) {
    let world = World::new(seed, settings, invocation::start, reader);
    match (world.crowded, world.google_is_slow) {
        (true, true) => play_slow_crowd(&world),
        (true, false) => play_crowd(&world),
        (false, _) => play_usual(&world),
    }
    world.executor.clear();
}

fn play_usual(world: &Rc<World>) {
    let dice = &world.dice;
    let connections = if dice.chance(0.005) { MANY } else { 1 + dice.below(5) };
    users::connect(world, world.settings.connections.map_or(connections, |most| most.min(connections)));
    world.executor.spawn(cron::cron(Rc::clone(world)));
    let most = world.settings.minutes.map_or(Instant::MAX, |minutes| Instant::from(minutes) * MINUTE);
    let quiet_from = world.now() + dice.mostly_low(2 * MINUTE, 12 * MINUTE).min(most);
    run_until(world, quiet_from);

    world.phase.set(Phase::Echoes);
    world.tell(&Fact::Quiet);
    users::settle(world);
    sweep_until(world, quiet_from + HOUR);
    reach(world, Moment::EchoesOver);
    world.phase.set(Phase::Calm);
    users::pause_some(world);
    sweep_until(world, quiet_from + RECOVERY);
    reach(world, Moment::Calm);
    if world.has_crashing() {
        sweep_until(world, quiet_from + RECONCILIATION + CRASHING);
        reach(world, Moment::Recovered);
        reach(world, Moment::Reconciled);
        // What follows is about minutes, and nothing is promised within minutes to a connection that shares a sweep.
        return;
    }
    reach(world, Moment::Recovered);
    sweep_until(world, quiet_from + RECONCILIATION);
    reach(world, Moment::Reconciled);

    world.phase.set(Phase::Steady);
    for _ in 0..3 {
        let at = world.now();
        if world.is_over() {
            return;
        }
        calendar::change_everything(world);
        sweep_until(world, at + 75 * SECOND);
        reach(world, Moment::ChangesSeen { since: at });
    }
    let at = world.now();
    let refused = world.dice.chance(0.5);
    if world.is_over() {
        return;
    }
    world.phase.set(if refused { Phase::Refusing } else { Phase::Failing });
    calendar::change_everything(world);
    run_until(world, at + 5 * SECOND);
    world.phase.set(Phase::Steady);
    sweep_until(world, at + 2 * MINUTE);
    reach(world, Moment::HiccupOver { since: at, refused });
    let at = world.now();
    for _ in 0..10 {
        calendar::change_everything(world);
        run_until(world, world.now() + 100 * MILLISECOND);
    }
    sweep_until(world, at + 5 * MINUTE);
    reach(world, Moment::BurstOver { since: at });
    for _ in 0..2 {
        let at = world.now();
        users::press_buttons(world);
        sweep_until(world, at + MINUTE);
        reach(world, Moment::ButtonsPressed { since: at });
    }
    let at = world.now();
    calendar::repeat(world);
    sweep_until(world, at + MINUTE);
    reach(world, Moment::Repeated { since: at });
    if world.is_over() {
        return;
    }
    // After the button nothing is known of what is in the calendar until it is looked at.
    if dice.chance(0.5) {
        sweep_until(world, world.now() + SILENCE);
    }
    let at = world.now();
    users::fall_silent(world);
    sweep_until(world, at + SILENCE);
    reach(world, Moment::SilenceOver { since: at });
}

/// Many connections that have nothing to gain, and then a few that come after them.
fn play_crowd(world: &Rc<World>) {
    const LATE: usize = RUNS_PER_INVOCATION as usize / 2;
    let kinds = [None, Some(Broken::RunsFail), Some(Broken::RunsHang), Some(Broken::Refusing)];
    let broken = world.dice.pick(&kinds).flatten();
    // More than a sweep reads at a time, or more than it can run.
    let is_long = broken == Some(Broken::Refusing) || (broken.is_none() && world.dice.chance(0.5));
    let many = if is_long { ROWS_PER_PAGE + 5 } else { MANY };
    let paused = world.dice.chance(0.5);
    let at = world.now();
    for connection in 0..many {
        host::connect(world, connection, broken);
        if broken == Some(Broken::Refusing) {
            host::ask_for_a_run(world, connection);
        }
    }
    // Or everybody waits for the same sweep.
    if world.dice.chance(0.7) {
        world.start(Start::Sweep(Part::default()));
    }
    run_until(world, at + 30 * SECOND);
    if paused {
        (0..many).for_each(|connection| host::pause(world, connection));
    }
    for connection in many..many + LATE {
        host::connect(world, connection, None);
    }
    world.phase.set(Phase::Failing);
    run_until(world, at + MINUTE);
    world.start(Start::Sweep(Part::default()));
    run_until(world, at + 75 * SECOND);
    reach(world, Moment::CrowdServed { first: many, run: false });
    world.phase.set(Phase::Steady);
    for minute in [2, 3] {
        run_until(world, at + minute * MINUTE);
        // Three at a time do the work of three.
        let sweeps = 1 + world.dice.below(3);
        reach(world, Moment::SweepsTogether { sweeps });
        let parts = (0..sweeps).filter_map(|part| Part::new(part, sweeps));
        parts.for_each(|part| world.start(Start::Sweep(part)));
        run_until(world, at + minute * MINUTE + 3 * SECOND);
        reach(world, Moment::SweepsServed);
    }
    run_until(world, at + 195 * SECOND);
    reach(world, Moment::CrowdServed { first: many, run: true });
}

/// Many connections, renewed so slowly that no sweep has the time for all of them.
fn play_slow_crowd(world: &Rc<World>) {
    const CROWD: usize = 42;
    let at = world.now();
    (0..CROWD).for_each(|connection| host::connect(world, connection, None));
    world.phase.set(Phase::Steady);
    for minute in 0..3 {
        run_until(world, at + minute * MINUTE);
        world.start(Start::Sweep(Part::default()));
    }
    run_until(world, at + 4 * MINUTE);
    reach(world, Moment::CrowdServed { first: 0, run: false });
}

fn reach(world: &World, moment: Moment) {
    world.tell(&Fact::Reached(moment));
}

fn run_until(world: &Rc<World>, end: Instant) {
    world.executor.run_until(end, |runnable| world.dice.below(runnable), || world.is_over());
}

/// Sweeps go on, but those that would find nothing.
fn sweep_until(world: &Rc<World>, end: Instant) {
    while world.now() < end && !world.is_over() {
        let sweep_at = cron::next_sweep(world);
        // Something may come up meanwhile.
        let step = sweep_at.min(world.now() + 10 * MINUTE).min(end);
        run_until(world, step);
        // Or be done already.
        if step == sweep_at && cron::next_sweep(world) <= step + MINUTE {
            world.start(Start::Sweep(Part::default()));
        }
    }
}
