//! Whether Google can reach the address that channels are opened with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use adapters::address::is_private_name;
use url::{Host, Url};

use crate::check::{Check, Id, count};
use crate::functions::{Probe, headers_removed, in_front};
use crate::home::{Home, is_loopback};
use crate::variables::shown;

/// What was seen of the callback.
pub struct Callback<'a> {
    pub url: &'a str,
    pub project_url: &'a str,
    /// Whether it is the project's own address of the function.
    pub by_default: bool,
    /// What its name resolves to; empty where that was not asked or not answered.
    pub addresses: &'a [IpAddr],
    pub probe: &'a Probe,
    /// Live connections whose renewal failed with `webhook_url_rejected`.
    pub rejected: u64,
}

pub fn judge(seen: &Callback<'_>) -> Check {
    let id = Id::CallbackUrl;
    let url = shown(seen.url);
    let set = format!(
        "set CALENDAR_WEBHOOK_URL to the public HTTPS address of google-calendar-webhook, or remove it, for the project's own: \
         {}; then renew the channels with scripts/doctor --fix",
        Home::of(seen.project_url).set_variables()
    );
    let local = is_loopback(seen.project_url) && is_loopback(seen.url);
    if !local {
        if let Some(what) = not_public(seen.url, seen.addresses) {
            return Check::wrong(
                id,
                "not_public",
                format!("Google cannot reach {url}: {what}"),
                format!("for development open a tunnel (cloudflared, ngrok); {set}"),
            );
        }
        if !seen.url.starts_with("https://") {
            return Check::wrong(id, "not_https", format!("{url} is not HTTPS, which Google demands"), set);
        }
    }
    if seen.rejected > 0 {
        return Check::wrong(
            id,
            "webhook_url_rejected",
            format!(
                "Google refuses the address that the functions give it, for {}",
                count(seen.rejected, "connection")
            ),
            format!("the deployed CALENDAR_WEBHOOK_URL may differ from the one here ({url}): {set}"),
        );
    }
    match seen.probe {
        Probe::Ours if local => Check::ok(
            id,
            format!(
                "{url} answers; it is accepted because the project is on this machine too, Google could not reach it"
            ),
        ),
        Probe::Ours => {
            Check::ok(id, format!("{url} is public, HTTPS, and answers as google-calendar-webhook"))
        }
        _ if seen.by_default => Check::after(id, Id::GoogleCalendarWebhook),
        Probe::Silent(silence) => {
            Check::wrong(id, silence.code(), format!("{url} cannot be reached: {}", silence.text()), set)
        }
        Probe::JwtWanted => Check::wrong(
            id,
            "gateway_401",
            format!("{url} asks for a JWT (HTTP 401), which Google does not have"),
            Home::of(seen.url).let_in(Id::GoogleCalendarWebhook.name()),
        ),
        Probe::Misconfigured(_)
        | Probe::Failing(_)
        | Probe::DoesNotStart(_)
        | Probe::KeyUnknown
        | Probe::DatabaseRefused
        | Probe::DatabaseSilent => {
            Check::wrong(id, "failing", format!("{url} fails"), "read the log of what answers there")
        }
        Probe::HeadersRemoved => headers_removed(id, &url),
        Probe::InFront(status) => in_front(id, &url, *status),
        Probe::NotDeployed | Probe::Foreign(_) => Check::wrong(
            id,
            "wrong_host",
            format!("what answers at {url} is not google-calendar-webhook"),
            set,
        ),
    }
}

