//! A host app around the shipped functions: what an app brings itself. The OAuth flow, its tables, its
//! `recalculate-schedule`, and a page to use it with.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a development program: it reads the clock, and prints what went wrong"
)]

mod connected_calendar;
pub mod host_app;
mod host_writes;
mod page;
mod plan;
mod planner;
mod recalculate;
mod services;

use std::path::Path;
use std::sync::Arc;

use axum::Router;

use crate::host_app::HostApp;
pub use crate::host_writes::HostWrites;
use crate::planner::Planner;
use crate::recalculate::Recalculate;
pub use crate::services::Services;

/// The migration that makes the app's own tables.
pub const MIGRATION: &str = include_str!("../sessions.sql");

pub struct SampleApp {
    host_app: Arc<HostApp>,
    recalculate: Arc<Recalculate>,
}

impl SampleApp {
    /// Whose runs write to the calendar like this, as long as nobody asks for something else for a user.
    pub fn new(services: Services, host_writes: HostWrites) -> Self {
        let planner = Arc::new(Planner::new(Arc::new(services), host_writes));
        Self { host_app: Arc::new(HostApp::new(planner.clone())), recalculate: Recalculate::new(planner) }
    }

    pub fn host_app(&self) -> &HostApp {
        &self.host_app
    }

    /// The page and what it asks, for the root of the app's address. `repository` has the files of both the page and
    /// the element.
    pub fn page(&self, repository: &Path) -> Router {
        page::router(self.host_app.clone(), self.recalculate.clone(), repository)
    }

    /// The Edge Function that the app deploys itself, whatever path it is asked at.
    pub fn recalculate_schedule(&self) -> Router {
        self.recalculate.function()
    }

    /// What makes `recalculate-schedule` misbehave, and tells how it was called.
    pub fn control(&self) -> Router {
        self.recalculate.control()
    }
}
