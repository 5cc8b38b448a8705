//! Brings a project online, step by step, with the pinned Supabase CLI.

use std::ffi::OsStr;
use std::fmt;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use adapters::configuration::VARIABLES;
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use clap::builder::PossibleValue;
use env_file::EnvFile;
use serde_json::Value as Json;
use url::Url;

use crate::config_toml::overrides;
use crate::install::install;
use crate::payload::{MODULE, Payload, function_names, repository};
use crate::project::{CONFIG, IGNORED, Project, SECRETS};
use crate::terminal::quoted;

const REQUIRED: [&str; 2] = ["GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Step {
    /// Build the module; in another project, see that it has this version of everything
    Build,
    /// Set GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET and what else of ours is set, and no other variable
    Secrets,
    /// `supabase db push`: every migration of the project that was not applied yet
    Migrations,
    /// `supabase functions deploy --use-api`, of the three functions
    Functions,
    /// See that it works
    Doctor,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As it is named on the command line; none is skipped there.
        let name = self.to_possible_value();
        formatter.write_str(name.as_ref().map_or("", PossibleValue::get_name))
    }
}

/// What to deploy, and where to. Made complete and checked before the first step.
pub struct Deployment {
    project: Project,
    steps: Vec<Step>,
    /// Needed by all steps but the build, unless there are addresses instead.
    reference: Option<String>,
    database: Option<Url>,
    /// The project's public address.
    url: String,
    /// Where the doctor looks for keys, besides the environment.
    env_file: Option<PathBuf>,
    secrets: EnvFile,
}

/// The variables of the functions that are not Supabase's own: it sets those itself, and takes none of such a name.
pub fn secret_names() -> impl Iterator<Item = &'static str> {
    VARIABLES.into_iter().filter(|name| !name.starts_with("SUPABASE_"))
}

impl Deployment {
    pub fn new(
        project: Project,
        skip: &[Step],
        reference: Option<String>,
        database: Option<Url>,
        url: Option<String>,
        env_file: Option<PathBuf>,
    ) -> Result<Self> {
        let steps: Vec<Step> =
            Step::value_variants().iter().copied().filter(|step| !skip.contains(step)).collect();
        let reference = reference.or_else(|| linked_reference(&project));
        let needs_reference = steps.iter().find(|step| match step {
            Step::Build => false,
            Step::Secrets | Step::Functions => true,
            Step::Migrations => database.is_none(),
            Step::Doctor => url.is_none(),
        });
        if let Some(step) = needs_reference {
            let Some(reference) = &reference else {
                bail!(
                    "which project? Name it with --project-ref, or link it: supabase link (needed for {step})"
                );
            };
            ensure!(
                reference.len() == 20 && reference.bytes().all(|byte| byte.is_ascii_lowercase()),
                "that is no project ref: it is the 20 letters in the address of the project's dashboard"
            );
        }
        let file = env_file.as_deref().map(EnvFile::read).transpose()?.unwrap_or_default();
        let secrets = file.with_environment(secret_names())?;
        if steps.contains(&Step::Secrets) {
            for name in REQUIRED {
                ensure!(
                    secrets.get(name).is_some(),
                    "{name} is set neither in the environment nor in the file of --env-file: set it, or pass \
                     --skip secrets if the project has its secrets already"
                );
            }
            secrets.text()?;
        }
        let url =
            url.or_else(|| Some(format!("https://{}.supabase.co", reference.as_ref()?))).unwrap_or_default();
        if steps.contains(&Step::Doctor) {
            let is_address = Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
            ensure!(
                is_address,
                "{url} is not an address of a project, such as https://abcdefghijklmnopqrst.supabase.co"
            );
        }
        let deployment = Self { project, steps, reference, database, url, env_file, secrets };
        if deployment.steps.contains(&Step::Functions) && !deployment.steps.contains(&Step::Build) {
            deployment.check_files()?;
        }
        Ok(deployment)
    }

    /// Whether the CLI is logged in, asked before anything that needs it.
    pub fn check_login(&self) -> Result<()> {
        let needs_login = self.steps.iter().any(|step| match step {
            Step::Build | Step::Doctor => false,
            Step::Secrets | Step::Functions => true,
            Step::Migrations => self.database.is_none(),
        });
        if !needs_login {
            return Ok(());
        }
        // A user who may not list the secrets may deploy all the same: only a missing or unknown token counts.
        let mut command = self.supabase(self.project.root(), &["secrets", "list"]);
        let answer =
            command.arg(self.remote()).output().context("cannot start the CLI: run scripts/setup")?;
        let said = String::from_utf8_lossy(&answer.stderr).to_lowercase();
        let is_about_login = ["access token", "unauthorized", "401"].iter().any(|words| said.contains(words));
        ensure!(
            answer.status.success() || !is_about_login,
            "Supabase does not know who deploys: set SUPABASE_ACCESS_TOKEN (dashboard: Account, Access Tokens), or log in \
             once: npx supabase login"
        );
        Ok(())
    }

