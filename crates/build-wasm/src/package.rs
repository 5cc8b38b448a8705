//! The npm package `google-calendar-webhooks`: the functions and migrations, the element, and the command line.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::element;
use crate::module::{Shell, compile, gzip, print_sizes};

const OUT: &str = "crates/cli/package";
/// The directories of the repository that are brought as they are, and where they are in the package.
const DIRECTORIES: [(&str, &str); 4] = [
    ("supabase/functions", "supabase/functions"),
    ("supabase/migrations", "supabase/migrations"),
    ("crates/sample-app/supabase", "crates/sample-app/supabase"),
    (element::OUT, "element"),
];
/// Where they are in the repository, so that the pages find one another.
const TEXTS: [&str; 9] = [
    "LICENSE",
    "CHANGELOG.md",
    "README.md",
    "supabase/README.md",
    "scripts/README.md",
    "crates/README.md",
    "crates/element/README.md",
    "crates/element/npm/texts.json",
    "crates/element/picture.png",
];
/// Tells the version, as 0.0.0.
const MANIFEST: &str = "package.json";
/// In bytes.
const LARGEST: usize = 3_000_000;

pub(crate) fn build(root: &Path, force: bool) -> Result<()> {
    let out = root.join(OUT);
    let compiled = compile(root, "cli", &[])?;
    let built = || -> Option<(String, Vec<u8>)> {
        let is_same = fs::read_to_string(out.join(".stamp")).ok()? == compiled.stamp;
        let glue = fs::read_to_string(out.join("cli/cli.js")).ok()?;
        is_same.then_some((glue, fs::read(out.join("cli/cli.wasm")).ok()?))
    };
    let (glue, wasm) = match built().filter(|_| !force) {
        Some(built) => built,
        None => compiled.finish(root, Shell::Node).map(|module| (module.glue, module.wasm))?,
    };
    match fs::remove_dir_all(&out) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    for (from, to) in DIRECTORIES {
        copy(&root.join(from), &out.join(to))?;
    }
    copy(&root.join("crates/cli/npm"), &out.join("cli"))?;
    for file in TEXTS {
        // There are no changes to tell before the first release.
        if root.join(file).exists() {
            fs::create_dir_all(out.join(file).parent().unwrap_or(&out))?;
            fs::copy(root.join(file), out.join(file))?;
        }
    }
    fs::write(out.join("cli/cli.js"), glue)?;
    fs::write(out.join("cli/cli.wasm"), &wasm)?;

    fs::rename(out.join("cli").join(MANIFEST), out.join(MANIFEST))?;
    let manifest = fs::read_to_string(out.join(MANIFEST))?;
    ensure!(manifest.contains("0.0.0"), "{MANIFEST} has no version to fill in");
    fs::write(out.join(MANIFEST), manifest.replace("0.0.0", env!("CARGO_PKG_VERSION")))?;

    let size = size(&out)?;
    ensure!(size <= LARGEST, "the npm package has {size} bytes, and at most {LARGEST} are allowed");
    fs::write(out.join(".stamp"), &compiled.stamp)?;
    let sizes = [("wasm", wasm.len()), ("gzip", gzip(&wasm)?), ("whole", size)];
    print_sizes("the npm package, with the command line's module", &sizes);
    Ok(())
}

/// Hidden files are the build's own.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        } else if path.is_dir() {
            copy(&path, &to)?;
        } else {
            fs::copy(&path, &to)?;
        }
    }
    Ok(())
}

fn size(directory: &Path) -> Result<usize> {
    let mut size = 0;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        size += if path.is_dir() { self::size(&path)? } else { fs::read(&path)?.len() };
    }
    Ok(size)
}
