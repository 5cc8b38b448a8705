//! Whether `robots.txt` keeps Google's notifications away from the callback.
//!
//! Their user agent is `APIs-Google`. It obeys the groups that name it, and those alone: Google documents that it
//! ignores the group for `*` ("List of Google's special-case crawlers"). Groups and rules are read as RFC 9309 says.

use crate::check::{Check, Id};
use machine::http::Reply;

const AGENT: &str = "APIs-Google";

/// Judges the answer for `robots.txt`; `path` is that of the callback.
pub fn judge(url: &str, path: &str, robots: &Reply) -> Check {
    let id = Id::RobotsTxt;
    let answer = match robots {
        Ok(answer) => answer,
        Err(silence) => {
            return Check::unknown(id, format!("not judged: {url} could not be read, {}", silence.text()))
                .coded(silence.code());
        }
    };
    match answer.status() {
        200..300 => match blocking_rule(&answer.response.body, AGENT, path) {
            None => Check::ok(id, format!("{url} lets {AGENT} in")),
            Some(rule) => Check::wrong(
                id,
                "robots_disallowed",
                format!("{url} keeps {AGENT} away from {path} (\"Disallow: {}\")", clipped(&rule)),
                format!(
                    "let it in, for instance with the lines `User-agent: {AGENT}` and `Allow: {path}`; Google may \
                     take a day to notice"
                ),
            ),
        },
        // RFC 9309, section 2.3.1.3: unavailable, so everything is allowed.
        300..500 => Check::ok(id, format!("there is no {url}, so {AGENT} may come")),
        // Section 2.3.1.4: unreachable, so nothing is.
        status => Check::wrong(
            id,
            "robots_unreachable",
            format!("{url} answers HTTP {status}, which a robot has to take for \"keep away\""),
            "make it answer 200 with rules, or 404 for none",
        ),
    }
}

fn clipped(rule: &str) -> String {
    rule.chars().filter(|character| !character.is_control()).take(80).collect()
}

/// The rule that keeps an agent away from a path: of the groups that name the agent, the longest match counts, and
/// `Allow` where two are as long.
fn blocking_rule(robots: &str, agent: &str, path: &str) -> Option<String> {
    let path = normalised(path);
    let best = rules_for(robots, agent)
        .into_iter()
        .filter(|rule| matches(&normalised(&rule.pattern), &path))
        .max_by_key(|rule| (rule.pattern.len(), rule.allows))?;
    (!best.allows).then_some(best.pattern)
}

struct Rule {
    allows: bool,
    pattern: String,
}

/// The rules of all groups that name the agent.
fn rules_for(robots: &str, agent: &str) -> Vec<Rule> {
    let mut rules = Vec::new();
    // Whether the group that the line belongs to names the agent, and whether its first rule has been seen.
    let (mut named, mut in_rules) = (false, false);
    for line in robots.trim_start_matches('\u{feff}').split(['\n', '\r']) {
        let line = line.split_once('#').map_or(line, |(line, _)| line);
        let Some((field, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match field.trim().to_ascii_lowercase().as_str() {
            "user-agent" => {
                if in_rules {
                    (named, in_rules) = (false, false);
                }
                named |= product(value).eq_ignore_ascii_case(agent);
            }
            field @ ("allow" | "disallow") => {
                in_rules = true;
                // An empty `Disallow` forbids nothing.
                if named && !value.is_empty() {
                    rules.push(Rule { allows: field == "allow", pattern: value.to_owned() });
                }
            }
            // Others, such as `Sitemap`, belong to no group.
            _ => {}
        }
    }
    rules
}

/// The product token of a user agent: what comes before a version.
fn product(agent: &str) -> &str {
    agent
        .split(|character: char| !(character.is_ascii_alphabetic() || "-_".contains(character)))
        .next()
        .unwrap_or("")
}

/// Whether a pattern matches the beginning of a path; `*` stands for anything, `$` at the end for the path's end.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, to_the_end) = match pattern.strip_suffix('$') {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| path.strip_prefix(first)) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return !to_the_end || rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if to_the_end && pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        let Some((_, after)) = (if piece.is_empty() { Some(("", rest)) } else { rest.split_once(piece) })
        else {
            return false;
        };
        rest = after;
    }
    true
}