    /// What is in the way, and what is worth a warning.
    pub fn check_project(&self) -> Result<()> {
        if self.project.exposes_secrets() {
            eprintln!(
                "warning: {SECRETS} holds secrets, and Git does not ignore it: add .env to {IGNORED}\n"
            );
        }
        if !self.steps.contains(&Step::Functions) {
            return Ok(());
        }
        let overrides = overrides(&self.project.read_text(CONFIG)?, &function_names(&repository())?)?;
        for one in overrides {
            ensure!(one.project.is_none() || one.project != self.reference, "{}", one.text());
            eprintln!("warning: {}\n", one.text());
        }
        Ok(())
    }

    /// What is about to be done, including the migrations that the database lacks.
    pub fn announce(&self) -> Result<()> {
        println!("From {}:", self.project.root().display());
        for step in &self.steps {
            let target = self.reference.as_deref().unwrap_or_default();
            match step {
                Step::Build => println!("  build       the module"),
                Step::Secrets => println!("  secrets     {} → {target}", self.secret_names()),
                Step::Migrations => println!("  migrations  → {}", self.shown_database()),
                Step::Functions => {
                    println!("  functions   {} → {target}", function_names(&repository())?.join(", "))
                }
                Step::Doctor => println!("  doctor      {}", self.url),
            }
        }
        if self.steps.contains(&Step::Migrations) {
            println!("\nThe migrations:");
            let mut dry_run = self.db_push();
            run(dry_run.arg("--dry-run"))?;
        }
        Ok(())
    }

    pub fn carry_out(&self) -> Result<()> {
        let mut done = String::new();
        let mut is_scheduled = true;
        for step in &self.steps {
            println!("\n== {step}");
            let started = Instant::now();
            let result = match step {
                Step::Build => self.build(),
                Step::Secrets => self.set_secrets(),
                Step::Migrations => run(&mut self.db_push()),
                Step::Functions => self.deploy_functions(),
                Step::Doctor => self.examine().map(|finding| is_scheduled = finding),
            };
            let seconds = started.elapsed().as_secs_f64();
            result.with_context(|| {
                let done =
                    if done.is_empty() { String::new() } else { format!(" Then run this again with{done}.") };
                format!("{step} failed after {seconds:.1} s. {}{done}", self.advice(*step))
            })?;
            println!("✓ {step}, {seconds:.1} s");
            done += &format!(" --skip {step}");
        }
        println!("\nDeployed.");
        if !is_scheduled {
            self.ask_for_schedule();
        }
        Ok(())
    }

    /// The last step is the operator's: it takes a secret key.
    fn ask_for_schedule(&self) {
        let reference = self.reference.as_deref().unwrap_or("_");
        println!(
            "\nOne thing is left to do: without a schedule channels expire. Store a secret key of the project \
             (sb_secret_…)\nin Vault as calendar_webhook_secret_key \
             (https://supabase.com/dashboard/project/{reference}/integrations/vault/secrets),\nthen run this in the \
             SQL editor (https://supabase.com/dashboard/project/{reference}/sql/new):\n\n  \
             select schedule_calendar_webhook_refresh('{url}');\n\n\
             Then see that it works: {doctor}",
            url = self.url,
            doctor = self.shown_doctor()
        );
    }

    fn advice(&self, step: Step) -> String {
        match step {
            Step::Build => "What is wrong is in the output above.".to_owned(),
            Step::Secrets | Step::Functions => {
                "What Supabase said is above: is SUPABASE_ACCESS_TOKEN set, or are you logged in (supabase login), \
                 is the project yours, and is there a network?"
                    .to_owned()
            }
            Step::Migrations => "What Supabase said is above: the database's password goes in \
                                 SUPABASE_DB_PASSWORD (in PGPASSWORD with --db-url), and `supabase migration list` \
                                 shows which migrations the database has."
                .to_owned(),
            Step::Doctor => format!(
                "Everything is deployed; each ✗ above tells its next step, and this looks again: {}",
                self.shown_doctor()
            ),
        }
    }

    fn build(&self) -> Result<()> {
        let repository = repository();
        run(&mut Command::new(repository.join("scripts/build")))?;
        if self.project.root() == repository.canonicalize()? {
            return Ok(());
        }
        self.check_files()?;
        let plan = install(&Payload::read(&repository)?, &self.project, false, "")?;
        ensure!(
            plan.is_empty(),
            "{root} has another version: bring it up to date with scripts/install --into {root}, or deploy what it \
             has with --skip build",
            root = quoted(&self.project.root().to_string_lossy())
        );
        Ok(())
    }

