//! The adapters against what they adapt: PostgREST on PostgreSQL, `@supabase/lite` on PGlite, Google over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests read the real clock")]

mod database;
mod google;
mod look;
mod native;
