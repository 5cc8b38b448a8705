//! The commands of the scripts, as a test starts them.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// A directory into which the npm package was installed, and whose command takes the place of the native programs.
const PACKAGE_IN: &str = "CALENDAR_WEBHOOKS_PACKAGE_IN";

/// A command such as `install`: the program of the test's own package. It is beside the running test, wherever that is:
/// a path that was known when the test was built is another checkout's, if the directory was copied since.
pub fn command(name: &str) -> Command {
    if let Some(directory) = package_in() {
        let mut command = Command::new(node());
        command.arg(directory.join("node_modules/google-calendar-webhooks/cli/main.js")).arg(name);
        return command;
    }
    let test = env::current_exe().expect("the running test");
    let directory = test.parent().and_then(|deps| deps.parent()).expect("Cargo's directory of programs");
    Command::new(directory.join(name))
}

/// How that command calls itself.
pub fn typed(name: &str) -> String {
    let prefix = if package_in().is_some() { "npx google-calendar-webhooks " } else { "scripts/" };
    format!("{prefix}{name}")
}

/// The Node of the PATH.
pub fn node() -> PathBuf {
    let path = env::var_os("PATH").expect("a PATH");
    env::split_paths(&path)
        .map(|directory| directory.join("node"))
        .find(|node| node.is_file())
        .expect("Node in the PATH")
}

/// None where the native programs are tested.
pub fn package_in() -> Option<PathBuf> {
    env::var_os(PACKAGE_IN).map(PathBuf::from)
}
