use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use local_supabase::postgres::Cluster;
use system_tests::{package_in, typed};

use crate::cli::{self, Said, said, said_on_terminal};
use crate::management_api::{LENT_ROLE, ManagementApi, PROJECT};
use crate::sandbox::{CONFIG, FUNCTIONS, SERVE, Sandbox};

/// A kilobyte is 1000 bytes, as scripts/build counts.
const LARGEST_UPLOAD: usize = 550_000;
const CLIENT_SECRET: &str = "GOCSPX-do#not 'print' $this";

struct Deploying {
    sandbox: Sandbox,
    api: ManagementApi,
}

impl Deploying {
    fn installed() -> Self {
        Self::from(Sandbox::fresh())
    }

    fn from(sandbox: Sandbox) -> Self {
        sandbox.install(&["--yes"]).succeeded();
        let secrets = format!(
            "GOOGLE_CLIENT_ID=1234.apps.googleusercontent.com\nexport GOOGLE_CLIENT_SECRET=\"{CLIENT_SECRET}\"\n\
             SUPABASE_SECRET_KEY=sb_secret_of_the_project\nSTRIPE_KEY=sk_of_the_project\n"
        );
        sandbox.write("supabase/.env", &secrets);
        Self { sandbox, api: ManagementApi::start() }
    }

    fn command(&self) -> Command {
        let mut command = self.sandbox.home.command(cli::deploy());
        command.arg("--workdir").arg(self.sandbox.root()).envs(self.api.environment(&self.sandbox.home));
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        said(self.command().args(arguments))
    }

    fn to_project(&self, steps: &[&str]) -> Said {
        let mut arguments = vec!["--yes", "--project-ref", PROJECT];
        for step in ["files", "secrets", "migrations", "functions", "doctor"] {
            if !steps.contains(&step) {
                arguments.extend(["--skip", step]);
            }
        }
        self.run(&arguments)
    }
}

#[test]
fn each_function_is_uploaded_whole_and_small() {
    let deployment = Deploying::from(Sandbox::lived_in());
    deployment.to_project(&["functions"]).succeeded().with("✓ functions, ");
    let published: BTreeSet<String> = deployment.api.published().into_iter().collect();
    assert_eq!(published, FUNCTIONS.map(str::to_owned).into());
    for (function, upload) in deployment.api.uploads() {
        let index = format!("supabase/functions/{function}/index.ts");
        assert_eq!(upload.metadata["verify_jwt"], false, "{function}");
        assert_eq!(upload.metadata["entrypoint_path"], index.as_str());
        let imports = format!("supabase/functions/{function}/deno.json");
        assert_eq!(upload.metadata["import_map_path"], imports.as_str());
        let module = &upload.files["supabase/functions/_shared/wasm/module.js"];
        assert!(String::from_utf8_lossy(module).contains("\"AGFzbQ"), "{function} has a WebAssembly module");
        assert!(upload.files.contains_key(&index) && upload.files.contains_key(SERVE));
        assert!(
            !upload.files.contains_key("supabase/functions/_shared/cors.ts"),
            "{function} has nobody else's imports"
        );
        for (path, content) in &upload.files {
            assert_eq!(&fs::read(deployment.sandbox.path(path)).unwrap(), content, "{path}");
        }
        assert!(upload.bytes <= LARGEST_UPLOAD, "{function}: {} bytes", upload.bytes);
    }
}

#[test]
fn only_our_secrets_are_set_and_none_is_shown() {
    let deployment = Deploying::installed();
    let config = deployment.sandbox.read(CONFIG);
    deployment.sandbox.write(CONFIG, &format!("{config}\n[edge_runtime.secrets]\nTHEIRS = \"value\"\n"));
    deployment.to_project(&["secrets"]).succeeded().with("GOOGLE_CLIENT_SECRET").without("GOCSPX");
    let secrets = deployment.api.secrets();
    assert_eq!(secrets.keys().collect::<Vec<_>>(), ["GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"]);
    assert_eq!(secrets["GOOGLE_CLIENT_SECRET"], CLIENT_SECRET);
    let command_lines = deployment.sandbox.home.command_lines();
    assert!(command_lines.contains("secrets set"), "{command_lines}");
    for secret in ["GOCSPX", "googleusercontent", "sbp_"] {
        assert!(!command_lines.contains(secret), "{command_lines}");
    }
}

