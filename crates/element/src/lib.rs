//! `<google-calendar-integration>`: how a user's calendar connections are, and what to do about them. `state` and
//! `view` decide what is asked and shown, and know no browser; `integration` is the shell around them.

mod connection;
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

/// 7 KB smaller than the standard one, 3 KB after gzip.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();
