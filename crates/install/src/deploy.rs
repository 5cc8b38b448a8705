//! Brings a project online, step by step, with the pinned Supabase CLI.

use std::fmt;
use std::path::PathBuf;

use adapters::configuration::VARIABLES;
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use clap::builder::PossibleValue;
use doctor::check::Check;
use doctor::command::read_env_file;
use doctor::schedule::NOT_SCHEDULED;
use env_file::EnvFile;
use machine::terminal::quoted;
use machine::{Machine, Process, Program};
use url::Url;

use crate::commands::WrongUsage;
use crate::config_toml::overrides;
use crate::install::install;
use crate::payload::{MODULE, Payload, function_names};
use crate::project::{CONFIG, IGNORED, Project, SECRETS};
use crate::supabase_cli::SupabaseCli;

const REQUIRED: [&str; 2] = ["GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// See that the project has this version of everything
    Files,
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
pub(crate) struct Deployment<'a> {
    machine: &'a dyn Machine,
    program: &'a Program,
    project: Project<'a>,
    cli: SupabaseCli,
    steps: Vec<Step>,
    /// Needed by all steps but the first, unless there are addresses instead.
    reference: Option<String>,
    database: Option<Url>,
    /// The project's public address.
    url: String,
    /// Where the doctor looks for keys, besides the environment.
    env_file: Option<PathBuf>,
    secrets: EnvFile,
}

/// As it was named on the command line.
pub(crate) struct Target {
    pub reference: Option<String>,
    pub database: Option<Url>,
    pub url: Option<String>,
}

/// The variables of the functions that are not Supabase's own: it sets those itself, and takes none of such a name.
pub(crate) fn secret_names() -> impl Iterator<Item = &'static str> {
    VARIABLES.into_iter().filter(|name| !name.starts_with("SUPABASE_"))
}

