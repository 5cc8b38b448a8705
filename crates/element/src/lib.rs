//! `<google-calendar-integration>`: how a user's calendar connections are, and what to do about them. `state` and
//! `view` decide what is asked and shown, and know no browser; `integration` is the shell around them.

mod connection;
mod icon;
mod integration;
mod listener;
mod locale;
mod problem;
mod render;
mod state;
mod supabase;
mod texts;
mod timer;
mod view;

pub use integration::Integration;

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();
