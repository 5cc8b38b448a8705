use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use machine::terminal::confirm;
use machine::{Machine, Program};
use url::Url;

use super::exit_code;
use crate::deploy::{Deployment, Step, Target};
use crate::project::{Project, SECRETS};

/// Brings the functions online: secrets, migrations, functions, doctor. Stops at the first step that fails
#[derive(Parser)]
#[command(after_help = "Examples:
  scripts/deploy                                      to the project that this directory is linked to
  scripts/deploy --workdir ../my-app --project-ref abcdefghijklmnopqrst --yes
  scripts/deploy --skip migrations --skip doctor

Needs SUPABASE_ACCESS_TOKEN or `supabase login`, and SUPABASE_DB_PASSWORD unless your account may create a login. No
secret is printed, or given to a program in its arguments.")]
struct DeployArguments {
    /// The project to deploy: the directory that holds supabase/; by default the current one
    #[arg(long, value_name = "DIR", default_value = ".")]
    workdir: PathBuf,
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

pub fn deploy(machine: &dyn Machine, program: &Program, arguments: impl IntoIterator<Item = OsString>) -> u8 {
    exit_code(machine, program, "deploy", arguments, |arguments| run(machine, program, arguments))
}

fn run(machine: &dyn Machine, program: &Program, arguments: DeployArguments) -> Result<()> {
    let DeployArguments { workdir, project_ref, skip, env_file, db_url, url, yes } = arguments;
    let project = Project::open(machine, &machine.typed_path(&workdir))?;
    let env_file = match env_file {
        Some(file) => Some(machine.typed_path(&file)),
        None => project.is_file(SECRETS).then(|| project.path(SECRETS)),
    };
    let database = db_url.as_deref().map(parse_database).transpose()?;
    let target = Target { reference: project_ref, database, url };
    let deployment = Deployment::new(machine, program, project, &skip, target, env_file)?;
    deployment.check_project()?;
    deployment.check_login()?;
    if !yes {
        deployment.announce()?;
    }
    if !confirm(machine, "\nDeploy this?", yes)? {
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
