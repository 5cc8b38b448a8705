//! Files of variables are read as the real CLI reads them.

use std::collections::BTreeMap;

use env_file::EnvFile;

use crate::cli::Home;
use crate::management_api::{ManagementApi, PROJECT};

const FILE: &str = "# a comment
PLAIN=value
export EXPORTED=value
SPACES =  around  \n\
HASH=before#after
HASH_IN_QUOTES=\"before#after\" # a comment
SINGLE='a\\nb $c \"d\"'
DOUBLE=\"a\\nb 'c'\"
BACKTICK=`a 'b' \"c\"`
EQUALS=a=b==
COLON: value
EMPTY=
EMPTY_QUOTES=''
LINES=\"first
second\"
JSON={\"default\":\"x\"}
UNCLOSED='open
NOT A VARIABLE
DOLLAR=\"$HOME ${HOME}\"
TWICE=1
TWICE=2
";

fn read_by_the_cli(file: &str) -> BTreeMap<String, String> {
    let home = Home::new();
    let api = ManagementApi::start();
    std::fs::write(home.path("env"), file).unwrap();
    let mut command = home.command(crate::cli::supabase());
    command.args(["secrets", "set", "--yes", "--workdir"]).arg(home.path("bin"));
    command.arg(format!("--remote={PROJECT}")).arg("--env-file").arg(home.path("env"));
    crate::cli::said(command.envs(api.environment(&home))).succeeded();
    api.secrets()
}

fn read_by_us(file: &str) -> BTreeMap<String, String> {
    let file = EnvFile::parse(file);
    file.variables().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn they_read_alike() {
    assert_eq!(read_by_us(FILE), read_by_the_cli(FILE));
}

#[test]
fn they_read_alike_with_line_ends_of_windows() {
    let file = FILE.replace('\n', "\r\n");
    assert_eq!(read_by_us(&file), read_by_the_cli(&file));
}

#[test]
fn they_read_alike_with_a_byte_order_mark() {
    let file = "\u{feff}FIRST=1\nSECOND=2\n";
    assert_eq!(read_by_us(file).len(), 2);
    assert_eq!(read_by_us(file), read_by_the_cli(file));
}

#[test]
fn what_we_write_the_cli_reads_as_meant() {
    let mut meant = EnvFile::default();
    for (number, value) in
        ["a b", "a'b", "a\"b\\n", "a`b", "a#b", "$HOME", "two\nlines", " spaces ", "\\"].iter().enumerate()
    {
        meant.set(&format!("VALUE_{number}"), value);
    }
    let text = meant.text().unwrap();
    assert_eq!(read_by_the_cli(&text), read_by_us(&text));
    assert_eq!(read_by_the_cli(&text)["VALUE_2"], "a\"b\\n");
    assert_eq!(read_by_us(&text), meant.variables().map(|(n, v)| (n.to_owned(), v.to_owned())).collect());
}

#[test]
fn a_value_that_no_quotes_can_hold_is_named() {
    let mut file = EnvFile::default();
    file.set("ODD", "'`");
    assert!(file.text().unwrap_err().to_string().contains("ODD"));
}
