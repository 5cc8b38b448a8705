//! One history: a few minutes of faults, then quiet hours, then one last round of changes.

use std::rc::Rc;

use crate::actors;
use crate::answer;
use crate::google;
use crate::instance;
use crate::judgement;
use crate::time::{HOUR, Instant, MILLISECOND, MINUTE, SECOND};
use crate::world::{Broken, Phase, World};

/// How long nothing goes wrong before everything must be well, and before what was missed must be noticed.
const RECOVERY: Instant = 3 * HOUR;
const RECONCILIATION: Instant = 27 * HOUR;
/// How much longer it takes where a connection crashes the sweeps that look at it: whoever shares one of them is
/// tried again up to an hour later, and chance may have it share another.
const CRASHING: Instant = 5 * HOUR;

pub(crate) fn play(world: &Rc<World>) {
    let dice = &world.dice;
    if world.google_is_slow {
        return play_slow_crowd(world);
    }
    if world.crowded {
        return play_crowd(world);
    }
    let connections = if dice.chance(0.005) { 30 } else { 1 + dice.below(5) };
    actors::connect(world, world.settings.connections.map_or(connections, |most| most.min(connections)));
    world.executor.spawn(actors::cron(Rc::clone(world)));
    let most = world.settings.minutes.map_or(Instant::MAX, |minutes| Instant::from(minutes) * MINUTE);
    let quiet_from = world.now() + dice.mostly_low(2 * MINUTE, 12 * MINUTE).min(most);
    run_until(world, quiet_from);

    world.phase.set(Phase::Echoes);
    world.quiet_from.set(quiet_from);
    actors::settle(world);
    sweep_until(world, quiet_from + HOUR);
    judge(world, |world| judgement::echoes_are_braked(world, quiet_from));
    world.phase.set(Phase::Calm);
    actors::pause_some(world);
    sweep_until(world, quiet_from + RECOVERY);
    judge(world, |world| judgement::nothing_is_lost(world, quiet_from));
    if world.has_crashing() {
        sweep_until(world, quiet_from + RECONCILIATION + CRASHING);
        judge(world, judgement::everything_recovers);
        judge(world, |world| judgement::everything_is_reconciled(world, quiet_from));
        // From here on it is judged what happens within minutes, which nobody promises who shares a sweep.
        return;
    }
    judge(world, judgement::everything_recovers);
    sweep_until(world, quiet_from + RECONCILIATION);
    judge(world, |world| judgement::everything_is_reconciled(world, quiet_from));

    world.phase.set(Phase::Steady);
    for _ in 0..3 {
        let at = world.now();
        if world.is_broken() {
            return;
        }
        actors::change_everything(world);
        sweep_until(world, at + 75 * SECOND);
        judge(world, |world| judgement::changes_are_seen_promptly(world, at));
    }
    let at = world.now();
    let refused = world.dice.chance(0.5);
    if world.is_broken() {
        return;
    }
    world.phase.set(if refused { Phase::Refusing } else { Phase::Failing });
    actors::change_everything(world);
    run_until(world, at + 5 * SECOND);
    world.phase.set(Phase::Steady);
    sweep_until(world, at + 2 * MINUTE);
    judge(world, |world| judgement::a_hiccup_is_made_up_for(world, at, refused));
    let at = world.now();
    for _ in 0..10 {
        actors::change_everything(world);
        run_until(world, world.now() + 100 * MILLISECOND);
    }
    sweep_until(world, at + 5 * MINUTE);
    judge(world, |world| judgement::a_burst_costs_two_runs(world, at));
    judge(world, |world| judgement::one_channel_is_left(world, at));
    for _ in 0..2 {
        let at = world.now();
        actors::press_buttons(world);
        sweep_until(world, at + MINUTE);
        judge(world, |world| judgement::the_button_renews(world, at));
    }
    let at = world.now();
    google::repeat(world);
    sweep_until(world, at + MINUTE);
    judge(world, |world| judgement::a_repetition_costs_nothing(world, at));
}

/// Many who have nothing to gain, and then a few who connect after them.
fn play_crowd(world: &Rc<World>) {
    const MANY: usize = 30;
    const LATE: usize = 12;
    let broken = world.dice.pick(&[None, Some(Broken::RunsFail), Some(Broken::RunsHang)]).flatten();
    let paused = world.dice.chance(0.5);
    let at = world.now();
    for connection in 0..MANY {
        actors::connect_one(world, connection, broken);
    }
    // Or everybody waits for the same sweep.
    if world.dice.chance(0.7) {
        instance::sweep(world);
    }
    run_until(world, at + 30 * SECOND);
    if paused {
        (0..MANY).for_each(|connection| actors::pause(world, connection));
    }
    for connection in MANY..MANY + LATE {
        actors::connect_one(world, connection, None);
    }
    world.phase.set(Phase::Failing);
    run_until(world, at + MINUTE);
    instance::sweep(world);
    run_until(world, at + 75 * SECOND);
    judge(world, |world| judgement::nobody_starves(world, MANY, false));
    judge(world, judgement::paused_means_paused);
    world.phase.set(Phase::Steady);
    for minute in [2, 3] {
        run_until(world, at + minute * MINUTE);
        // Two at a time do the work of two.
        let sweeps = 1 + world.dice.below(2);
        let owed = answer::owed_and_due(world, world.now());
        (0..sweeps).for_each(|_| instance::sweep(world));
        run_until(world, at + minute * MINUTE + 3 * SECOND);
        judge(world, |world| judgement::sweeps_share_their_work(world, at + minute * MINUTE, owed, sweeps));
    }
    run_until(world, at + 195 * SECOND);
    judge(world, |world| judgement::nobody_starves(world, MANY, true));
}

/// Many who are renewed so slowly that no sweep has the time for all of them.
fn play_slow_crowd(world: &Rc<World>) {
    const MANY: usize = 42;
    let at = world.now();
    (0..MANY).for_each(|connection| actors::connect_one(world, connection, None));
    world.phase.set(Phase::Steady);
    for minute in 0..3 {
        run_until(world, at + minute * MINUTE);
        instance::sweep(world);
    }
    run_until(world, at + 4 * MINUTE);
    judge(world, |world| judgement::nobody_starves(world, 0, false));
}

/// A history that broke a promise has ended where it did.
fn judge(world: &Rc<World>, judge: impl FnOnce(&World)) {
    if !world.is_broken() {
        judge(world);
    }
}

fn run_until(world: &Rc<World>, end: Instant) {
    world.executor.run_until(end, |runnable| world.dice.below(runnable), || world.is_broken());
}

/// Sweeps go on, but those that would find nothing.
fn sweep_until(world: &Rc<World>, end: Instant) {
    while world.now() < end && !world.is_broken() {
        let sweep_at = actors::next_sweep(world);
        // Something may come up meanwhile.
        let step = sweep_at.min(world.now() + 10 * MINUTE).min(end);
        run_until(world, step);
        // Or be done already.
        if step == sweep_at && actors::next_sweep(world) <= step + MINUTE {
            instance::sweep(world);
        }
    }
}
