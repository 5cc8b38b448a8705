//! Trials, named by their functions.

use std::pin::Pin;

use crate::world::World;

pub(crate) type Case = (&'static str, for<'a> fn(&'a mut World) -> Pin<Box<dyn Future<Output = ()> + 'a>>);
/// A trial that starts a stack of its own.
pub(crate) type Own = (&'static str, fn() -> Pin<Box<dyn Future<Output = ()>>>);

/// The trials of a module, named by their functions.
macro_rules! cases {
    ($($case:ident,)*) => {
        pub(crate) fn cases() -> Vec<$crate::case::Case> {
            vec![$((stringify!($case), |world| Box::pin($case(world))),)*]
        }
    };
}
pub(crate) use cases;
