//! Trials, named by their functions.

use futures_util::future::LocalBoxFuture;

use crate::scene::Scene;

pub(crate) type SharedTrial = for<'a> fn(&'a Scene) -> LocalBoxFuture<'a, ()>;
pub(crate) type AloneTrial = for<'a> fn(&'a mut Scene) -> LocalBoxFuture<'a, ()>;

#[derive(Clone, Copy)]
pub(crate) enum Case {
    /// Touches its own rows only.
    Shared(&'static str, SharedTrial),
    /// Acts on everybody's rows, or on a part of the stack that everybody needs.
    Alone(&'static str, AloneTrial),
}

impl Case {
    pub(crate) fn name(&self) -> &'static str {
        let (Self::Shared(name, _) | Self::Alone(name, _)) = self;
        name.split_once("::").map_or(*name, |(_, name)| name)
    }

    pub(crate) fn is_alone(&self) -> bool {
        matches!(self, Self::Alone(..))
    }
}

/// The trials of a module.
macro_rules! cases {
    (shared: [$($shared:ident,)*], alone: [$($alone:ident,)*] $(,)?) => {
        pub(crate) fn cases() -> Vec<$crate::case::Case> {
            use $crate::case::Case;
            vec![
                $(Case::Shared(concat!(module_path!(), "::", stringify!($shared)), |scene| Box::pin($shared(scene))),)*
                $(Case::Alone(concat!(module_path!(), "::", stringify!($alone)), |scene| Box::pin($alone(scene))),)*
            ]
        }
    };
}
pub(crate) use cases;