#[test]
fn the_environment_wins_over_the_file() {
    let deployment = Deploying::installed();
    let mut command = deployment.command();
    command.env("GOOGLE_CLIENT_ID", "another").env("GOOGLE_CLIENT_SECRET", "");
    command.args(["--yes", "--project-ref", PROJECT]);
    for step in ["files", "migrations", "functions", "doctor"] {
        command.args(["--skip", step]);
    }
    said(&mut command).succeeded();
    let secrets = deployment.api.secrets();
    assert_eq!(secrets["GOOGLE_CLIENT_ID"], "another");
    assert_eq!(secrets["GOOGLE_CLIENT_SECRET"], CLIENT_SECRET, "an empty value is none");
}

#[test]
fn a_file_of_variables_can_be_named() {
    let deployment = Deploying::installed();
    let file = deployment.sandbox.path("production.env");
    fs::write(&file, "GOOGLE_CLIENT_ID=production\nGOOGLE_CLIENT_SECRET=secret\n").unwrap();
    let file = file.to_str().unwrap();
    let skip = ["--skip", "files", "--skip", "migrations", "--skip", "functions", "--skip", "doctor"];
    let to = |file| [["--yes", "--project-ref", PROJECT, "--env-file", file].as_slice(), &skip].concat();
    deployment.run(&to(file)).succeeded();
    assert_eq!(deployment.api.secrets()["GOOGLE_CLIENT_ID"], "production");
    let missing = deployment.run(&to("nowhere.env")).with("nowhere.env");
    // Node looks for a file of that option before it starts a program: github.com/nodejs/node/issues/54232.
    assert_eq!(missing.code, Some(if package_in().is_some() { 9 } else { 1 }), "{}", missing.text);
}

#[test]
fn missing_secrets_are_named_before_anything_is_done() {
    let deployment = Deploying::installed();
    deployment.sandbox.write("supabase/.env", "GOOGLE_CLIENT_ID=x\nGOOGLE_CLIENT_SECRET=\n");
    deployment
        .to_project(&["secrets", "functions"])
        .failed()
        .with("GOOGLE_CLIENT_SECRET")
        .with("--skip secrets");
    assert!(deployment.api.uploads().is_empty());
}

#[test]
fn the_linked_project_is_deployed_to() {
    let deployment = Deploying::installed();
    let skip = ["--yes", "--skip", "files", "--skip", "migrations", "--skip", "doctor", "--skip", "secrets"];
    deployment.run(&skip).refused().with("--project-ref").with("supabase link");
    deployment.sandbox.write("supabase/.temp/project-ref", PROJECT);
    deployment.run(&skip).succeeded();
    assert_eq!(deployment.api.published().len(), 3);
}

#[test]
fn something_else_than_a_project_ref_is_refused() {
    let deployment = Deploying::installed();
    let given = deployment.run(&["--yes", "--project-ref", "sb_secret_by_mistake"]);
    given.refused().with("that is no project ref").without("sb_secret");
}

