//! What the trials on one stack share, and what is remembered of all of them together.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use local_supabase::{Deno, Keys};
use system_tests::Project;
use tempfile::TempDir;

use crate::tap::Tap;

/// What a stack is made of.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub name: &'static str,
    pub deno: Deno,
    pub keys: Keys,
}

pub(crate) struct Backdrop {
    pub kind: Kind,
    pub project: Project,
    pub tap: Arc<Tap>,
    /// What Deno has compiled for functions that are started beside the stack.
    pub deno_cache: TempDir,
    /// Every answer of a function that a trial has seen.
    pub heard: Mutex<Vec<String>>,
    /// What must be in none of them.
    pub secrets: Mutex<BTreeSet<String>>,
}
