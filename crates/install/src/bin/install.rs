//! Behind scripts/install.

#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "a program for the terminal")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use chrono::Utc;
use clap::Parser;
use install::deploy::secret_names;
use install::terminal::{confirm, quoted};
use install::{DROP, Payload, Project, function_names, install, repository, uninstall};

/// Brings the three functions, their module, the migrations and their config keys into a Supabase project, or up to
/// date there. Shows what it will do and asks before it writes; what is the project's own is never overwritten
#[derive(Parser)]
#[command(
    name = "scripts/install",
    bin_name = "scripts/install",
    after_help = "Examples:
  scripts/install --into ../my-app --dry-run --diff     show what would be done, line by line
  scripts/install --into ../my-app               show it, ask, do it
  scripts/install --into ../my-app --with-sample   with a recalculate-schedule and an OAuth flow to start from
  scripts/install --into ../my-app --uninstall   take it back

What was installed is recorded in supabase/calendar-webhooks.lock; commit it with the rest."
)]
struct InstallArguments {
    /// The project: the directory that holds supabase/
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// Show what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Show every line that is added, changed or removed
    #[arg(long)]
    diff: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Move functions of your own with these names out of the way (to supabase/functions/_replaced), and
    /// overwrite installed files that were edited since
    #[arg(long)]
    replace: bool,
    /// Write the functions of the sample app that the project lacks: recalculate-schedule, google-oauth-start,
    /// google-oauth-callback. They are yours from then on
    #[arg(long)]
    with_sample: bool,
    /// Remove what was installed, as far as it was not edited since
    #[arg(long, conflicts_with_all = ["replace", "with_sample"])]
    uninstall: bool,
}

fn main() -> ExitCode {
    match run(&InstallArguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &InstallArguments) -> Result<()> {
    let project = Project::open(&arguments.into)?;
    ensure!(
        project.root() != repository().canonicalize()?,
        "{} is this repository, which has the functions already: scripts/deploy brings them online from here",
        project.root().display()
    );
    let (mut plan, versions) = if arguments.uninstall {
        uninstall(&project)?
    } else {
        let mut payload = Payload::read(&repository())?;
        if arguments.with_sample {
            payload = payload.with_sample(&repository())?;
        }
        let now = Utc::now().format("%Y%m%d%H%M%S").to_string();
        (install(&payload, &project, arguments.replace, &now)?, Vec::new())
    };
    if !arguments.uninstall {
        plan.ignore_secrets(&project)?;
    }
    if arguments.diff {
        print!("{}", plan.diff());
    }
    print!("{plan}");
    if plan.is_empty() {
        println!("Nothing to do in {}.", project.root().display());
        return Ok(());
    }
    if arguments.dry_run {
        println!("\nNothing was written (--dry-run); --diff shows every line.");
        return Ok(());
    }
    ensure!(confirm("\nDo this? --diff shows every line.", arguments.yes)?, "nothing was written");
    plan.carry_out(&project)?;
    if arguments.uninstall {
        print_what_stays(&versions)?;
    } else {
        println!(
            "\nDone. Commit it, and bring it online: scripts/deploy --workdir {}\n\
             What is yours, you deploy: supabase functions deploy recalculate-schedule",
            quoted(&arguments.into.to_string_lossy())
        );
    }
    Ok(())
}

fn print_what_stays(versions: &[String]) -> Result<()> {
    println!("\nDone. What was deployed stays online. To remove it there too:\n");
    for function in function_names(&repository())? {
        println!("  supabase functions delete {function}");
    }
    let secrets: Vec<&str> = secret_names().collect();
    println!("  supabase secrets unset {}    # those that no function of yours reads", secrets.join(" "));
    if !versions.is_empty() {
        println!("  supabase migration repair --status reverted {}", versions.join(" "));
    }
    println!("\nand in the SQL editor:\n");
    for line in DROP.lines() {
        println!("  {line}");
    }
    Ok(())
}