#[test]
fn a_project_that_the_account_does_not_have_is_told_in_one_line_before_anything_is_done() {
    let deployment = Deploying::installed();
    let to = |project| {
        let skip = ["--skip", "files", "--skip", "migrations", "--skip", "doctor"];
        deployment.run(&[["--yes", "--project-ref", project].as_slice(), &skip].concat())
    };
    let other = "zyxwvutsrqponmlkjihg";
    let said =
        to(other).refused().with("error: the token in SUPABASE_ACCESS_TOKEN sees no project").without("== ");
    let said = said.with(other).with("https://supabase.com/dashboard/projects").without("sbp_");
    assert_eq!(said.text.lines().filter(|line| line.starts_with("error")).count(), 1, "{}", said.text);
    assert!(deployment.api.secrets().is_empty() && deployment.api.uploads().is_empty());
    // Somebody who may not list the secrets may deploy all the same; and a token that may list no projects tells
    // nothing.
    deployment.api.refuse("the list of secrets");
    to(PROJECT).succeeded();
    deployment.api.refuse("the list of projects");
    to(other).without("sees no project");
}

#[test]
fn a_database_whose_address_is_not_understood_is_refused_without_its_password() {
    let deployment = Deploying::installed();
    for url in [
        "postgresql://postgres:Hunter/2Secret@127.0.0.1:1/postgres",
        "postgresql://postgres:Hunter#2Secret@127.0.0.1:1/postgres",
        "postgresql://postgres@127.0.0.1:1/postgres?password=2Secret",
        "2Secret",
    ] {
        let given = deployment.run(&["--yes", "--project-ref", PROJECT, "--db-url", url]);
        given.failed().with("PGPASSWORD").without("2Secret").without("== ");
    }
}

#[test]
fn a_project_without_the_functions_is_told_to_install_them() {
    let sandbox = Sandbox::fresh();
    let deployment = Deploying { sandbox, api: ManagementApi::start() };
    deployment.to_project(&["functions"]).failed().with("index.ts is missing").with(&typed("install"));
}

#[test]
fn the_first_step_that_fails_is_the_last_and_says_how_to_go_on() {
    let deployment = Deploying::installed();
    deployment.api.refuse("functions");
    deployment
        .to_project(&["secrets", "functions", "doctor"])
        .failed()
        .with("✓ secrets, ")
        .with("refused by the test")
        .with("functions failed after")
        .with("SUPABASE_ACCESS_TOKEN")
        .with("run this again with --skip secrets")
        .without("== doctor")
        .without("GOCSPX");
}

#[test]
fn somebody_who_is_not_logged_in_is_told_so_before_anything_else() {
    let deployment = Deploying::installed();
    let skip = ["--project-ref", PROJECT, "--skip", "files", "--skip", "doctor"];
    for token in ["", "sbp_ffffffffffffffffffffffffffffffffffffffff"] {
        let said = said(deployment.command().env("SUPABASE_ACCESS_TOKEN", token).args(skip));
        said.failed()
            .with("set SUPABASE_ACCESS_TOKEN")
            .with("supabase login")
            .without("migrations")
            .without("IPv6");
    }
    assert!(deployment.api.secrets().is_empty());
}

#[test]
fn a_remote_that_puts_the_gateways_check_back_stops_a_deployment_to_it() {
    let deployment = Deploying::installed();
    let config = deployment.sandbox.read(CONFIG);
    for (project, stops) in [(PROJECT, true), ("zyxwvutsrqponmlkjihg", false)] {
        let remote = format!(
            "\n[remotes.staging]\nproject_id = \"{project}\"\n\
             [remotes.staging.functions.setup-calendar-webhook]\nverify_jwt = true\n"
        );
        deployment.sandbox.write(CONFIG, &format!("{config}{remote}"));
        let said = deployment.to_project(&["functions"]);
        let said = said.with("verify_jwt in [remotes.staging.functions.setup-calendar-webhook] is true");
        if stops {
            said.failed()
        } else {
            said.succeeded()
        };
        assert_eq!(deployment.api.published().is_empty(), stops);
    }
}

#[test]
fn secrets_that_git_would_commit_are_told() {
    let deployment = Deploying::installed();
    let warning = "warning: supabase/.env holds secrets, and Git does not ignore it";
    deployment.to_project(&["functions"]).succeeded().with(warning);
    deployment.sandbox.write("supabase/.gitignore", ".env\n");
    deployment.to_project(&["functions"]).succeeded().without(warning);
}

