//! Where the checkout is that a program is run from.

#![allow(clippy::disallowed_methods, reason = "for programs that Cargo runs: nothing that becomes WASM asks")]

use std::path::{Path, PathBuf};

/// Cargo says so when it runs a program or a test; what a program was built from may be another one, if the directory
/// was copied since.
pub fn repository() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    package.ancestors().nth(2).map(Path::to_owned).unwrap_or_default()
}
