//! Many containers by Compose, up and down.

use std::fmt::Write as _;
use std::time::Duration;

use testkit::{Docker, HOST4, READY_MAX, Snapshot, run};

use super::{answers, host_with_docker, inside};

/// Containers in `make test`; `make soak` says another number by the variable.
const CONTAINERS: usize = 12;
const SOAK: &str = "SOAK_CONTAINERS";

/// How long Compose may take for each container, on a busy machine.
const TIME_PER_CONTAINER: Duration = Duration::from_secs(5);

/// Services with a published port each, on a network of their own beside a common one.
fn compose_file(containers: usize) -> String {
    let mut text = "version: '3.8'\nservices:\n".to_owned();
    for n in 1..=containers {
        let image = Docker::IMAGE;
        let serve = format!("echo hello >/tmp/index.html; httpd -f -p 80 -h /tmp # {n}");
        let port = 10_000 + n;
        writeln!(
            text,
            "  s{n}:\n    image: {image}\n    command: [sh, -c, '{serve}']\n    init: true\n    \
             ports: ['{port}:80']\n    networks: [common, apart]"
        )
        .expect("text");
    }
    text + "networks:\n  common:\n    driver: vswitch\n    driver_opts: {name: common}\n  apart:\n    \
            driver: vswitch\n    internal: true\n"
}

#[track_caller]
fn up_and_down(containers: usize) {
    let (host, docker) = host_with_docker(&["--bridge=none"]);
    host.lan().run_lines(&["ip addr add 192.0.2.254/24 dev nic1"]);
    let file = docker.path("docker-compose.yml");
    std::fs::write(&file, compose_file(containers)).expect("write a file");
    let limit = TIME_PER_CONTAINER * u32::try_from(containers).expect("a number");
    let compose = |args: &[&str]| {
        let file = file.display().to_string();
        let mut command =
            docker.client("docker-compose", &[&["-p", "many", "-f", &file], args].concat());
        // Of each container, Compose waits for the daemon's answer.
        command.env("COMPOSE_HTTP_TIMEOUT", "200").env("COMPOSE_PARALLEL_LIMIT", "16");
        run(&mut command, b"", limit).ok()
    };
    let before = Snapshot::take(host.netns());
    compose(&["up", "-d"]);
    assert_eq!(host.ls().len(), 2 * containers);
    let last = u16::try_from(10_000 + containers).expect("a port");
    for port in [10_001, last] {
        assert!(answers(host.lan().command(&[]), HOST4, port), "port {port}");
    }
    let name = format!("many_s{containers}_1");
    docker.ok(&["exec", &name, "nslookup", "s1"]);
    let links = inside(&docker, &name, &["ip", "-br", "link"]);
    assert!(links.contains("eth0") && links.contains("eth1"), "{links}");
    compose(&["down", "-t", "1"]);
    assert_eq!(host.ls().len(), 0);
    assert_eq!(host.json(&["publish", "ls"]).as_array().map(Vec::len), Some(0));
    before.assert_same(&Snapshot::take(host.netns()));
    assert!(
        run(&mut docker.client("/usr/bin/docker", &["ps", "-aq"]), b"", READY_MAX).ok().is_empty()
    );
}

#[test]
fn containers_come_and_go() {
    let more = std::env::var(SOAK).ok().map(|text| text.parse().expect("a number of containers"));
    up_and_down(more.unwrap_or(CONTAINERS));
}
