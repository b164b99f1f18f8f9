//! Many containers by Compose, up and down.

use std::time::Duration;

use testkit::{HOST4, READY_MAX, Snapshot, run};
use vswitch_api::publish::PortSpec;

use super::{answers, host_with_docker, inside};

/// Containers in `make test`; `make soak` says another number by the variable.
const CONTAINERS: usize = 12;
const SOAK: &str = "SOAK_CONTAINERS";

/// How long Compose may take for each container, on a busy machine.
const TIME_PER_CONTAINER: Duration = Duration::from_secs(5);

/// One service, for any number of containers: Compose 1.29 waits for itself where there are many services. The host's
/// ports are left to choose.
const FILE: &str = "\
version: '3.8'
services:
  web:
    image: bb
    command: [sh, -c, 'echo hello >/tmp/index.html; httpd -f -p 80 -h /tmp']
    init: true
    ports: ['80']
    networks: [common, apart]
networks:
  common:
    driver: vswitch
    driver_opts: {name: common}
  apart:
    driver: vswitch
    internal: true
";

#[track_caller]
fn up_and_down(containers: usize) {
    let (host, docker) = host_with_docker(&["--bridge=none"]);
    host.lan().run_lines(&["ip addr add 192.0.2.254/24 dev nic1"]);
    let file = docker.path("docker-compose.yml");
    std::fs::write(&file, FILE).expect("write a file");
    let limit = TIME_PER_CONTAINER * u32::try_from(containers).expect("a number");
    let compose = |args: &[&str]| {
        let file = file.display().to_string();
        let mut command =
            docker.client("docker-compose", &[&["-p", "many", "-f", &file], args].concat());
        // The service is one of the two: its containers come one by one. Of sixteen at once Docker 20.10 has said, after
        // the end of all endpoints, that the network has active ones; the cause is not known.
        command.env("COMPOSE_HTTP_TIMEOUT", "200").env("COMPOSE_PARALLEL_LIMIT", "2");
        run(&mut command, b"", limit)
    };
    let before = Snapshot::take(host.netns());
    compose(&["up", "-d", "--scale", &format!("web={containers}")]).ok();
    assert_eq!(host.ls().len(), 2 * containers);
    let published = host.json(&["publish", "ls"]);
    let published = published.as_array().expect("an array");
    assert_eq!(published.len(), containers);
    for row in published {
        let ports: PortSpec = row["ports"].as_str().expect("ports").parse().expect("ports");
        let port = ports.host().expect("a port of the host").first();
        assert!(answers(host.lan().command(&[]), HOST4, port), "port {port}");
    }
    let name = format!("many_web_{containers}");
    docker.ok(&["exec", &name, "nslookup", "web"]);
    let links = inside(&docker, &name, &["ip", "-br", "link"]);
    assert!(links.contains("eth0") && links.contains("eth1"), "{links}");
    compose(&["down", "-t", "1"]).ok();
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
