//! Plays a history: the world tells what happens, and the checks and the trace read it.

use std::cell::RefCell;
use std::rc::Rc;

use crate::check::Checks;
use crate::promise::Violation;
use crate::settings::Settings;
use crate::trace::Line;
use crate::world::history;

/// Plays one history and returns the promise that it breaks.
pub fn play(seed: u64, settings: &Settings) -> Result<(), Violation> {
    let Played { violation, .. } = played(seed, settings, false);
    violation.map_or(Ok(()), Err)
}

/// Plays one history and tells all that happens in it.
pub fn trace(seed: u64, settings: &Settings) -> Vec<String> {
    played(seed, settings, true).trace.into_iter().map(|line| line.text).collect()
}

pub(crate) struct Played {
    /// Of the first promise that was broken: it ended the history.
    pub(crate) violation: Option<Violation>,
    pub(crate) trace: Vec<Line>,
}

pub(crate) fn played(seed: u64, settings: &Settings, traced: bool) -> Played {
    let checks = Rc::new(RefCell::new(Checks::new(settings.known_limit)));
    let trace = Rc::new(RefCell::new(Vec::new()));
    let (judge, lines) = (Rc::clone(&checks), Rc::clone(&trace));
    history::play(
        seed,
        settings,
        Box::new(move |at, fact| {
            let mut checks = judge.borrow_mut();
            checks.read(at, fact);
            if traced {
                lines.borrow_mut().extend(Line::of(at, fact));
                lines.borrow_mut().extend(
                    checks
                        .violation()
                        .map(|violation| Line::new(at, violation.connection, &format!("BROKEN {violation}"))),
                );
            }
            checks.violation().is_none()
        }),
    );
    let violation = checks.borrow().violation().cloned();
    Played { violation, trace: trace.take() }
}
