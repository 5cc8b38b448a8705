//! Many cases of one rule: checked side by side, and all that fail are reported.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures_util::{FutureExt, StreamExt, stream};

const AT_ONCE: usize = 6;

/// Checks every row, each behind its label.
pub(crate) async fn each<L: ToString, R, F: Future<Output = ()>>(
    rows: impl IntoIterator<Item = (L, R)>,
    check: impl Fn(R) -> F,
) {
    let check = &check;
    let outcomes = stream::iter(rows.into_iter().map(|(label, row)| async move {
        let outcome = AssertUnwindSafe(check(row)).catch_unwind().await;
        outcome.err().map(|panic| format!("{}: {}", label.to_string(), message(panic)))
    }));
    let failures: Vec<String> =
        outcomes.buffer_unordered(AT_ONCE).filter_map(|failure| async { failure }).collect().await;
    assert!(failures.is_empty(), "{} of the rows:\n{}", failures.len(), failures.join("\n"));
}

pub(crate) fn message(panic: Box<dyn Any + Send>) -> String {
    panic
        .downcast::<String>()
        .map(|text| *text)
        .or_else(|panic| panic.downcast::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|_| "it panicked".to_owned())
}
