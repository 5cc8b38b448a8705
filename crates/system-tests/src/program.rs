//! The programs that Cargo builds for a test.

use std::path::PathBuf;

/// A program of the test's own package. It is beside the running test, wherever that is: a path that was known when the
/// test was built is another checkout's, if the directory was copied since.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the running test");
    let directory = test.parent().and_then(|deps| deps.parent()).expect("Cargo's directory of programs");
    directory.join(name)
}