#[test]
fn an_unhealthy_project_fails_the_deployment() {
    let deployment = Deploying::installed();
    let skip = ["--skip", "files", "--skip", "secrets", "--skip", "migrations", "--skip", "functions"];
    let url = "http://127.0.0.1:1";
    let arguments = [["--yes", "--url", url].as_slice(), &skip].concat();
    deployment
        .run(&arguments)
        .failed()
        .with("doctor failed after")
        .with(&format!("{} --url {url} --env-file", typed("doctor")));
}

#[test]
fn something_else_than_an_address_is_refused_before_anything_is_done() {
    let deployment = Deploying::installed();
    let arguments = ["--yes", "--project-ref", PROJECT, "--skip", "files", "--skip", "migrations", "--url"];
    for url in ["example.com", "postgres://127.0.0.1:5432", ""] {
        let arguments = [arguments.as_slice(), &[url]].concat();
        deployment.run(&arguments).failed().with(&format!("{url} is not an address of a project"));
    }
    assert!(deployment.api.secrets().is_empty());
}

#[test]
fn an_outdated_project_is_told_to_update() {
    let deployment = Deploying::installed();
    deployment.to_project(&["files"]).succeeded().with("✓ files, ");
    let sandbox = &deployment.sandbox;
    fs::remove_dir_all(sandbox.path("supabase/functions")).unwrap();
    fs::remove_file(sandbox.path(crate::sandbox::RECORD)).unwrap();
    let mut older = crate::sandbox::payload();
    older.files.insert(SERVE.to_owned(), b"// older\n".to_vec());
    sandbox.install_version(&older, "20990101000000");
    deployment.to_project(&["files"]).failed().with("has another version").with(&typed("install --into"));
}