impl<'a> Deployment<'a> {
    pub(crate) fn new(
        machine: &'a dyn Machine,
        program: &'a Program,
        project: Project<'a>,
        skip: &[Step],
        target: Target,
        env_file: Option<PathBuf>,
    ) -> Result<Self> {
        let Target { reference, database, url } = target;
        let steps: Vec<Step> =
            Step::value_variants().iter().copied().filter(|step| !skip.contains(step)).collect();
        let reference = reference.or_else(|| linked_reference(&project));
        let needs_reference = steps.iter().find(|step| match step {
            Step::Files => false,
            Step::Secrets | Step::Functions => true,
            Step::Migrations => database.is_none(),
            Step::Doctor => url.is_none(),
        });
        if let Some(step) = needs_reference {
            let Some(reference) = &reference else {
                bail!(WrongUsage(format!(
                    "which project? Name it with --project-ref, or link it: supabase link (needed for {step})"
                )));
            };
            let is_one = reference.len() == 20 && reference.bytes().all(|byte| byte.is_ascii_lowercase());
            let what_it_is =
                "that is no project ref: it is the 20 letters in the address of the project's dashboard";
            ensure!(is_one, WrongUsage(what_it_is.to_owned()));
        }
        let file = env_file.as_deref().map(|file| read_env_file(machine, file)).transpose()?;
        let secrets =
            file.unwrap_or_default().with_environment(|name| machine.variable(name), secret_names())?;
        if steps.contains(&Step::Secrets) {
            for name in REQUIRED {
                ensure!(
                    secrets.get(name).is_some(),
                    "{name} is set neither in the environment nor in {SECRETS} (or the file of --env-file): set it, or pass \
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
        let cli = SupabaseCli::find(machine, program, &project)?;
        let deployment =
            Self { machine, program, project, cli, steps, reference, database, url, env_file, secrets };
        if deployment.steps.contains(&Step::Functions) {
            deployment.check_files()?;
        }
        Ok(deployment)
    }

    /// Whether the CLI is logged in, and sees the project; asked before anything that needs it.
    pub(crate) fn check_login(&self) -> Result<()> {
        let needs_login = self.steps.iter().any(|step| match step {
            Step::Files | Step::Doctor => false,
            Step::Secrets | Step::Functions => true,
            Step::Migrations => self.database.is_none(),
        });
        if !needs_login {
            return Ok(());
        }
        // A user who may not list the secrets may deploy all the same: only a missing or unknown token counts.
        let list = self.cli.in_directory(self.project.root(), &["secrets", "list"]).argument(self.remote());
        let answer = self.machine.run(&list.captured()).context("cannot start the Supabase CLI")?;
        let said = answer.errors.to_lowercase();
        let is_about_login = ["access token", "unauthorized", "401"].iter().any(|words| said.contains(words));
        ensure!(
            answer.is_success() || !is_about_login,
            "Supabase does not know who deploys: set SUPABASE_ACCESS_TOKEN (dashboard: Account, Access Tokens), or log in \
             once: npx supabase login\nThe Supabase CLI says: {}",
            answer.errors.trim()
        );
        if answer.is_success() { Ok(()) } else { self.check_reference() }
    }

    /// A token that may not list projects tells nothing.
    fn check_reference(&self) -> Result<()> {
        let list =
            self.cli.in_directory(self.project.root(), &["projects", "list", "--output-format", "json"]);
        let answer = self.machine.run(&list.captured()).context("cannot start the Supabase CLI")?;
        let reference = self.reference.as_deref().unwrap_or_default();
        let who = match self.machine.variable("SUPABASE_ACCESS_TOKEN") {
            Ok(_) => "the token in SUPABASE_ACCESS_TOKEN",
            Err(_) => "the account of `supabase login`",
        };
        ensure!(
            !answer.is_success() || answer.output.contains(reference),
            WrongUsage(format!(
                "{who} sees no project {reference}: compare the ref with https://supabase.com/dashboard/projects, or use a \
                 token of an account that has the project"
            ))
        );
        Ok(())
    }

    /// What is in the way, and what is worth a warning.
    pub(crate) fn check_project(&self) -> Result<()> {
        if self.project.is_file(SECRETS) && !self.project.ignores_secrets() {
            self.machine.warn(format_args!(
                "warning: {SECRETS} holds secrets, and Git does not ignore it: add .env to {IGNORED}\n\n"
            ));
        }
        if !self.steps.contains(&Step::Functions) {
            return Ok(());
        }
        let overrides = overrides(&self.project.read_text(CONFIG)?, &self.function_names()?)?;
        for one in overrides {
            ensure!(one.project.is_none() || one.project != self.reference, "{}", one.text());
            self.machine.warn(format_args!("warning: {}\n\n", one.text()));
        }
        Ok(())
    }

    /// What is about to be done, including the migrations that the database lacks.
    pub(crate) fn announce(&self) -> Result<()> {
        let machine = self.machine;
        machine.say(format_args!("From {}:\n", self.project.root().display()));
        let target = self.reference.as_deref().unwrap_or_default();
        for step in &self.steps {
            let what = match step {
                Step::Files => "are they of this version?".to_owned(),
                Step::Secrets => format!("{} → {target}", self.secret_names()),
                Step::Migrations => format!("→ {}", self.shown_database()),
                Step::Functions => format!("{} → {target}", self.function_names()?.join(", ")),
                Step::Doctor => self.url.clone(),
            };
            machine.say(format_args!("  {:10}  {what}\n", step.to_string()));
        }
        if self.steps.contains(&Step::Migrations) {
            machine.say(format_args!("\nThe migrations:\n"));
            self.run("supabase", &self.db_push().argument("--dry-run"))?;
        }
        Ok(())
    }

    pub(crate) fn carry_out(&self) -> Result<()> {
        let mut done = String::new();
        let mut is_scheduled = true;
        for step in &self.steps {
            self.machine.say(format_args!("\n== {step}\n"));
            let started = self.machine.now();
            let result = match step {
                Step::Files => self.compare_files(),
                Step::Secrets => self.set_secrets(),
                Step::Migrations => self.run("supabase", &self.db_push()),
                Step::Functions => self.deploy_functions(),
                Step::Doctor => self.examine().map(|finding| is_scheduled = finding),
            };
            let seconds = (self.machine.now() - started).as_seconds_f64();
            if let Err(error) = result {
                let again = match (*step, done.as_str()) {
                    (Step::Doctor, _) | (_, "") => String::new(),
                    _ => format!("\nThen run this again with{done}."),
                };
                bail!("{step} failed after {seconds:.1} s: {error:#}{}{again}", self.advice(*step));
            }
            self.machine.say(format_args!("✓ {step}, {seconds:.1} s\n"));
            done += &format!(" --skip {step}");
        }
        self.machine.say(format_args!("\nDeployed.\n"));
        if !is_scheduled {
            self.ask_for_schedule();
        }
        Ok(())
    }

    /// The last step is the operator's: it takes a secret key.
    fn ask_for_schedule(&self) {
        let reference = self.reference.as_deref().unwrap_or("_");
        self.machine.say(format_args!(
            "\nOne thing is left to do: without a schedule channels expire. Store a secret key of the project \
             (sb_secret_…)\nin Vault as calendar_webhook_secret_key \
             (https://supabase.com/dashboard/project/{reference}/integrations/vault/secrets),\nthen run this in the \
             SQL editor (https://supabase.com/dashboard/project/{reference}/sql/new):\n\n  \
             select schedule_calendar_webhook_refresh('{url}');\n\n\
             Then see that it works: {doctor}\n",
            url = self.url,
            doctor = self.shown_doctor()
        ));
    }

    fn advice(&self, step: Step) -> String {
        match step {
            Step::Files => String::new(),
            Step::Secrets | Step::Functions => {
                "\nWhat Supabase said is above: is SUPABASE_ACCESS_TOKEN set, or are you logged in (supabase login), \
                 is the project yours, and is there a network?"
                    .to_owned()
            }
            Step::Migrations => "\nWhat Supabase said is above: the database's password goes in \
                                 SUPABASE_DB_PASSWORD (in PGPASSWORD with --db-url), and `supabase migration list` \
                                 shows which migrations the database has."
                .to_owned(),
            Step::Doctor => format!(
                "\nEach ✗ above tells its next step, and this looks again: {}",
                self.shown_doctor()
            ),
        }
    }

    fn compare_files(&self) -> Result<()> {
        self.check_files()?;
        if self.is_the_clone()? {
            return Ok(());
        }
        let payload = Payload::read(self.machine, self.program.root())?;
        ensure!(
            install(&payload, &self.project, false, "")?.is_empty(),
            "{root} has another version: bring it up to date with {install} --into {root}, or deploy what it has with \
             --skip files",
            root = quoted(&self.project.root().to_string_lossy()),
            install = self.program.command("install")
        );
        Ok(())
    }

    fn check_files(&self) -> Result<()> {
        let how = if self.is_the_clone()? {
            "scripts/build".to_owned()
        } else {
            self.program.command("install --into this project")
        };
        let indexes = self.function_names()?.into_iter().map(|name| Payload::index(&name));
        for file in indexes.chain([MODULE.to_owned()]) {
            ensure!(self.project.is_file(&file), "{file} is missing: run {how} first");
        }
        Ok(())
    }

    fn is_the_clone(&self) -> Result<bool> {
        let root = self.machine.real_path(self.program.root())?;
        Ok(self.program.is_clone() && self.project.root() == root)
    }

    fn set_secrets(&self) -> Result<()> {
        self.machine.say(format_args!("{}\n", self.secret_names()));
        let secrets = self.secrets.text()?;
        let mut result = Ok(());
        // Away from the project, whose config.toml may name secrets too.
        self.machine.in_temporary_directory(&mut |directory| {
            let set = self.cli.in_directory(directory, &["secrets", "set"]).argument("--env-file");
            let set = set.secret_file(secrets.clone()).argument(self.remote());
            result = self.run("supabase", &set);
        })?;
        result
    }

    fn db_push(&self) -> Process {
        let push = self.cli.in_directory(self.project.root(), &["db", "push"]);
        let Some(mut url) = self.database.clone() else { return push.argument(self.remote()) };
        // The list of processes shows a command line to everybody, and an environment to its owner only.
        let Some(password) = url.password().map(percent_decoded) else {
            return push.argument(format!("--remote={url}"));
        };
        // Fails for an address that has no host, which then has no password either.
        let _ = url.set_password(None);
        push.argument(format!("--remote={url}")).variable("PGPASSWORD", password)
    }

    fn deploy_functions(&self) -> Result<()> {
        let deploy = self.cli.in_directory(self.project.root(), &["functions", "deploy", "--use-api"]);
        let functions = self.function_names()?;
        let deploy = deploy.argument(self.remote()).arguments(functions.iter().map(String::as_str));
        self.run("supabase", &deploy)
    }

    /// Whether a schedule was found, too: nothing else may be missing.
    fn examine(&self) -> Result<bool> {
        let found = doctor::command::look(self.machine, self.program, &self.url, self.env_file.as_deref())?;
        let wrong: Vec<&Check> = found.checks.iter().filter(|check| check.is_wrong()).collect();
        match wrong.as_slice() {
            [] => Ok(true),
            [only] if only.code.as_deref() == Some(NOT_SCHEDULED) => Ok(false),
            _ => bail!("the doctor found something wrong"),
        }
    }

    fn shown_doctor(&self) -> String {
        let mut typed = format!("{} --url {}", self.program.command("doctor"), quoted(&self.url));
        if let Some(file) = &self.env_file {
            typed += &format!(" --env-file {}", quoted(&file.to_string_lossy()));
        }
        typed
    }

    fn function_names(&self) -> Result<Vec<String>> {
        function_names(self.machine, self.program.root())
    }

    /// Names the program, but no argument, for that may hold a secret.
    fn run(&self, name: &str, process: &Process) -> Result<()> {
        let ended = self.machine.run(process).with_context(|| format!("cannot start {name}"))?;
        ensure!(ended.is_success(), "{name} ended with {ended}");
        Ok(())
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
fn linked_reference(project: &Project<'_>) -> Option<String> {
    let reference = project.read("supabase/.temp/project-ref").ok()??;
    String::from_utf8(reference).ok().map(|reference| reference.trim().to_owned())
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
