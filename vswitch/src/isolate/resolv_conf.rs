//! The text of a sandbox's `/etc/resolv.conf` (resolv.conf(5)).

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

/// Real servers of systemd-resolved; its stub listens on the host's loopback, which no container
/// reaches.
const SYSTEMD_UPSTREAMS: &str = "/run/systemd/resolve/resolv.conf";

/// Settings of the resolver that replace those of the default text; an empty list replaces nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsSettings {
    /// Name servers.
    pub servers: Vec<IpAddr>,
    /// The search list; `.` alone means none.
    pub search: Vec<String>,
    /// Options, such as `ndots:1`.
    pub options: Vec<String>,
}

/// The host's resolver configuration; that of systemd-resolved where the file names only its stub; empty if
/// there is none.
#[must_use]
pub fn host_resolv_conf() -> String {
    let read = |path: &str| {
        let bytes = fs::read(Path::new(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    let own = read("/etc/resolv.conf").unwrap_or_default();
    if names_only_loopback(&own) {
        return read(SYSTEMD_UPSTREAMS).unwrap_or(own);
    }
    own
}

/// The default text with these settings in place of its own.
#[must_use]
pub fn resolv_conf(default: &str, settings: &DnsSettings) -> String {
    let DnsSettings { servers, search, options } = settings;
    let is_replaced = |line: &&str| match line.split_whitespace().next() {
        Some("nameserver") => !servers.is_empty(),
        Some("search" | "domain") => !search.is_empty(),
        Some("options") => !options.is_empty(),
        _ => false,
    };
    let kept = default.lines().filter(|line| !is_replaced(line));
    let mut text: String = kept.map(|line| format!("{line}\n")).collect();
    // Writing to a String cannot fail.
    for server in servers {
        let _ = writeln!(text, "nameserver {server}");
    }
    if !search.is_empty() && *search != ["."] {
        let _ = writeln!(text, "search {}", search.join(" "));
    }
    if !options.is_empty() {
        let _ = writeln!(text, "options {}", options.join(" "));
    }
    text
}

/// Whether all name servers, at least one, are on the host's loopback.
fn names_only_loopback(resolv_conf: &str) -> bool {
    let mut servers = resolv_conf
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|rest| rest.trim().parse::<IpAddr>().ok())
        .peekable();
    servers.peek().is_some() && servers.all(|server| server.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_on_loopback_is_recognised() {
        for (text, only) in [
            ("nameserver 127.0.0.53\noptions edns0\n", true),
            ("nameserver 127.0.0.53\nnameserver ::1", true),
            ("nameserver 127.0.0.53\nnameserver 192.0.2.1", false),
            ("nameserver 192.0.2.1", false),
            ("# nameserver 127.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(names_only_loopback(text), only, "{text:?}");
        }
    }

    #[test]
    fn settings_replace_their_own_kind_only() {
        let default = "# host\nnameserver 192.0.2.1\nsearch example.org\noptions edns0\n";
        assert_eq!(resolv_conf(default, &DnsSettings::default()), default);
        let servers = vec!["192.0.2.9".parse().unwrap(), "2001:db8::9".parse().unwrap()];
        let settings = DnsSettings { servers, ..DnsSettings::default() };
        assert_eq!(
            resolv_conf(default, &settings),
            "# host\nsearch example.org\noptions edns0\nnameserver 192.0.2.9\nnameserver 2001:db8::9\n"
        );
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let settings = DnsSettings {
            search: words(&["a.test", "b.test"]),
            options: words(&["ndots:1", "rotate"]),
            ..DnsSettings::default()
        };
        assert_eq!(
            resolv_conf(default, &settings),
            "# host\nnameserver 192.0.2.1\nsearch a.test b.test\noptions ndots:1 rotate\n"
        );
        let settings = DnsSettings { search: words(&["."]), ..DnsSettings::default() };
        assert!(!resolv_conf(default, &settings).contains("search"));
    }
}
