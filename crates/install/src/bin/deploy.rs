//! Behind scripts/deploy.

#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "a program for the terminal")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use install::deploy::{Deployment, Step};
use install::terminal::confirm;
use install::{Project, repository};
use url::Url;

/// Brings the functions online: build, secrets, migrations, functions, doctor. Stops at the first step that fails
#[derive(Parser)]
#[command(
    name = "scripts/deploy",
    bin_name = "scripts/deploy",
    after_help = "Examples:
  scripts/deploy --workdir ../my-app                           to the project that it is linked to
  scripts/deploy --workdir ../my-app --project-ref abcdefghijklmnopqrst --yes
  scripts/deploy --workdir ../my-app --skip migrations --skip doctor

Needs SUPABASE_ACCESS_TOKEN or `supabase login`, and SUPABASE_DB_PASSWORD unless your account may create a login. No
secret is printed, or given to a program in its arguments."
)]
struct DeployArguments {
    /// The project to deploy: the directory that holds supabase/; without it, this repository
    #[arg(long, value_name = "DIR")]
    workdir: Option<PathBuf>,
    /// The project to deploy to; without it, the one that the directory is linked to
    #[arg(long, value_name = "REF")]
    project_ref: Option<String>,
    /// A step to leave out; may be repeated
    #[arg(long, value_enum, value_name = "STEP")]
    skip: Vec<Step>,
    /// Where GOOGLE_CLIENT_ID and so on are, and the keys for the doctor; the environment wins. Without it,
    /// supabase/.env of the project, if there is one
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// The database to migrate, instead of the project's; its password may stand in PGPASSWORD instead
    #[arg(long, value_name = "URL")]
    db_url: Option<String>,
    /// The project's address, if it has a domain of its own; without it, https://REF.supabase.co
    #[arg(long)]
    url: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

fn main() -> ExitCode {
    match run(DeployArguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: DeployArguments) -> Result<()> {
    let DeployArguments { workdir, project_ref, skip, env_file, db_url, url, yes } = arguments;
    let project = Project::open(&workdir.unwrap_or_else(repository))?;
    let default = project.root().join("supabase/.env");
    let env_file = env_file.or_else(|| default.is_file().then_some(default));
    let database = db_url.as_deref().map(parse_database).transpose()?;
    let deployment = Deployment::new(project, &skip, project_ref, database, url, env_file)?;
    deployment.check_project()?;
    deployment.check_login()?;
    if !yes {
        deployment.announce()?;
    }
    if !confirm("\nDeploy this?", yes)? {
        bail!("nothing was deployed");
    }
    deployment.carry_out()
}

/// What cannot be read is not quoted: it may hold a password.
fn parse_database(url: &str) -> Result<Url> {
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "postgres" | "postgresql"));
    let url = url.context(
        "--db-url is not an address of a PostgreSQL database. A password with `/`, `#` or `@` goes in PGPASSWORD, or \
         into the address percent-encoded",
    )?;
    ensure!(
        !url.query_pairs().any(|(name, _)| name == "password"),
        "--db-url holds a password after the `?`, where other users of this machine could read it: put it in PGPASSWORD"
    );
    Ok(url)
}
