//! The README of each directory that has one, as its readers follow it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fs;
use std::path::{Path, PathBuf};

use checkout::repository;

const PAGES: [&str; 5] =
    ["README.md", "supabase/README.md", "scripts/README.md", "crates/element/README.md", "crates/README.md"];
const MOST_LINES_OF_THE_FIRST: usize = 170;

#[test]
fn every_link_leads_to_a_file_and_to_a_heading_of_it() {
    for page in PAGES {
        for link in
            read(page).split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link)
        {
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { repository().join(page) } else { directory(page).join(file) };
            assert!(target.exists(), "{page}: {link}");
            assert!(
                anchor.is_empty() || anchors(&target).iter().any(|known| known == anchor),
                "{page}: {link}"
            );
        }
    }
}

#[test]
fn every_script_that_is_named_is_there() {
    for page in PAGES {
        let text = read(page);
        for (at, _) in text.match_indices("scripts/") {
            let (before, after) = text.split_at(at);
            if before.ends_with(['/', '_', '-', '.']) || before.ends_with(char::is_alphanumeric) {
                continue;
            }
            let name = |letter: char| letter.is_ascii_alphanumeric() || "/-_.".contains(letter);
            let path = after.split(|letter: char| !name(letter)).next().unwrap().trim_end_matches('.');
            let is_installed = path.starts_with("scripts/node_modules/");
            assert!(is_installed || repository().join(path).exists(), "{page}: {path}");
        }
    }
}

#[test]
fn the_first_page_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= MOST_LINES_OF_THE_FIRST, "README.md has {lines} lines");
}

/// As GitHub makes them of headings.
fn anchors(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let headings =
        text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |letter: &char| letter.is_alphanumeric() || " -_".contains(*letter);
    headings
        .map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-"))
        .collect()
}

fn read(page: &str) -> String {
    fs::read_to_string(repository().join(page)).unwrap()
}

fn directory(page: &str) -> PathBuf {
    repository().join(page).parent().unwrap().to_owned()
}
