//! Another project than this repository, as it is run here.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use env_file::EnvFile;
use local_supabase::schema::OnFailure;

use crate::stack::{Config, Stack};

/// The three that are shipped, without which nothing here happens.
const SHIPPED: [&str; 3] = ["setup-calendar-webhook", "google-calendar-webhook", "refresh-calendar-webhook"];

/// What the stack sets itself: with a project's own values its functions would turn to the real Google, or Google to
/// another address than this one.
const SET_HERE: [&str; 6] = [
    "GOOGLE_CLIENT_ID",
    "GOOGLE_CLIENT_SECRET",
    "GOOGLE_CALENDAR_API_URL",
    "GOOGLE_OAUTH_TOKEN_URL",
    "CALENDAR_WEBHOOK_URL",
    "RECALCULATE_SCHEDULE_URL",
];

/// Fails where the three functions are not installed.
pub fn config(project: &Path, progress: impl Fn(&str)) -> Result<Config> {
    let supabase = project.join("supabase");
    ensure!(supabase.is_dir(), "{} holds no directory supabase", project.display());
    let functions_dir = supabase.join("functions");
    let missing: Vec<&str> =
        SHIPPED.into_iter().filter(|name| !functions_dir.join(name).join("index.ts").is_file()).collect();
    ensure!(
        missing.is_empty(),
        "{} {} missing in {}: run scripts/install --into {} first",
        missing.join(", "),
        if missing.len() == 1 { "is" } else { "are" },
        functions_dir.display(),
        project.display()
    );
    Ok(Config {
        extra_env: environment(&functions_dir.join(".env"), progress)?,
        functions_dir,
        migrations_dir: supabase.join("migrations"),
        on_failure: OnFailure::LeaveOut,
        note: ", yours",
        ..Config::default()
    })
}

/// What `supabase functions serve` would read, too.
fn environment(path: &Path, progress: impl Fn(&str)) -> Result<Vec<(String, String)>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = EnvFile::parse(&text);
    let is_set_here = |name: &str| SET_HERE.contains(&name) || name.starts_with("SUPABASE_");
    let (not_taken, taken): (Vec<_>, Vec<_>) = file.variables().partition(|(name, _)| is_set_here(name));
    let count = match taken.len() {
        1 => "1 variable".to_owned(),
        count => format!("{count} variables"),
    };
    progress(&format!("{count} of supabase/functions/.env"));
    if !not_taken.is_empty() {
        let names: Vec<&str> = not_taken.into_iter().map(|(name, _)| name).collect();
        progress(&format!(
            "not taken from it, because scripts/dev or Supabase sets them: {}",
            names.join(", ")
        ));
    }
    Ok(taken.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// What the person is told last of the function that the whole is about.
pub fn hint(stack: &Stack, is_project: bool) -> Option<String> {
    const NAME: &str = "recalculate-schedule";
    if !is_project {
        return None;
    }
    if !stack.functions().any(|name| name == NAME) {
        return Some(format!("Your {NAME} did not start (see above): runs fail, and are repeated."));
    }
    let own = stack.function_directory(NAME)?;
    if own.ends_with(sample_app::SUPABASE) {
        return Some(format!("Your project has no {NAME}: the sample app's runs, from {}.", own.display()));
    }
    let checks = stack.verifies_jwt(NAME).then(|| {
        format!(
            "\nThe gateway checks JWTs before it: calls with a secret key (sb_secret_…), no JWT, get a 401. Set\n\
             verify_jwt = false under [functions.{NAME}] in supabase/config.toml, and check the key in the function."
        )
    });
    Some(format!("Your own {NAME} runs, from {}.{}", own.display(), checks.unwrap_or_default()))
}
