//! Google as documented, without HTTP: what it knows, what it makes of a request, what it answers.

pub(crate) mod access;
pub(crate) mod calendar;
pub(crate) mod channel;
pub(crate) mod clock;
pub(crate) mod consent;
pub(crate) mod edit;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod fault;
pub(crate) mod fields;
pub(crate) mod form;
pub(crate) mod google;
pub(crate) mod id;
pub(crate) mod listing;
pub(crate) mod message;
pub(crate) mod notify;
pub(crate) mod record;
pub(crate) mod resource;
pub(crate) mod rule;
pub(crate) mod series;
pub(crate) mod token;
pub(crate) mod watch;