    fn check_files(&self) -> Result<()> {
        let is_this_repository = self.project.root() == repository().canonicalize()?;
        let indexes = function_names(&repository())?.into_iter().map(|name| Payload::index(&name));
        for file in indexes.chain([MODULE.to_owned()]) {
            let how =
                if is_this_repository { "scripts/build" } else { "scripts/install --into this project" };
            ensure!(self.project.path(&file).is_file(), "{file} is missing: run {how} first");
        }
        Ok(())
    }

    fn set_secrets(&self) -> Result<()> {
        println!("{}", self.secret_names());
        // A file without a name, for the CLI cannot read from a pipe: nobody else can open it, and nothing of it is
        // left whatever happens.
        let mut file = tempfile::tempfile()?;
        file.write_all(self.secrets.text()?.as_bytes())?;
        file.rewind()?;
        // Away from the project, whose config.toml may name secrets too.
        let elsewhere = tempfile::tempdir()?;
        let mut command = self.supabase(elsewhere.path(), &["secrets", "set", "--env-file", "/dev/stdin"]);
        command.arg(self.remote()).stdin(file);
        run(&mut command)
    }

    fn db_push(&self) -> Command {
        let mut command = self.supabase(self.project.root(), &["db", "push"]);
        match self.database.clone() {
            Some(mut url) => {
                // The list of processes shows a command line to everybody, and an environment to its owner only.
                if let Some(password) = url.password() {
                    let password = percent_decoded(password);
                    command.env("PGPASSWORD", password);
                    // Fails for an address that has no host, which then has no password either.
                    let _ = url.set_password(None);
                }
                command.arg(format!("--remote={url}"));
            }
            None => _ = command.arg(self.remote()),
        }
        command
    }

    fn deploy_functions(&self) -> Result<()> {
        let mut command = self.supabase(self.project.root(), &["functions", "deploy", "--use-api"]);
        command.arg(self.remote()).args(function_names(&repository())?);
        run(&mut command)
    }

    /// Whether a schedule was found, too: nothing else may be missing.
    fn examine(&self) -> Result<bool> {
        let Err(error) = run(&mut self.doctor()) else { return Ok(true) };
        // What people have just read, for programs.
        let found = self.doctor().arg("--json").stderr(Stdio::null()).output()?;
        let found: Json = serde_json::from_slice(&found.stdout).unwrap_or_default();
        let checks = found.get("checks").and_then(Json::as_array).into_iter().flatten();
        let mut wrong = checks.filter(|check| check.get("verdict").is_some_and(|verdict| verdict == "wrong"));
        let is_schedule = |check: &Json| check.get("code").is_some_and(|code| code == "not_scheduled");
        if wrong.next().is_some_and(is_schedule) && wrong.next().is_none() { Ok(false) } else { Err(error) }
    }

    fn doctor(&self) -> Command {
        let mut command = Command::new(repository().join("scripts/doctor"));
        command.args(self.doctor_arguments());
        command
    }

    fn shown_doctor(&self) -> String {
        let arguments = self.doctor_arguments();
        let arguments = arguments.iter().map(|argument| quoted(&argument.to_string_lossy()));
        format!("scripts/doctor {}", arguments.collect::<Vec<_>>().join(" "))
    }

    fn doctor_arguments(&self) -> Vec<&OsStr> {
        let mut arguments = vec!["--url".as_ref(), self.url.as_ref()];
        if let Some(file) = &self.env_file {
            arguments.extend(["--env-file".as_ref(), file.as_os_str()]);
        }
        arguments
    }

    /// The CLI, told not to ask: everything has been announced.
    fn supabase(&self, workdir: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(repository().join("scripts/node_modules/.bin/supabase"));
        command.args(arguments).arg("--yes").arg("--workdir").arg(workdir).stdin(Stdio::null());
        command
    }

    fn remote(&self) -> String {
        format!("--remote={}", self.reference.as_deref().unwrap_or_default())
    }

    fn secret_names(&self) -> String {
        self.secrets.variables().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
    }

    fn shown_database(&self) -> String {
        match &self.database {
            Some(url) => url.host_str().unwrap_or("a database").to_owned(),
            None => self.reference.clone().unwrap_or_default(),
        }
    }
}

/// The project that the CLI is linked to.
fn linked_reference(project: &Project) -> Option<String> {
    let reference = project.read("supabase/.temp/project-ref").ok()??;
    String::from_utf8(reference).ok().map(|reference| reference.trim().to_owned())
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Names the program and the command, but no argument that may hold a secret.
fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let name = program.rsplit('/').next().unwrap_or_default().to_owned();
    let status = command.status().with_context(|| format!("cannot start {program}: run scripts/setup"))?;
    ensure!(status.success(), "{name} ended with {status}");
    Ok(())
}
