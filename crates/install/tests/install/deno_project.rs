//! A project whose own Deno checks, lints and formats everything below `supabase/functions`.

use std::process::Command;

use local_supabase::{Deno, deno};

use crate::cli::said;
use crate::sandbox::Sandbox;

#[test]
fn nothing_of_ours_is_found_or_refused() {
    let function = "supabase/functions/hello";
    for (file, content) in [
        ("readme.txt", "neither a workspace nor a package"),
        ("deno.json", "{ \"workspace\": [\"./supabase/functions/hello\"] }\n"),
        // As others like it.
        ("deno.json", "{ \"fmt\": { \"lineWidth\": 60, \"singleQuote\": true, \"semiColons\": false } }\n"),
        ("package.json", "{ \"name\": \"app\", \"dependencies\": {} }\n"),
    ] {
        let sandbox = Sandbox::fresh();
        sandbox.write(&format!("{function}/index.ts"), "Deno.serve(() => new Response())\n");
        sandbox.write(&format!("{function}/deno.json"), "{ \"imports\": {} }\n");
        sandbox.write(file, content);
        sandbox.install(&["--yes"]).succeeded();
        for version in [Deno::Newest, Deno::Floor] {
            for arguments in [
                &["check", "supabase/functions/google-calendar-webhook/index.ts"][..],
                &["lint", "supabase/functions"],
                &[
                    "fmt",
                    "--check",
                    "supabase/functions/_shared",
                    "supabase/functions/setup-calendar-webhook",
                ],
            ] {
                let mut command = sandbox.home.command(Command::new(deno(version).unwrap()));
                // Nothing may have to be fetched.
                command
                    .args(arguments)
                    .current_dir(sandbox.root())
                    .env("NPM_CONFIG_REGISTRY", "http://127.0.0.1:1");
                said(&mut command).succeeded();
            }
        }
    }
}
