//! A small model of what looks add to the protocol: one connection, its calendar, a host that may write to it, and the
//! rules by which a run is settled, doubted or forgotten. Every state that a handful of edits, a press of the button, a
//! renewal, a failed run, a notification that never comes and one that comes late can lead to is visited, breadth
//! first.
//!
//! It shares no line with the protocol: it says in a page what the protocol has to agree with, and which rule a change
//! is lost without.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

/// The rules, each of which can be left out.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What was settled is run at the next look that is due.
    pub doubt: bool,
    /// A settled run leaves a doubt, whether or not it was an echo.
    pub settled_is_doubted: bool,
    /// What is kept as seen is what the look before the run found.
    pub look_before_run: bool,
    /// A run without a look forgets what an older one found.
    pub forgets: bool,
    /// After an attempt that failed, no look settles.
    pub first_attempt_only: bool,
    /// The button's request is not settled.
    pub button_is_marked: bool,
    /// Events compare by content, and not by id.
    pub by_content: bool,
}

impl Rules {
    pub const ALL: Self = Self {
        doubt: true,
        settled_is_doubted: true,
        look_before_run: true,
        forgets: true,
        first_attempt_only: true,
        button_is_marked: true,
        by_content: true,
    };
}

/// What is wrong with a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Nothing is owed, on its way or in doubt, and the plan does not fit the calendar.
    ChangeLost,
    /// A run that a person asked for is settled.
    ButtonSettled,
    /// Half a schedule stays until somebody doubts it.
    HalfSettled,
    /// Runs follow each other, though nobody does anything.
    NoRest,
}

/// How many states there are, and the first that is wrong.
#[derive(Debug)]
pub struct Explored {
    pub states: usize,
    pub wrong: Option<Wrong>,
    /// The states that lead to it.
    pub trace: Vec<String>,
}

/// One run for a change, a look that is due or another disturbance, and one for what that wrote.
const RUNS_PER_REASON: u8 = 2;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Host {
    WritesNothing,
    WritesInPlace,
    Recreates,
}

