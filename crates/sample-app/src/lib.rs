//! A host app around the shipped functions: what an app brings itself. Its Edge Functions and tables are in
//! `supabase/`, as they would be in a project; here are the backend of its page, and what makes `recalculate-schedule`
//! misbehave.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a development program: it reads the clock, and prints what went wrong"
)]

mod connected_calendar;
pub mod host_app;
mod host_writer;
mod host_writes;
mod page;
mod recalculate;
mod services;

use std::path::Path;
use std::sync::Arc;

use axum::Router;

use crate::host_app::HostApp;
use crate::host_writer::HostWriter;
pub use crate::host_writes::HostWrites;
use crate::recalculate::Recalculate;
pub use crate::services::Services;

/// The directory of its Supabase project, below that of the repository.
pub const SUPABASE: &str = "crates/sample-app/supabase";

#[derive(Clone)]
pub struct SampleApp {
    host_app: Arc<HostApp>,
    recalculate: Arc<Recalculate>,
}

impl SampleApp {
    /// Whose runs write to the calendar like this, as long as nobody asks for something else for a user.
    pub fn new(services: Services, host_writes: HostWrites) -> Self {
        let writer = Arc::new(HostWriter::new(Arc::new(services), host_writes));
        Self { host_app: Arc::new(HostApp::new(writer.clone())), recalculate: Recalculate::new(writer) }
    }

    pub fn host_app(&self) -> &HostApp {
        &self.host_app
    }

    /// The page and what it asks, for the root of the app's address. `repository` has the files of both the page and
    /// the element.
    pub fn page(&self, repository: &Path) -> Router {
        page::router(self.host_app.clone(), self.recalculate.clone(), repository)
    }

    /// What stands before `recalculate-schedule`.
    pub fn before_recalculate_schedule(&self, function: Router) -> Router {
        self.recalculate.before(function)
    }

    /// What makes `recalculate-schedule` misbehave, and tells how it was called.
    pub fn control(&self) -> Router {
        self.recalculate.control()
    }
}
