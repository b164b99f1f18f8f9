//! The container engine of `--container`: its socket on this host.

use std::path::{Path, PathBuf};

use vswitch_api::container::{DOCKER_SOCKET, PODMAN_SOCKET};

use crate::error::{Failure, Outcome};
use crate::value;

/// Docker's variable for the engine to ask.
const DOCKER_HOST: &str = "DOCKER_HOST";

/// The socket of `--engine`, or of `DOCKER_HOST`: a path, or `unix://PATH`.
pub(crate) fn socket(text: &str) -> Result<PathBuf, String> {
    let path = match text.split_once("://") {
        Some(("unix", path)) => path,
        Some(_) => {
            return Err(
                "the containers must be on this host: a path or unix://PATH is needed".into()
            );
        }
        None => text,
    };
    if path.is_empty() { Err("the path of a socket is needed".into()) } else { value::path(path) }
}

/// The engine that Docker's client would ask; without Docker podman's.
pub(crate) fn of_environment() -> Outcome<PathBuf> {
    choose(std::env::var(DOCKER_HOST).ok(), Path::exists)
}

fn choose(variable: Option<String>, exists: impl Fn(&Path) -> bool) -> Outcome<PathBuf> {
    if let Some(text) = variable.filter(|text| !text.is_empty()) {
        return socket(&text).map_err(|error| {
            Failure::usage(format!("{DOCKER_HOST} is {text}: {error}"))
                .with_hint("name the engine on this host with --engine, or unset the variable")
        });
    }
    let [docker, podman] = [DOCKER_SOCKET, PODMAN_SOCKET].map(Path::new);
    let is_podman = !exists(docker) && exists(podman);
    Ok(if is_podman { podman } else { docker }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_a_path_of_this_host() {
        assert_eq!(socket("/run/a.sock"), Ok("/run/a.sock".into()));
        assert_eq!(socket("unix:///run/a.sock"), Ok("/run/a.sock".into()));
        for (text, named) in [
            ("tcp://192.0.2.1:2375", "on this host"),
            ("ssh://root@h", "on this host"),
            ("unix://", "path of a socket"),
            ("", "path of a socket"),
        ] {
            assert!(socket(text).unwrap_err().contains(named), "{text}");
        }
    }

    #[test]
    fn the_variable_comes_before_docker_and_docker_before_podman() {
        let chosen = |variable: Option<&str>, present: &[&str]| {
            let exists = |path: &Path| present.iter().any(|one| path == Path::new(one));
            choose(variable.map(str::to_owned), exists).map_err(|failure| failure.to_string())
        };
        let both = [DOCKER_SOCKET, PODMAN_SOCKET];
        assert_eq!(chosen(Some("unix:///a"), &both), Ok("/a".into()));
        assert_eq!(chosen(Some(""), &both), Ok(DOCKER_SOCKET.into()));
        assert_eq!(chosen(None, &both), Ok(DOCKER_SOCKET.into()));
        assert_eq!(chosen(None, &[PODMAN_SOCKET]), Ok(PODMAN_SOCKET.into()));
        assert_eq!(chosen(None, &[]), Ok(DOCKER_SOCKET.into()));
        assert!(
            chosen(Some("tcp://h:2375"), &both).unwrap_err().contains("DOCKER_HOST is tcp://h")
        );
    }
}
