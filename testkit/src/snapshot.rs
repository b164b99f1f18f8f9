//! The state of a namespace, to show that a command left no trace.

use std::collections::BTreeSet;

use crate::Netns;

/// Links, addresses, routes, rules, sysctls and nftables rules of a namespace, line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    lines: BTreeSet<String>,
}

/// Commands that show the state, and the title of their lines.
const VIEWS: [(&str, &[&str]); 8] = [
    ("link", &["ip", "-o", "-d", "link"]),
    ("address", &["ip", "-o", "address"]),
    ("route", &["ip", "-4", "route", "show", "table", "all"]),
    ("route6", &["ip", "-6", "route", "show", "table", "all"]),
    ("rule", &["ip", "-4", "rule"]),
    ("rule6", &["ip", "-6", "rule"]),
    ("nft", &["nft", "list", "ruleset"]),
    // Some of the files are write-only, so grep cannot succeed with all.
    ("sysctl", &["sh", "-c", "grep -rs . /proc/sys/net || true"]),
];

/// Counters among the sysctls: they change by themselves.
const VOLATILE: [&str; 2] = ["nf_conntrack_count", "/route/flush"];

/// A ruleset without the elements of this set: a switch claims and returns ports as it needs them.
fn without_elements(ruleset: &str) -> String {
    const SET: &str = "set snat-ports {";
    let (mut kept, mut is_in_set) = (String::new(), false);
    for line in ruleset.lines() {
        is_in_set |= line.trim_start().starts_with(SET);
        let is_end = is_in_set && line.trim() == "}";
        let is_element = is_in_set && (line.contains("elements =") || line.contains(" . "));
        if !is_element || line.contains("type ") {
            kept.push_str(line);
            kept.push('\n');
        }
        is_in_set &= !is_end;
    }
    kept
}

impl Snapshot {
    /// Reads the state now.
    #[track_caller]
    pub fn take(netns: &Netns) -> Self {
        let mut lines = BTreeSet::new();
        for (title, command) in VIEWS {
            let text = netns.ok(command);
            let text = without_elements(&text);
            let kept = text.lines().filter(|line| !VOLATILE.iter().any(|v| line.contains(v)));
            lines.extend(kept.map(|line| format!("{title}: {line}")));
        }
        assert!(lines.len() > 100, "too little for a namespace: {lines:?}");
        Self { lines }
    }

    /// Panics with the difference unless `after` is the same.
    #[track_caller]
    pub fn assert_same(&self, after: &Self) {
        let (gone, new) = (self.added(after), after.added(self));
        assert!(gone.is_empty() && new.is_empty(), "gone: {gone:#?}\nnew: {new:#?}");
    }

    /// Lines that are not in `before`.
    pub fn added<'a>(&'a self, before: &'a Self) -> Vec<&'a str> {
        self.lines.difference(&before.lines).map(String::as_str).collect()
    }

    /// Lines that contain `text`.
    pub fn with(&self, text: &str) -> Vec<&str> {
        self.lines.iter().map(String::as_str).filter(|line| line.contains(text)).collect()
    }
}
