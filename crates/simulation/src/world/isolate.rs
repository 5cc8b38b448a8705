//! Where a function runs: on a clock of its own, over a network that loses requests and answers, and gone at any
//! await.

use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use crate::fact::{Deed, Fact};
use crate::fault::Fault;
use crate::time::{Instant, MILLISECOND, MINUTE, SECOND, micros};
use crate::world::executor::Reply;
use crate::world::life::Life;
use crate::world::state::World;

pub(crate) struct Isolate {
    pub(crate) world: Rc<World>,
    pub(crate) life: Rc<Life>,
}

/// When a request arrives and its answer comes, if they do, and until when the caller waits.
pub(crate) struct Journey {
    pub(crate) arrives_after: Option<Instant>,
    pub(crate) answered_after: Option<Instant>,
    pub(crate) given_up_after: Instant,
}

impl Isolate {
    pub(crate) fn tell(&self, deed: Deed<'_>) {
        self.world.tell(&Fact::Of(self.life.invocation, deed));
    }

    /// One request to somebody else, who does `effect` when it arrives. None = no answer.
    pub(crate) async fn call<T: 'static>(
        &self,
        timeout: Duration,
        effect: impl FnOnce(&Rc<World>) -> T + 'static,
    ) -> Option<T> {
        let world = &self.world;
        let journey = self.journey(micros(timeout));
        let answer: Reply<Option<T>> = Reply::default();
        if let Some(arrives_after) = journey.arrives_after {
            let (server, back, now) = (Rc::clone(world), answer.clone(), world.now());
            world.executor.at(now + arrives_after, move || {
                let value = effect(&server);
                if let Some(answered_after) = journey.answered_after {
                    server.executor.at(now + answered_after, move || {
                        back.complete(Some(value));
                    });
                }
            });
        }
        if journey.answered_after.is_none() {
            let gives_up = answer.clone();
            world.executor.at(world.now() + journey.given_up_after, move || {
                gives_up.complete(None);
            });
        }
        self.suffer(journey.answered_after.unwrap_or(journey.given_up_after));
        let answered = answer.await;
        if answered.is_none() {
            self.tell(Deed::HearsNothing);
        }
        answered
    }

    pub(crate) fn journey(&self, timeout: Instant) -> Journey {
        let world = &self.world;
        let lost = world.happens(Fault::LostRequests);
        let slow = world.happens(Fault::SlowNetwork);
        let one_way = |longest| world.dice.mostly_low(MILLISECOND, longest);
        let (there, back) = if slow {
            // Now and then it arrives just after it was given up, between two looks at what became of it.
            let latest = if world.dice.chance(0.2) { 50 * MILLISECOND } else { timeout / 4 };
            let earliest = if latest < timeout / 4 { timeout } else { 0 };
            (world.dice.between(earliest, timeout + latest), world.dice.between(0, timeout))
        } else {
            (one_way(30 * MILLISECOND), one_way(30 * MILLISECOND))
        };
        let unanswered = lost || world.happens(Fault::LostAnswers);
        // A connection breaks sooner than a silence is given up.
        let breaks = unanswered && world.dice.chance(0.5);
        let given_up_after = if breaks { timeout.min(there + back + 10 * MILLISECOND) } else { timeout };
        Journey {
            arrives_after: (!lost).then_some(there),
            answered_after: (!unanswered && there + back < timeout).then_some(there + back),
            given_up_after,
        }
    }

    /// An invocation may crash or stand still while it waits.
    pub(crate) fn suffer(&self, waits: Instant) {
        let world = &self.world;
        if world.happens(Fault::Crashes) {
            self.crash_after(world.dice.between(0, waits));
        }
        if world.happens(Fault::Freezes) {
            self.freeze(waits + world.dice.mostly_low(10 * SECOND, 7 * MINUTE));
        }
    }

    pub(crate) fn freeze(&self, pause: Instant) {
        self.tell(Deed::StandsStill(pause));
        self.world.executor.freeze(self.life.task, self.world.now() + pause);
        self.world.frozen.borrow_mut().push(Rc::clone(&self.life));
        // Often the platform ends an invocation that goes on after such a pause.
        if self.world.dice.chance(0.25) {
            self.crash_after(pause + self.world.dice.between(0, SECOND));
        }
    }

    /// Crashes here and now.
    pub(crate) async fn crash(&self) {
        self.crash_after(0);
        pending::<()>().await;
    }

    fn crash_after(&self, delay: Instant) {
        let (world, life) = (Rc::clone(&self.world), Rc::clone(&self.life));
        self.world.executor.at(world.now() + delay, move || {
            world.tell(&Fact::Of(life.invocation, Deed::Crashes));
            life.crashed.set(true);
            world.executor.kill(life.task);
        });
    }

    /// What Google takes to think, where it takes long.
    pub(crate) async fn wait_for_google(&self) {
        if self.world.google_is_slow {
            self.world.executor.sleep(7 * SECOND).await;
        }
    }
}
