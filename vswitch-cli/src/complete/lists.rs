//! Keys of `--filter` and columns of each list, for completion. A test compares them with the lists themselves.

use std::ffi::{OsStr, OsString};

use clap_complete::engine::CompletionCandidate;
use vswitch_api::conntrack::{ConnectionProtocol, ConnectionState};
use vswitch_api::port::PortState;

use super::{attachments, networks, starting};

/// A list: the word of its command, its keys, and its columns.
type List = (&'static str, &'static [&'static str], &'static [&'static str]);

const PORTS: List = (
    "ls",
    &["name", "network", "label", "state", "alias", "address", "port"],
    &[
        "name",
        "network",
        "state",
        "ipv4",
        "ipv6",
        "mac",
        "ifname",
        "netns",
        "aliases",
        "labels",
        "rx",
        "tx",
        "drops",
        "published",
    ],
);

/// Forms of `-o`.
pub(super) const FORMS: [&str; 4] = ["json", "name", "wide", "columns="];

/// All lists but that of attachments, whose word `ls` others have below them.
const LISTS: [List; 7] = [
    (
        "fdb",
        &["port", "mac", "network", "vlan", "kind"],
        &["network", "vlan", "mac", "port", "age", "kind"],
    ),
    (
        "conntrack",
        &["container", "name", "network", "protocol", "state", "address", "port"],
        &[
            "network",
            "proto",
            "container",
            "server",
            "original",
            "translated",
            "state",
            "idle",
            "frames",
            "bytes",
        ],
    ),
    (
        "dns",
        &["name", "network", "container", "address"],
        &["name", "network", "addresses", "containers"],
    ),
    (
        "network",
        &["name", "subnet", "scope", "vni", "label", "uplink", "internal", "dangling"],
        &[
            "name",
            "scope",
            "vni",
            "subnets",
            "gateways",
            "peers",
            "mtu",
            "uplinks",
            "device",
            "state",
            "labels",
            "containers",
        ],
    ),
    (
        "peers",
        &["address", "network", "node", "learning"],
        &[
            "peer",
            "node",
            "networks",
            "mtu",
            "learning",
            "rx-frames",
            "rx",
            "tx-frames",
            "tx",
            "drops",
        ],
    ),
    (
        "publish",
        &["name", "network", "port", "protocol", "state"],
        &["name", "network", "ports", "state", "from", "reason"],
    ),
    (
        "stats",
        &["name", "network"],
        &["port", "network", "rx-frames", "rx", "tx-frames", "tx", "drops"],
    ),
];

/// Keys whose values are names, and the names.
type Names = fn(&OsStr) -> Vec<CompletionCandidate>;
const NAMES: [(&str, Names); 3] =
    [("name=", attachments), ("container=", attachments), ("network=", networks)];

/// Keys whose values are words: their list, the key, and the words.
type Words = (&'static str, &'static str, &'static [&'static str]);
const WORDS: [Words; 11] = [
    ("ls", "state", PortState::WORDS),
    ("fdb", "kind", &["learnt", "static"]),
    ("conntrack", "protocol", ConnectionProtocol::WORDS),
    ("conntrack", "state", ConnectionState::WORDS),
    ("network", "scope", &["local", "overlay"]),
    ("network", "internal", &["true", "false"]),
    ("network", "dangling", &["true", "false"]),
    ("network", "uplink", &["none"]),
    ("peers", "learning", &["yes", "no"]),
    ("publish", "protocol", &["tcp", "udp", "sctp"]),
    ("publish", "state", &["open", "pending"]),
];

/// Values of `--filter`: keys, and behind a key its names or words.
pub(crate) fn filters(current: &OsStr) -> Vec<CompletionCandidate> {
    let text = current.to_string_lossy();
    let (list, keys, _) = list(std::env::args_os());
    if let Some((key, rest)) = text.split_once('=') {
        let found = WORDS.iter().find(|(of, word, _)| *of == list && *word == key);
        if let Some((.., words)) = found {
            let words = starting(OsStr::new(rest), words.iter().map(CompletionCandidate::new));
            return words.into_iter().map(|word| word.add_prefix(format!("{key}="))).collect();
        }
    }
    for (key, names) in NAMES {
        if let Some(rest) = text.strip_prefix(key) {
            let names = names(OsStr::new(rest)).into_iter();
            return names.map(|name| name.add_prefix(key)).collect();
        }
    }
    starting(current, keys.iter().map(|key| CompletionCandidate::new(format!("{key}="))))
}

/// Values of `-o`: forms, and behind `columns=` columns, with commas between them.
pub(crate) fn forms(current: &OsStr) -> Vec<CompletionCandidate> {
    let text = current.to_string_lossy();
    let Some(columns) = text.strip_prefix("columns=") else {
        return starting(current, FORMS.into_iter().map(CompletionCandidate::new));
    };
    let last = columns.rsplit(',').next().unwrap_or_default();
    let before = text[..text.len() - last.len()].to_owned();
    let found = self::columns(OsStr::new(last)).into_iter();
    found.map(|column| column.add_prefix(before.as_str())).collect()
}

/// Values of `--sort`: columns, also with a minus before them.
pub(crate) fn columns(current: &OsStr) -> Vec<CompletionCandidate> {
    let minus = if current.to_string_lossy().starts_with('-') { "-" } else { "" };
    let (_, _, columns) = list(std::env::args_os());
    let columns = columns.iter().map(|column| CompletionCandidate::new(format!("{minus}{column}")));
    starting(current, columns)
}

/// The list of a command line.
fn list(words: impl Iterator<Item = OsString>) -> List {
    let words: Vec<OsString> = words.collect();
    let found = LISTS.into_iter().find(|(command, ..)| words.iter().any(|word| word == command));
    found.unwrap_or(PORTS)
}

#[cfg(test)]
mod tests {
    use vswitch_api::conntrack::Connection;
    use vswitch_api::dns::DnsName;
    use vswitch_api::fdb::FdbEntry;
    use vswitch_api::network::Network;
    use vswitch_api::overlay::Peer;
    use vswitch_api::port::Port;
    use vswitch_api::stats::PortStats;

    use super::*;
    use crate::list::Row;

    fn of<T: Row>(words: &str) {
        let (_, keys, columns) = list(words.split(' ').map(OsString::from));
        assert_eq!(keys, T::FILTERS.iter().map(|(key, _)| *key).collect::<Vec<_>>(), "{words}");
        let own: Vec<String> = T::FIELDS.iter().map(crate::list::Field::word).collect();
        assert_eq!(columns, own, "{words}");
    }

    #[test]
    fn keys_and_columns_are_those_of_the_lists() {
        of::<Port>("vswitch ls");
        of::<Port>("vswitch list");
        of::<FdbEntry>("vswitch fdb ls");
        of::<Connection>("vswitch conntrack ls");
        of::<Network>("vswitch network ls");
        of::<Peer>("vswitch peers");
        of::<DnsName>("vswitch dns ls");
        of::<PortStats>("vswitch stats");
        of::<crate::commands::publish::Published>("vswitch publish ls");
    }

    #[test]
    fn keys_with_words_are_keys() {
        for (command, key, words) in WORDS {
            let (_, keys, _) = list([OsString::from(command)].into_iter());
            assert!(keys.contains(&key) && !words.is_empty(), "{command} {key}");
        }
    }

    #[test]
    fn columns_follow_each_other() {
        let values = |text: &str| -> Vec<String> {
            let value = |one: &CompletionCandidate| one.get_value().to_string_lossy().into_owned();
            forms(OsStr::new(text)).iter().map(value).collect()
        };
        assert_eq!(values("w"), ["wide"]);
        assert_eq!(values("columns=mac"), ["columns=mac"]);
        assert_eq!(values("columns=name,ipv"), ["columns=name,ipv4", "columns=name,ipv6"]);
    }
}