/// With the characters that need no percent-encoding decoded.
fn normalised(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, encoded)) = rest.split_once('%') {
        text.push_str(before);
        let decoded = encoded.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).map(char::from);
        match decoded.filter(|character| character.is_ascii_alphanumeric() || "-._~".contains(*character)) {
            Some(character) => {
                text.push(character);
                rest = encoded.get(2..).unwrap_or_default();
            }
            None => {
                text.push('%');
                rest = encoded;
            }
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/functions/v1/google-calendar-webhook";

    #[track_caller]
    fn check(robots: &str, blocked: bool) {
        assert_eq!(blocking_rule(robots, AGENT, PATH).is_some(), blocked, "{robots}");
    }

    #[test]
    fn only_groups_that_name_the_agent_count() {
        check("", false);
        check("User-agent: *\nDisallow: /", false);
        check("User-agent: Googlebot\nDisallow: /", false);
        check("User-agent: APIs-Google\nDisallow: /", true);
        check("user-AGENT : apis-google \nDISALLOW:/ # all", true);
        check("User-agent: APIs-Google/1.0\nDisallow: /", true);
        check("User-agent: APIs-Google-Extended\nDisallow: /", false);
        check("Disallow: /\nUser-agent: APIs-Google", false);
        check("\u{feff}User-agent: APIs-Google\r\nDisallow: /\r\n", true);
    }

    #[test]
    fn a_group_may_name_several_agents_and_an_agent_several_groups() {
        check("User-agent: APIs-Google\nUser-agent: Googlebot\nDisallow: /", true);
        check("User-agent: APIs-Google\nSitemap: /s.xml\nUser-agent: Googlebot\nDisallow: /", true);
        check("User-agent: APIs-Google\nAllow: /\nUser-agent: Googlebot\nDisallow: /", false);
        check(
            "User-agent: APIs-Google\nAllow: /f\n\nUser-agent: *\nAllow: /\n\nUser-agent: apis-google\nDisallow: /functions",
            true,
        );
    }

    #[test]
    fn the_longest_match_decides_and_a_tie_allows() {
        let group = |rules: &str| format!("User-agent: APIs-Google\n{rules}");
        check(&group("Disallow: /\nAllow: /functions/v1/"), false);
        check(&group("Allow: /\nDisallow: /functions/v1/"), true);
        check(&group("Disallow: /functions\nAllow: /functions"), false);
        check(&group("Disallow:"), false);
        check(&group("Disallow: /rest"), false);
        check(&group("Disallow: /functions/v1/google-calendar-webhook$"), true);
        check(&group("Disallow: /functions/v1/google$"), false);
        check(&group("Disallow: /*/v1/*-webhook$"), true);
        check(&group("Disallow: *"), true);
        check(&group("Disallow: /*x"), false);
        check(&group("Disallow: /%66unctions/v1/"), true);
        check(&group("Disallow: /functions%2Fv1/"), false);
        check(&group("Disallow: functions"), false);
    }

    #[test]
    fn an_answer_that_is_no_file_is_read_as_rfc_9309_says() {
        use crate::check::Verdict;
        use machine::http::Silence;

        use crate::answer::answer;
        for (robots, expected) in [
            (Ok(answer(200, "User-agent: APIs-Google\nDisallow: /")), Verdict::Wrong),
            (Ok(answer(200, "<html>")), Verdict::Ok),
            (Ok(answer(404, "")), Verdict::Ok),
            (Ok(answer(401, "")), Verdict::Ok),
            (Ok(answer(503, "")), Verdict::Wrong),
            (Err(Silence::TimedOut), Verdict::Unknown),
        ] {
            assert_eq!(judge("https://x/robots.txt", PATH, &robots).verdict, expected);
        }
    }
}
