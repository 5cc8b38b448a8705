//! What holds for every id, date, calendar and filter, and not only for those that somebody has thought of.
//!
//! Each property is tried on values that a seed each makes; a failure tells the seed and the value.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod calendars;
mod dates;
mod filters;
mod ids;

use std::fmt::Debug;
use std::panic::{RefUnwindSafe, catch_unwind};

use fastrand::Rng;

const SEEDS: u64 = 2000;

/// Tries a property on the value that each seed makes.
fn for_all<T: Debug + RefUnwindSafe>(make: impl Fn(&mut Rng) -> T, property: impl Fn(&T) + RefUnwindSafe) {
    for seed in 0..SEEDS {
        let value = make(&mut Rng::with_seed(seed));
        if catch_unwind(|| property(&value)).is_err() {
            panic!("seed {seed}: {value:?}");
        }
    }
}

/// A text of any characters, mostly of those that mean something in an address, a header or a filter.
fn text(rng: &mut Rng) -> String {
    const ODD: &str =
        "/.?#%&=+*,:;()[]{}<>'\"\\ \t\r\n\0\u{7f}@!~^|`$-_éßя٣字🗓\u{a0}\u{200b}\u{202e}\u{feff}";
    let odd: Vec<char> = ODD.chars().collect();
    let length = rng.usize(0..40);
    let character = |_| match rng.u8(0..10) {
        0..6 => *rng.choice(&odd).unwrap(),
        6 => rng.char(..),
        _ => rng.alphanumeric(),
    };
    (0..length).map(character).collect()
}
