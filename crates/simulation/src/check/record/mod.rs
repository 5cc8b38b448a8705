//! What the facts have told so far: what every check may look at, and none changes.

pub(super) mod book;
pub(super) mod connection;
pub(super) mod google;
pub(super) mod instance;
pub(super) mod sequel;
