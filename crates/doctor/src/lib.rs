//! Looks at a deployed project from outside, as its operator could by hand, and says what is wrong with it.
//!
//! Every check is a pure function from observed facts to a verdict; [`examine`] alone gathers the facts, and
//! [`fix`] alone changes anything.

#[cfg(test)]
mod answer;
pub mod callback;
pub mod check;
pub mod clocks;
pub mod command;
pub mod connections;
pub mod consents;
pub mod database;
pub mod examine;
pub mod fix;
pub mod functions;
pub mod google;
pub mod health;
pub mod home;
pub mod looks;
pub mod owed_runs;
pub mod project;
pub mod recalculation;
pub mod redact;
pub mod report;
pub mod robots;
pub mod schedule;
pub mod schema;
pub mod variables;