/// What a look tells apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Sight {
    plans: u8,
    sessions: Option<u8>,
    /// None = by content.
    id: Option<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Seen {
    Unknown,
    Known(Sight),
    /// A person asked meanwhile; every time by a mark of its own.
    Marked(u8),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Reason {
    Told,
    ChannelOpened,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct SyncRequest {
    reason: Reason,
    /// It arose during the run before, or soon after.
    echo: bool,
}

/// What the holder of the lease is about to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Next {
    Idle,
    Settle { echo: bool },
    Read { found: Option<Sight>, echo: bool },
    Write { found: Option<Sight>, echo: bool, plans: u8 },
    Finish { found: Option<Sight>, echo: bool },
}

/// How often what is left may still happen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Left {
    edits: u8,
    /// Presses of the button, renewals, failures, notifications that never come and such that come late.
    others: u8,
    /// Of a change and of what undoes it, one is told at least where there is a channel: that both are missed, during
    /// one and the same run, is the other known limit.
    drops: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct State {
    host: Host,
    /// Google sends no notifications.
    deaf: bool,
    plans: u8,
    sessions: Option<u8>,
    id: u8,
    /// What the schedule was computed from; none = half of it is of a failed attempt.
    schedule: Option<u8>,
    request: Option<SyncRequest>,
    /// The request is newer than the one that was claimed.
    newer: bool,
    seen: Seen,
    seen_at_claim: Seen,
    in_doubt: bool,
    failed: bool,
    next: Next,
    /// Notifications on their way: how many of the user's edits, and whether of the host's.
    told: u8,
    echoed: bool,
    /// A person waits for a run.
    pressed: bool,
    runs: u8,
    left: Left,
}

/// Visits every state, and how it was first reached.
pub fn explore(rules: Rules) -> Explored {
    let hosts = [Host::WritesNothing, Host::WritesInPlace, Host::Recreates];
    let first = hosts.into_iter().flat_map(|host| [false, true].map(|deaf| State::first(host, deaf)));
    let mut next: VecDeque<State> = first.collect();
    let mut reached: HashMap<State, Option<State>> = next.iter().map(|state| (*state, None)).collect();
    while let Some(state) = next.pop_front() {
        let mut found = Vec::new();
        let wrong = state.wrong(rules).or_else(|| state.steps(rules, &mut found).err());
        if wrong.is_some() {
            return Explored { states: reached.len(), wrong, trace: trace(&reached, state) };
        }
        for after in found {
            if let Entry::Vacant(new) = reached.entry(after) {
                new.insert(Some(state));
                next.push_back(after);
            }
        }
    }
    Explored { states: reached.len(), wrong: None, trace: Vec::new() }
}

fn trace(reached: &HashMap<State, Option<State>>, last: State) -> Vec<String> {
    let before = |state: &State| reached.get(state).copied().flatten();
    let mut trace: Vec<_> =
        std::iter::successors(Some(last), before).map(|state| format!("{state:?}")).collect();
    trace.reverse();
    trace
}

impl State {
    fn first(host: Host, deaf: bool) -> Self {
        Self {
            host,
            deaf,
            plans: 0,
            sessions: None,
            id: 0,
            schedule: Some(0),
            request: None,
            newer: false,
            seen: Seen::Unknown,
            seen_at_claim: Seen::Unknown,
            in_doubt: false,
            failed: false,
            next: Next::Idle,
            told: 0,
            echoed: false,
            pressed: false,
            runs: 0,
            left: Left { edits: 3, others: 2, drops: 1 },
        }
    }

    fn sight(&self, rules: Rules) -> Sight {
        let id = (!rules.by_content).then_some(self.id);
        Sight { plans: self.plans, sessions: self.sessions, id }
    }

    fn wrong(&self, rules: Rules) -> Option<Wrong> {
        if self.runs > RUNS_PER_REASON {
            return Some(Wrong::NoRest);
        }
        let is_doubted = self.in_doubt && rules.doubt;
        let is_quiet = self.next == Next::Idle && self.request.is_none() && self.told == 0 && !self.echoed;
        let rests = is_quiet && !is_doubted && self.seen == Seen::Known(self.sight(rules));
        (rests && self.schedule != Some(self.plans)).then_some(Wrong::ChangeLost)
    }

    fn steps(self, rules: Rules, found: &mut Vec<Self>) -> Result<(), Wrong> {
        self.disturb(rules, found);
        self.hear(found);
        match self.next {
            Next::Idle => match self.request {
                Some(request) => found.push(self.claim(rules, request)),
                // Looks that are due are hours apart: what is on its way arrives before.
                None if !self.echoed => found.extend(self.look(rules)),
                None => {}
            },
            Next::Settle { echo } => {
                if self.pressed && !self.newer {
                    return Err(Wrong::ButtonSettled);
                }
                if self.schedule.is_none() {
                    return Err(Wrong::HalfSettled);
                }
                found.push(self.settle(rules, echo));
            }
            Next::Read { found: look, echo } => {
                let plans = self.plans;
                let runs = self.runs + 1;
                let next = Next::Write { found: look, echo, plans };
                found.push(Self { next, runs, pressed: false, ..self });
                found.extend(self.fail(None));
            }
            Next::Write { found: look, echo, plans } => {
                found.push(self.write(look, echo, plans));
                found.extend(self.fail(Some(None)));
            }
            Next::Finish { found: look, echo } => {
                found.push(self.finish(rules, look, echo));
                found.extend(self.fail(Some(self.schedule)));
            }
        }
        Ok(())
    }

    /// What users, the renewal and bad luck do.
    fn disturb(self, rules: Rules, found: &mut Vec<Self>) {
        let left = self.left;
        let disturbed = Self { runs: 0, ..self };
        // The known limit: what no notification tells, and what is done and undone while a run is going on, no look
        // sees.
        let is_unseen = self.deaf && self.next != Next::Idle;
        if left.edits > 0 && !is_unseen {
            let left = Left { edits: left.edits - 1, ..left };
            let told = self.told + u8::from(!self.deaf);
            found.push(Self { plans: 1 - self.plans, told, left, ..disturbed });
        }
        if left.others > 0 {
            let left = Left { others: left.others - 1, ..left };
            let seen = if rules.button_is_marked { Seen::Marked(left.others) } else { self.seen };
            let pressed = Self { left, seen, pressed: true, ..disturbed };
            found.extend(pressed.asked(Reason::Told));
        }
        if left.others > 0 && !self.deaf {
            let left = Left { others: left.others - 1, ..left };
            found.extend(Self { left, ..disturbed }.asked(Reason::ChannelOpened));
        }
        if left.others > 0 && left.drops > 0 && self.told > 0 {
            let left = Left { others: left.others - 1, drops: 0, ..left };
            found.push(Self { told: self.told - 1, left, ..disturbed });
        }
    }

    /// A notification arrives.
    fn hear(self, found: &mut Vec<Self>) {
        if self.told > 0 {
            found.extend(Self { told: self.told - 1, runs: 0, ..self }.asked(Reason::Told));
        }
        if self.echoed {
            let heard = Self { echoed: false, ..self };
            let request = Some(SyncRequest { reason: Reason::Told, echo: true });
            found.push(Self { request, newer: self.next != Next::Idle, ..heard });
            if self.left.others > 0 && self.next == Next::Idle {
                let left = Left { others: self.left.others - 1, ..self.left };
                let request = Some(SyncRequest { reason: Reason::Told, echo: false });
                found.push(Self { request, left, runs: 0, ..heard });
            }
        }
    }

    /// A new request replaces one that is there. Whether it is an echo is a matter of when the last run ended.
    fn asked(self, reason: Reason) -> impl Iterator<Item = Self> {
        let is_held = self.next != Next::Idle;
        let ask = move |echo| Self { request: Some(SyncRequest { reason, echo }), newer: is_held, ..self };
        let quiet = (!is_held).then(|| ask(false));
        std::iter::once(ask(true)).chain(quiet)
    }

    fn claim(self, rules: Rules, request: SyncRequest) -> Self {
        let SyncRequest { reason, echo } = request;
        let claimed = Self { newer: false, seen_at_claim: self.seen, ..self };
        if !echo && reason == Reason::Told {
            return Self { next: Next::Read { found: None, echo }, ..claimed };
        }
        let now = self.sight(rules);
        let is_unchanged = self.seen == Seen::Known(now);
        let may_settle = (!self.failed || !rules.first_attempt_only) && (!self.in_doubt || echo);
        let next = if is_unchanged && may_settle {
            Next::Settle { echo }
        } else {
            Next::Read { found: Some(now), echo }
        };
        Self { next, ..claimed }
    }

    /// A look that is due.
    fn look(self, rules: Rules) -> Option<Self> {
        let now = self.sight(rules);
        let is_doubted = self.in_doubt && rules.doubt;
        if self.seen == Seen::Known(now) && !is_doubted {
            return None;
        }
        let request = Some(SyncRequest { reason: Reason::Told, echo: false });
        let next = Next::Read { found: Some(now), echo: false };
        // Hours apart, and for a host that recreates its sessions without end: its echo cannot be told from that of a
        // change that was undone, so what it settles is doubted again.
        Some(Self { request, newer: false, seen_at_claim: self.seen, next, runs: 0, ..self })
    }

    fn settle(self, rules: Rules, echo: bool) -> Self {
        let in_doubt = echo || rules.settled_is_doubted;
        Self { in_doubt, ..self }.release()
    }

    fn write(self, look: Option<Sight>, echo: bool, plans: u8) -> Self {
        let is_new = match self.host {
            Host::WritesNothing => false,
            Host::WritesInPlace => self.sessions != Some(plans),
            Host::Recreates => true,
        };
        let id = if is_new && self.host == Host::Recreates { (self.id + 1) % 4 } else { self.id };
        Self {
            schedule: Some(plans),
            sessions: if is_new { Some(plans) } else { self.sessions },
            id,
            echoed: self.echoed || (is_new && !self.deaf),
            next: Next::Finish { found: look, echo },
            ..self
        }
    }

    fn finish(self, rules: Rules, look: Option<Sight>, echo: bool) -> Self {
        // A request for a run that no look settles has marked what was seen.
        let look = look.filter(|_| self.seen == self.seen_at_claim);
        let kept = if rules.look_before_run { look } else { look.map(|_| self.sight(rules)) };
        let seen = match kept {
            Some(contents) => Seen::Known(contents),
            None if rules.forgets => Seen::Unknown,
            None => self.seen,
        };
        Self { seen, in_doubt: echo, failed: false, ..self }.release()
    }

    /// Nothing is owed, or a newer request, which arose before the run ended.
    fn release(self) -> Self {
        let request =
            self.request.filter(|_| self.newer).map(|request| SyncRequest { echo: true, ..request });
        Self { request, newer: false, seen_at_claim: Seen::Unknown, next: Next::Idle, ..self }
    }

    /// The run fails, or its holder dies; what was written of the schedule may be half of it.
    fn fail(self, schedule: Option<Option<u8>>) -> Option<Self> {
        let others = self.left.others.checked_sub(1)?;
        let left = Left { others, ..self.left };
        let schedule = schedule.unwrap_or(self.schedule);
        let failed = Self { failed: true, schedule, left, newer: false, runs: 0, next: Next::Idle, ..self };
        Some(Self { seen_at_claim: Seen::Unknown, ..failed })
    }
}
