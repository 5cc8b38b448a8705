//! One crate compiled to a WASM module: cargo, wasm-bindgen (as a library, so that Cargo.lock alone decides its
//! version) and wasm-opt.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use wasm_bindgen_cli_support::{Bindgen, Output};

/// What a crate becomes.
pub(crate) struct Module {
    pub(crate) wasm: Vec<u8>,
    /// JavaScript that instantiates it and speaks with it, and its types.
    pub(crate) glue: String,
    pub(crate) types: String,
}

/// A crate as cargo has compiled it.
pub(crate) struct Compiled {
    name: String,
    path: PathBuf,
    /// Another module, or another of these tools, has another.
    pub(crate) stamp: String,
}

pub(crate) fn compile(root: &Path, package: &str, features: &[String]) -> Result<Compiled> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(root)
        .args(["build", "--release", "--package", package, "--target", "wasm32-unknown-unknown"])
        .args(["--message-format", "json-render-diagnostics", "--features", &features.join(",")])
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags()?.join("\x1f"))
        .stdout(Stdio::piped());
    let output = cargo.spawn()?.wait_with_output()?;
    if !output.status.success() {
        bail!("cargo could not build the crate `{package}` for wasm32-unknown-unknown");
    }
    let messages = String::from_utf8(output.stdout)?;
    let path = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| Some(PathBuf::from(message.pointer("/filenames/0")?.as_str()?)))
        .find(|path| path.extension() == Some(OsStr::new("wasm")))
        .context("cargo named no .wasm file")?;
    let modified = |path: &Path| anyhow::Ok(fs::metadata(path)?.modified()?);
    let stamp = format!("{:?} {:?} {features:?}\n", modified(&path)?, modified(&std::env::current_exe()?)?);
    Ok(Compiled { name: package.to_owned(), path, stamp })
}

fn rust_flags() -> Result<Vec<String>> {
    let home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => std::env::home_dir().context("there is no home directory")?.join(".cargo"),
    };
    Ok(vec![
        // Messages of panics name files: none of this machine's (-4 KB).
        format!("--remap-path-prefix={}=", home.join("registry/src").display()),
        // SHA-256 in a loop rather than unrolled (-6 KB); one short token is hashed per notification.
        "--cfg=sha2_backend_soft=\"compact\"".to_owned(),
    ])
}

/// What loads a module.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    /// A panic loses the instance, and the shell needs to make another.
    EdgeFunction,
    /// Every byte is downloaded by every visitor.
    Page,
    /// Started anew for every command.
    Node,
}

impl Compiled {
    /// The module as it ships.
    pub(crate) fn finish(&self, root: &Path, shell: Shell) -> Result<Module> {
        let work = tempfile::tempdir()?;
        println!("{}: wasm-bindgen", self.name);
        let mut output = Bindgen::new()
            .input_path(&self.path)
            .out_name(&self.name)
            .web(true)?
            .typescript(true)
            .omit_default_module_path(true)
            .reset_state_function(shell == Shell::EdgeFunction)
            .generate_output()?;
        let renamed = shorten_imports(&mut output);
        output.emit(work.path())?;
        println!("{}: wasm-opt", self.name);
        let read =
            |extension: &str| fs::read_to_string(work.path().join(&self.name).with_extension(extension));
        let mut glue = read("js")?;
        for (long, short) in renamed {
            glue = glue.replace(&format!(" {long}: "), &format!(" {short}: "));
        }
        Ok(Module {
            wasm: optimize(root, &work.path().join(format!("{}_bg.wasm", self.name)), shell)?,
            glue,
            types: read("d.ts")?,
        })
    }
}

/// Gives every import a short name, and returns both: the long ones end in hashes, which no compression shortens
/// (-2.6 KB in the functions, -5 KB in the element, -2 KB after gzip).
fn shorten_imports(output: &mut Output) -> Vec<(String, String)> {
    let imports = output.wasm_mut().imports.iter_mut();
    // Those of a file that is written by hand keep their names.
    let generated = imports.filter(|import| import.module.ends_with("_bg.js"));
    generated
        .enumerate()
        .map(|(number, import)| {
            let short = format!("i{number}");
            (std::mem::replace(&mut import.name, short.clone()), short)
        })
        .collect()
}

fn optimize(root: &Path, module: &Path, shell: Shell) -> Result<Vec<u8>> {
    let wasm_opt = root.join("scripts/node_modules/binaryen/bin/wasm-opt");
    let optimized = module.with_extension("optimized.wasm");
    // Features are left to the module's own list: with all of them on, Deno refuses what comes out. Its passes again,
    // until nothing gets smaller: -0.1 KB of the element after gzip; of the command line nobody would see it.
    let again: &[&str] = if shell == Shell::Node { &[] } else { &["--converge"] };
    let status = Command::new("node")
        .arg(wasm_opt)
        .args(["-Oz", "--strip-debug", "--strip-producers"])
        .args(again)
        .arg(module)
        .arg("-o")
        .arg(&optimized)
        .status()
        .context("node, which runs wasm-opt, could not be started")?;
    if !status.success() {
        bail!("wasm-opt failed; scripts/setup installs it");
    }
    Ok(fs::read(optimized)?)
}

pub(crate) fn gzip(bytes: &[u8]) -> Result<usize> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(bytes)?;
    Ok(gzip.finish()?.len())
}

pub(crate) fn print_sizes(title: &str, sizes: &[(&str, usize)]) {
    println!("{title}");
    for (name, bytes) in sizes {
        println!("{name:>7} {:>7.1} KB", *bytes as f64 / 1000.0);
    }
}
