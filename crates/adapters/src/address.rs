//! What is an address of a service, and where it may be http: where nothing leaves a private network.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Ends of names that no public name server knows (RFC 6761, 6762, 8375, and ICANN's `internal`).
const PRIVATE_ENDS: [&str; 5] = ["localhost", "local", "internal", "test", "home.arpa"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    NotAnAddress,
    /// http by a public network, where keys could be read on their way.
    PlainHttp,
}

impl Problem {
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotAnAddress => "is not an http or https URL without user, query and fragment",
            Self::PlainHttp => "is http, by which keys could be read on their way: use https",
        }
    }
}

/// Checks an http or https URL without user, query and fragment. By the same rule
/// `schedule_calendar_webhook_refresh` takes the project's address.
pub fn check(url: &str) -> Result<(), Problem> {
    let (scheme, rest) = url.split_once("://").ok_or(Problem::NotAnAddress)?;
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let host = parse_host(host).ok_or(Problem::NotAnAddress)?;
    let is_port = |port: &str| !port.starts_with('+') && port.parse::<u16>().is_ok();
    if !port.is_none_or(is_port) || rest.contains(['?', '#', '\\']) {
        return Err(Problem::NotAnAddress);
    }
    match scheme.to_ascii_lowercase().as_str() {
        "https" => Ok(()),
        "http" if host.is_private() => Ok(()),
        "http" => Err(Problem::PlainHttp),
        _ => Err(Problem::NotAnAddress),
    }
}

/// Whether a name leads nowhere beyond a private network: `kong`, `host.docker.internal`.
pub fn is_private_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let has_end = |end: &&str| name.strip_suffix(*end).is_some_and(|name| name.ends_with('.'));
    !name.contains('.') || PRIVATE_ENDS.iter().any(has_end)
}

enum Host<'a> {
    Name(&'a str),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Host<'_> {
    fn is_private(&self) -> bool {
        match self {
            Self::Name(name) => is_private_name(name),
            Self::V4(address) => address.is_private() || address.is_loopback() || address.is_link_local(),
            Self::V6(address) => {
                address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
            }
        }
    }
}

/// A name, or an address: what ends in a number is one (URL Standard, section 3.5), and is taken in its usual form.
fn parse_host(host: &str) -> Option<Host<'_>> {
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']')?.parse().ok().map(Host::V6);
    }
    let is_in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    match host.trim_end_matches('.').rsplit('.').next() {
        None | Some("") => None,
        Some(end)
            if end.starts_with("0x")
                || end.starts_with("0X")
                || end.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            host.parse().ok().map(Host::V4)
        }
        Some(_) => host.bytes().all(is_in_name).then_some(Host::Name(host)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_leads_anywhere_and_http_through_a_private_network() {
        for url in [
            "HTTPS://ref.supabase.co",
            "https://8.8.8.8",
            "http://kong:8000",
            "http://supabase_kong_my-app:8000",
            "http://api.supabase.internal:8000",
            "http://host.docker.internal:54321",
            "http://HOST.docker.internal.",
            "http://kong.supabase.svc.cluster.local",
            "http://localhost:54321",
            "http://127.0.0.1:54321",
            "http://10.0.0.5",
            "http://172.31.255.1:8000",
            "http://192.168.1.10",
            "http://169.254.1.1",
            "http://[::1]:54321/base",
            "http://[fd00::5]",
            "http://[fe80::1]",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
        for url in [
            "http://ref.supabase.co",
            "http://example.com",
            "http://localhost.example.com",
            "http://notinternal.example",
            "http://8.8.8.8",
            "http://172.32.0.1",
            "http://[2001:db8::1]",
        ] {
            assert_eq!(check(url), Err(Problem::PlainHttp), "{url}");
        }
    }
}