#[test]
fn on_a_terminal_it_tells_what_it_will_do_and_asks() {
    let deployment = Deploying::installed();
    let mut deploy = cli::deploy();
    deploy.arg("--workdir").arg(deployment.sandbox.root()).args(["--project-ref", PROJECT]);
    deploy.args(["--skip", "files", "--skip", "migrations", "--skip", "doctor"]);
    deploy.envs(deployment.api.environment(&deployment.sandbox.home));
    said_on_terminal(&deployment.sandbox.home, &deploy, "n\n")
        .failed()
        .with("secrets     GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET → abcdefghijklmnopqrst")
        .with("Deploy this? [y/N]")
        .with("nothing was deployed");
    assert!(deployment.api.secrets().is_empty() && deployment.api.uploads().is_empty());
    said_on_terminal(&deployment.sandbox.home, &deploy, "y\n").succeeded();
    assert_eq!((deployment.api.secrets().len(), deployment.api.published().len()), (2, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_are_pushed_to_a_database_once() {
    let cluster = Cluster::start().await.unwrap();
    let client = cluster.connect().await.unwrap();
    local_supabase::schema::create(&client, &[]).await.unwrap();
    let sandbox = Sandbox::installed();
    let address = cluster.url().replace("postgres@", "postgres:p%40ss@");
    let url = format!("{address}?sslmode=disable");
    let push = || {
        let mut command = sandbox.home.command(cli::deploy());
        command.arg("--workdir").arg(sandbox.root()).args(["--yes", "--db-url", &url]);
        for step in ["files", "secrets", "functions", "doctor"] {
            command.args(["--skip", step]);
        }
        said(&mut command)
    };
    push().succeeded().with("_calendar_webhooks.sql").without("p@ss").without("p%40ss");
    let query = "select to_regclass('public.calendar_connections') is not null
                   and to_regclass('public.calendar_connection_status') is not null";
    assert!(client.query_one(query, &[]).await.unwrap().get::<_, bool>(0));
    push().succeeded().with("up to date");

    let command_lines = sandbox.home.command_lines();
    assert!(command_lines.contains("db push"), "{command_lines}");
    assert!(!command_lines.contains("p@ss") && !command_lines.contains("p%40ss"), "{command_lines}");
    assert!(sandbox.home.passwords().contains("p@ss\n"), "it is in PGPASSWORD");
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_are_pushed_to_the_projects_own_database_with_its_password_or_a_lent_role() {
    let cluster = Cluster::start().await.unwrap();
    let client = cluster.connect().await.unwrap();
    local_supabase::schema::create(&client, &[]).await.unwrap();
    for (role, password) in [("postgres", "its password"), (LENT_ROLE, "a lent password")] {
        // Supabase's pooler knows the project by the name of the user.
        let sql = format!("create role \"{role}.{PROJECT}\" superuser login password '{password}'");
        client.batch_execute(&sql).await.unwrap();
    }
    let settings: String = client.query_one("show hba_file", &[]).await.unwrap().get(0);
    let trusting = fs::read_to_string(&settings).unwrap();
    let names = [format!("postgres.{PROJECT}"), format!("{LENT_ROLE}.{PROJECT}")].join(",");
    fs::write(&settings, format!("host all {names} 127.0.0.1/32 scram-sha-256\n{trusting}")).unwrap();
    client.batch_execute("select pg_reload_conf()").await.unwrap();

    let deployment = Deploying::installed();
    let port = cluster.url().rsplit_once(':').and_then(|(_, rest)| rest.split('/').next()?.parse().ok());
    deployment.api.serve_database(port.unwrap(), "a lent password");
    let applied = async || -> Vec<String> {
        let sql = "select name from supabase_migrations.schema_migrations order by version";
        client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    let push = |password: &str| {
        let mut command = deployment.command();
        command.env("SUPABASE_DB_PASSWORD", password).args(["--yes", "--project-ref", PROJECT]);
        for step in ["files", "secrets", "functions", "doctor"] {
            command.args(["--skip", step]);
        }
        said(&mut command)
    };
    push("another").failed().with("migrations failed after").with("SUPABASE_DB_PASSWORD").without("another");
    push("its password").succeeded().with("✓ migrations, ").without("its password");
    assert_eq!(applied().await, ["calendar_webhooks", "calendar_webhook_operations"]);
    // Without a password the CLI asks for a role, as those may who may migrate.
    deployment
        .sandbox
        .write("supabase/migrations/20990101000000_theirs.sql", "create table theirs (id int);\n");
    push("").succeeded().without("a lent password");
    assert_eq!(applied().await.last().unwrap(), "theirs");
    let command_lines = deployment.sandbox.home.command_lines();
    assert!(command_lines.contains(&format!("--remote={PROJECT}")), "{command_lines}");
    assert!(!command_lines.contains("password"), "{command_lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_updated_project_is_pushed_without_being_told_to_include_anything() {
    let cluster = Cluster::start().await.unwrap();
    let client = cluster.connect().await.unwrap();
    local_supabase::schema::create(&client, &[]).await.unwrap();
    let sandbox = Sandbox::lived_in();
    let url = format!("{}?sslmode=disable", cluster.url());
    let push = || sandbox.home.supabase(sandbox.root(), &["db", "push", "--yes", &format!("--remote={url}")]);

    sandbox.install_version(&crate::sandbox::older_payload(), "20250202000000");
    push().succeeded();
    sandbox.write("supabase/migrations/20980101000000_theirs_too.sql", "select 1;\n");
    push().succeeded();
    sandbox.install(&["--yes"]).succeeded();
    push().succeeded();
    let applied = "select count(*) from supabase_migrations.schema_migrations";
    let count: i64 = client.query_one(applied, &[]).await.unwrap().get(0);
    assert_eq!(usize::try_from(count).unwrap(), sandbox.migrations().len());
}
