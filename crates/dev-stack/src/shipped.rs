//! The functions of this checkout, never older than their sources.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Result, anyhow};
use local_supabase::repository;

/// Where they are, once it is certain that their module is what its sources make; a module that is not is built.
pub fn shipped_functions() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let built = BUILT.get_or_init(build).as_ref();
    built.map_err(|error| anyhow!("the functions' module is not built: {error}"))?;
    Ok(shipped_directory())
}

pub(crate) fn shipped_directory() -> PathBuf {
    repository().join("supabase/functions")
}

/// Whether these are the functions of this checkout, however their directory is written.
pub(crate) fn is_shipped(functions: &Path) -> bool {
    let shipped = shipped_directory().canonicalize();
    shipped.is_ok_and(|shipped| functions.canonicalize().is_ok_and(|functions| functions == shipped))
}

fn build() -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .current_dir(repository())
        .args(["run", "--quiet", "--package", "build-wasm", "--"])
        .args(["--out", "supabase/functions/_shared/wasm"])
        .output()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if built.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&built.stderr).into_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_functions_are_known_by_any_path_to_them() {
        for written in ["supabase/functions", "./supabase/functions", "crates/../supabase/functions"] {
            assert!(is_shipped(&repository().join(written)), "{written}");
        }
        assert!(!is_shipped(&repository().join("supabase")));
        assert!(!is_shipped(&repository().join("missing")));
    }
}
