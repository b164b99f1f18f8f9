//! Completion of words on the command line: names that the daemon knows, and values of options.
//!
//! The shell runs this program with [`VARIABLE`] set; clap's engine finds the word to complete and calls one
//! of these functions. They ask the daemon that the command line names, for [`COMPLETE_TIMEOUT`] at most;
//! without an answer there are no candidates, and never the files of the directory.

mod lists;
mod names;
mod programs;
mod shell;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap_complete::engine::{
    ArgValueCandidates, CompletionCandidate, PathCompleter, ValueCompleter,
};
use vswitch::engine::{Engine, ListedContainer};
use vswitch_client::ClientError;

use crate::client::Client;
use crate::limits::COMPLETE_TIMEOUT;
use crate::{engine, global};
pub(crate) use lists::{columns, filters, forms};
pub(crate) use names::{attachments, dns_names, macs, networks, peers, ports, publications};
pub(crate) use programs::programs;
pub(crate) use shell::{Shell, script, serve};

/// Variable that makes this program complete a command line.
const VARIABLE: &str = "VSWITCH_COMPLETE";

/// Where `ip netns` keeps names.
const NETNS_NAMES: &str = "/run/netns";

/// Kinds of `run --network`, beside the networks of the switch.
const NETWORK_KINDS: [&str; 2] = ["host", "none"];

/// Candidates for an option with these words.
pub(crate) fn words(words: &'static [&'static str]) -> ArgValueCandidates {
    ArgValueCandidates::new(move || words.iter().copied().map(CompletionCandidate::new).collect())
}

/// Values of `run --network`.
pub(crate) fn network_modes(current: &OsStr) -> Vec<CompletionCandidate> {
    const CONTAINER: &str = "container:";
    const NETWORK: &str = "name=";
    let text = current.to_string_lossy();
    if let Some(rest) = text.strip_prefix(CONTAINER) {
        let names = attachments(OsStr::new(rest)).into_iter();
        return names.map(|name| name.add_prefix(CONTAINER)).collect();
    }
    if let Some(rest) = text.strip_prefix(NETWORK) {
        let names = networks(OsStr::new(rest)).into_iter();
        return names.map(|name| name.add_prefix(NETWORK)).collect();
    }
    let kinds = NETWORK_KINDS.into_iter().chain([CONTAINER]).map(CompletionCandidate::new);
    networks(current).into_iter().chain(starting(current, kinds)).collect()
}

/// Values of `--netns`: names of `ip netns`; files only where a path was begun.
pub(crate) fn namespaces(current: &OsStr) -> Vec<CompletionCandidate> {
    if current.to_string_lossy().contains('/') {
        return PathCompleter::any().complete(current);
    }
    let names = std::fs::read_dir(NETNS_NAMES).into_iter().flatten().flatten();
    let mut names: Vec<OsString> = names.map(|entry| entry.file_name()).collect();
    names.sort();
    starting(current, names.into_iter().map(CompletionCandidate::new))
}

/// Names of the containers that run in the engine of the command line or the environment.
pub(crate) fn containers(current: &OsStr) -> Vec<CompletionCandidate> {
    let words: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let named = value_of(&words, "--engine").map(|text| engine::socket(&text).ok());
    let socket = named.unwrap_or_else(|| engine::of_environment().ok());
    let listed = socket
        .and_then(|socket| ask(async |_| Ok(Engine::new(&socket).running().await.ok())).flatten());
    let name = |one: &ListedContainer| Some(CompletionCandidate::new(one.name()?.to_owned()));
    starting(current, listed.unwrap_or_default().iter().filter_map(name))
}

/// Candidates that begin like the word so far.
fn starting(
    current: &OsStr,
    candidates: impl IntoIterator<Item = CompletionCandidate>,
) -> Vec<CompletionCandidate> {
    let begins = |candidate: &CompletionCandidate| {
        let value = candidate.get_value().as_encoded_bytes();
        value.starts_with(current.as_encoded_bytes())
    };
    candidates.into_iter().filter(begins).collect()
}

/// The daemon's answer, if it comes in time.
fn ask<T>(request: impl AsyncFnOnce(&Client) -> Result<T, ClientError>) -> Option<T> {
    let client = Client::new(&socket(std::env::args_os())).ok()?;
    let answer = async { tokio::time::timeout(COMPLETE_TIMEOUT, request(&client)).await };
    client.wait(answer).ok()?.ok()
}

/// The socket that the command line names.
fn socket(words: impl Iterator<Item = OsString>) -> PathBuf {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    value_of(&words, "--socket").map_or_else(global::default_socket, PathBuf::from)
}

/// The value of an option of a command line, apart or joined.
fn value_of(words: &[String], option: &str) -> Option<String> {
    let apart = words.windows(2).rev().find(|pair| pair[0] == option).map(|pair| &*pair[1]);
    let joined =
        || words.iter().rev().find_map(|word| word.strip_prefix(option)?.strip_prefix('='));
    apart.or_else(joined).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(candidates: Vec<CompletionCandidate>) -> Vec<String> {
        let value = |one: &CompletionCandidate| one.get_value().to_string_lossy().into_owned();
        candidates.iter().map(value).collect()
    }

    #[test]
    fn forms_and_keys_complete_without_a_daemon() {
        assert_eq!(values(forms(OsStr::new(""))), lists::FORMS);
        assert_eq!(values(filters(OsStr::new("n"))), ["name=", "network="]);
        assert_eq!(values(columns(OsStr::new("-d"))), ["-drops"]);
    }

    #[test]
    fn the_socket_is_that_of_the_command_line() {
        let socket = |words: &[&str]| socket(words.iter().map(OsString::from));
        assert_eq!(socket(&["vswitch", "--socket", "/a", "ls"]), PathBuf::from("/a"));
        assert_eq!(socket(&["vswitch", "ls", "--socket=/b"]), PathBuf::from("/b"));
    }

    #[test]
    fn a_path_is_completed_only_where_one_was_begun() {
        let paths = values(namespaces(OsStr::new("/proc/self/ns/ne")));
        assert_eq!(paths, ["/proc/self/ns/net"]);
        assert!(!values(namespaces(OsStr::new(""))).iter().any(|name| name == "Cargo.toml"));
    }
}