/// Why an address is none that Google could reach.
fn not_public(url: &str, addresses: &[IpAddr]) -> Option<&'static str> {
    let url = Url::parse(url).ok()?;
    let private = "it is an address of a private network";
    match url.host()? {
        Host::Ipv4(address) => (!is_public(IpAddr::V4(address))).then_some(private),
        Host::Ipv6(address) => (!is_public(IpAddr::V6(address))).then_some(private),
        Host::Domain(name) => {
            if is_private_name(name) {
                return Some("its name is known on a local network only");
            }
            let resolved = !addresses.is_empty() && !addresses.iter().copied().any(is_public);
            resolved.then_some("its name leads to an address of a private network")
        }
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or_else(|| is_public_v6(address), is_public_v4),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    // 100.64.0.0/10 is shared by the customers of a carrier (RFC 6598).
    let shared = a == 100 && (64..128).contains(&b);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || shared)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    !(address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || address.is_multicast())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;
    use machine::http::Silence;

    const PROJECT: &str = "https://abc.supabase.co";
    const DEFAULT: &str = "https://abc.supabase.co/functions/v1/google-calendar-webhook";

    fn seen<'a>(url: &'a str, probe: &'a Probe) -> Callback<'a> {
        Callback { url, project_url: PROJECT, by_default: url == DEFAULT, addresses: &[], probe, rejected: 0 }
    }

    fn code(seen: &Callback<'_>) -> String {
        let check = judge(seen);
        check.code.unwrap_or_else(|| check.verdict.name().to_owned())
    }

    #[test]
    fn an_address_must_be_public_and_https() {
        for (url, expected) in [
            (DEFAULT, "ok"),
            ("https://hooks.example.com/google", "ok"),
            ("http://hooks.example.com/google", "not_https"),
            ("https://localhost/x", "not_public"),
            ("https://127.0.0.1/x", "not_public"),
            ("http://127.0.0.1:54321/x", "not_public"),
            ("https://10.1.2.3/x", "not_public"),
            ("https://192.168.0.10/x", "not_public"),
            ("https://172.16.0.1/x", "not_public"),
            ("https://100.64.0.1/x", "not_public"),
            ("https://169.254.1.1/x", "not_public"),
            ("https://[fd00::1]/x", "not_public"),
            ("https://[::ffff:10.0.0.1]/x", "not_public"),
            ("https://8.8.8.8/x", "ok"),
            ("http://kong:8000/x", "not_public"),
            ("https://laptop.local/x", "not_public"),
        ] {
            assert_eq!(code(&seen(url, &Probe::Ours)), expected, "{url}");
        }
        let private = ["10.0.0.1".parse().unwrap()];
        assert_eq!(code(&Callback { addresses: &private, ..seen(DEFAULT, &Probe::Ours) }), "not_public");
        let both = ["10.0.0.1".parse().unwrap(), "8.8.8.8".parse().unwrap()];
        assert_eq!(code(&Callback { addresses: &both, ..seen(DEFAULT, &Probe::Ours) }), "ok");
    }

    #[test]
    fn loopback_is_accepted_only_when_the_project_is_there_too_and_that_is_said() {
        let url = "http://127.0.0.1:54321/functions/v1/google-calendar-webhook";
        let local = Callback { project_url: "http://localhost:54321", ..seen(url, &Probe::Ours) };
        let check = judge(&local);
        assert_eq!(check.verdict, Verdict::Ok);
        assert!(check.line.contains("because the project is on this machine too"), "{check:?}");
    }

    #[test]
    fn what_answers_must_be_ours() {
        let elsewhere = "https://hooks.example.com/google";
        for (probe, expected) in [
            (Probe::Foreign(404), "wrong_host"),
            (Probe::NotDeployed, "wrong_host"),
            (Probe::InFront(403), "page_in_front"),
            (Probe::HeadersRemoved, "headers_removed"),
            (Probe::Silent(Silence::NoSuchHost), "no_such_host"),
            (Probe::JwtWanted, "gateway_401"),
            (Probe::Failing(500), "failing"),
        ] {
            assert_eq!(code(&seen(elsewhere, &probe)), expected);
            // The check of the function itself has said so.
            assert_eq!(code(&seen(DEFAULT, &probe)), "unknown");
        }
    }

    #[test]
    fn an_address_that_google_refuses_is_wrong_however_it_answers() {
        assert_eq!(code(&Callback { rejected: 1, ..seen(DEFAULT, &Probe::Ours) }), "webhook_url_rejected");
    }
}
