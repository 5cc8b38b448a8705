//! Calls that several ask for at the same time, and one makes for all.

use std::cell::{OnceCell, RefCell};
use std::pin::pin;
use std::rc::Rc;

use futures_util::future::{AbortHandle, Abortable, Either, Pending, abortable, pending, select};

/// The calls of one kind that go on in this instance, by what they are for. A list, for it is short.
#[derive(Debug)]
pub(crate) struct InFlight<K, V>(RefCell<Vec<Call<K, V>>>);

#[derive(Debug)]
struct Call<K, V> {
    of: K,
    answer: Rc<OnceCell<V>>,
    waiting: Vec<AbortHandle>,
}

impl<K, V> Default for InFlight<K, V> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<K: Clone + PartialEq, V: Clone> InFlight<K, V> {
    /// What `call` answers, or the one of the same kind that goes on already, unless that is not over when `patience`
    /// is.
    pub(crate) async fn share(
        &self,
        of: K,
        call: impl Future<Output = V>,
        patience: impl Future<Output = ()>,
    ) -> V {
        let mut patience = pin!(patience);
        while let Some(Joined { answer, end }) = self.join(&of) {
            match (select(end, patience.as_mut()).await, answer.get()) {
                (Either::Left(_), Some(answer)) => return answer.clone(),
                // Its caller was dropped on the way.
                (Either::Left(_), None) => {}
                (Either::Right(_), _) => return call.await,
            }
        }
        let answer = Rc::default();
        self.0.borrow_mut().push(Call { of: of.clone(), answer: Rc::clone(&answer), waiting: Vec::new() });
        let end = End { calls: self, of };
        let answered = call.await;
        let _ = answer.set(answered.clone());
        drop(end);
        answered
    }

    /// Where the answer of a call that is under way will be; nothing where there is no such call.
    fn join(&self, of: &K) -> Option<Joined<V>> {
        let mut calls = self.0.borrow_mut();
        let call = calls.iter_mut().find(|call| call.of == *of)?;
        let (end, handle) = abortable(pending());
        call.waiting.push(handle);
        Some(Joined { answer: Rc::clone(&call.answer), end })
    }
}

struct Joined<V> {
    /// Filled in when the call ends.
    answer: Rc<OnceCell<V>>,
    /// Ends with the call.
    end: Abortable<Pending<()>>,
}

/// Wakes what waits for a call when the call is over, or is dropped.
struct End<'a, K: PartialEq, V> {
    calls: &'a InFlight<K, V>,
    of: K,
}

impl<K: PartialEq, V> Drop for End<'_, K, V> {
    fn drop(&mut self) {
        let mut calls = self.calls.0.borrow_mut();
        let Some(place) = calls.iter().position(|call| call.of == self.of) else { return };
        let call = calls.swap_remove(place);
        drop(calls);
        for waiting in call.waiting {
            waiting.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::ready;

    use futures_util::FutureExt;
    use futures_util::future::join3;

    use super::*;

    #[test]
    fn of_those_that_ask_for_the_same_one_calls_and_all_have_its_answer() {
        let calls = InFlight::default();
        let (slow, finish) = abortable(pending::<()>());
        let made = Cell::new(0);
        let quick = |of| {
            let call = async {
                made.set(made.get() + 1);
                "quick"
            };
            calls.share(of, call, pending())
        };
        let slow = async {
            let _ = slow.await;
            "slow"
        };
        let mut all = pin!(join3(calls.share(1, slow, pending()), quick(1), quick(2)));
        assert_eq!(all.as_mut().now_or_never(), None);
        assert_eq!(made.get(), 1, "what is for something else does not wait");
        finish.abort();
        assert_eq!(all.now_or_never(), Some(("slow", "slow", "quick")));
        assert_eq!(quick(1).now_or_never(), Some("quick"), "what is over is not shared");
        assert!(calls.0.borrow().is_empty());
    }

    #[test]
    fn where_the_caller_is_dropped_another_calls() {
        let calls = InFlight::default();
        let mut dropped = Box::pin(calls.share((), pending(), pending()));
        assert_eq!(dropped.as_mut().now_or_never(), None);
        let mut waiting = pin!(calls.share((), ready(1), pending()));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        drop(dropped);
        assert_eq!(waiting.now_or_never(), Some(1));
    }

    #[test]
    fn where_the_caller_is_dropped_one_of_those_that_wait_calls_for_all() {
        let calls = InFlight::default();
        let made = Cell::new(0);
        let call = || {
            calls.share(
                (),
                async {
                    made.set(made.get() + 1);
                    pending::<()>().await;
                },
                pending(),
            )
        };
        let mut dropped = Box::pin(call());
        assert_eq!(dropped.as_mut().now_or_never(), None);
        let mut waiting = pin!(futures_util::future::join(call(), call()));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        drop(dropped);
        assert_eq!(waiting.as_mut().now_or_never(), None);
        assert_eq!(made.get(), 2, "the first, and one for all others");
    }

    #[test]
    fn no_one_waits_longer_than_patience_lasts() {
        let calls = InFlight::default();
        let mut endless = pin!(calls.share((), pending(), pending()));
        assert_eq!(endless.as_mut().now_or_never(), None);
        assert_eq!(calls.share((), ready(1), ready(())).now_or_never(), Some(1));
        assert_eq!(calls.0.borrow().len(), 1, "the first goes on");
    }
}
