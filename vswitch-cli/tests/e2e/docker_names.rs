//! Names of Docker's containers on networks of the plugin: Docker's API tells what the driver is not told.

use std::collections::BTreeSet;
use std::time::Duration;

use testkit::{COMMAND_TIMEOUT, Docker, Process, READY_MAX, wait_for};
use vswitch_api::port::Port;

use crate::harness::Host;

fn up(host: &mut Host, docker: &Docker) {
    let api = docker.path("sock").display().to_string();
    host.up_inside(docker, &["--docker-plugin", "--docker-api", &api]);
}

fn run(docker: &Docker, name: &str, options: &[&str]) {
    let run = [&["run", "-d", "--stop-signal", "KILL", "--name", name][..], options];
    docker.ok(&[&run.concat()[..], &[Docker::IMAGE, "sleep", "9999"]].concat());
}

#[track_caller]
fn wait_for_names(host: &Host, names: &[&str]) -> Vec<Port> {
    let wanted: BTreeSet<&str> = names.iter().copied().collect();
    wait_for(&format!("the names {names:?}"), READY_MAX, || {
        let ports = host.ls();
        wanted == ports.iter().map(|port| port.name.as_str()).collect()
    });
    host.ls()
}

#[test]
fn names_aliases_and_labels_are_dockers() {
    let mut host = Host::new();
    let docker = Docker::start(host.netns());
    docker.bring_image();
    up(&mut host, &docker);
    for network in ["blue", "green"] {
        docker.ok(&["network", "create", "-d", "vswitch", network]);
    }
    run(&docker, "web", &["--network", "blue", "--network-alias", "shop", "--label", "app=x"]);
    run(&docker, "db", &["--network", "blue", "-p", "5432:5432"]);
    docker.ok(&["network", "connect", "green", "web"]);
    let ports = wait_for_names(&host, &["web", "db"]);
    wait_for("labels and aliases", READY_MAX, || {
        let web = host.ls().into_iter().filter(|port| port.name == "web");
        web.filter(|port| port.labels.contains_key("app")).count() == 2
    });
    let web: Vec<_> = host.ls().into_iter().filter(|port| port.name == "web").collect();
    assert!(web.iter().any(|port| port.aliases.iter().any(|alias| alias == "shop")), "{web:?}");
    let id = docker.ok(&["inspect", "--format", "{{.Id}}", "web"]);
    assert!(web.iter().all(|port| port.labels["docker.container-id"] == id));
    let networks = host.json(&["network", "ls"]);
    let labels = networks.as_array().expect("networks").iter().map(|it| &it["labels"]);
    let names: BTreeSet<_> = labels.filter_map(|it| it["docker.network-name"].as_str()).collect();
    assert_eq!(names, ["blue", "green"].into());

    // They resolve for a container that another way has put on the network.
    let blue = &ports.iter().find(|port| port.name == "db").expect("db").network;
    let other = host.namespace("other");
    host.ok(&["attach", "--netns", other.name(), "--name", "cache", "--network", blue]);
    for (name, port) in [("web", "web"), ("shop", "web"), ("db", "db")] {
        let answer = host.ok(&["dns", "query", name, "--as", "cache", "--type", "A"]);
        let port = ports.iter().find(|it| it.name == port && it.network == *blue).expect(port);
        assert!(answer.contains(&port.ipv4[0].to_string()), "{name}: {answer}");
    }
    // The first one to have a name keeps it.
    run(&docker, "cache", &["--network", "blue"]);
    wait_for("it is said", READY_MAX, || host.log().contains("it keeps a name of its own"));
    assert_eq!(host.inspect("cache").port.netns, other.name());
    docker.ok(&["rm", "-f", "cache"]);
    host.ok(&["detach", "cache"]);
    race_for_a_name(&host, &docker, other.name(), blue);

    // Over restarts of the container and of the switch, and until the end.
    docker.ok(&["restart", "-t", "0", "web"]);
    wait_for_names(&host, &["web", "db"]);
    host.kill();
    up(&mut host, &docker);
    let ports = wait_for_names(&host, &["web", "db"]);
    let db = ports.iter().find(|port| port.name == "db").expect("db");
    assert_eq!(db.publish.iter().map(ToString::to_string).collect::<Vec<_>>(), ["5432:5432/tcp"]);
    // A new name, on both of its networks.
    docker.ok(&["rename", "web", "front"]);
    wait_for_names(&host, &["front", "db"]);
    docker.ok(&["rm", "-f", "front", "db"]);
    wait_for("all are gone", READY_MAX, || host.ls().is_empty());
}

/// Docker and another client want a name at once: both have their container, and one of them the name.
#[track_caller]
fn race_for_a_name(host: &Host, docker: &Docker, netns: &str, network: &str) {
    for delay in [0, 100, 200, 300] {
        let run = ["run", "-d", "--name", "cache", "--network", "blue", Docker::IMAGE];
        let run = [&run[..], &["sleep", "9999"]].concat();
        let racing = Process::spawn(&mut docker.client("/usr/bin/docker", &run));
        std::thread::sleep(Duration::from_millis(delay));
        let attach = ["attach", "--netns", netns, "--name", "cache", "--network", network];
        let attached = host.vswitch(&attach);
        racing.finish(COMMAND_TIMEOUT).ok();
        let taken = "already an attachment named cache";
        assert!(attached.status.success() || attached.stderr.contains(taken), "{attached}");
        let id = docker.ok(&["inspect", "--format", "{{.Id}}", "cache"]);
        wait_for("labels of Docker's", READY_MAX, || {
            host.ls().iter().any(|port| port.labels.get("docker.container-id") == Some(&id))
        });
        let cache = host.inspect("cache").port;
        assert_eq!(cache.netns == netns, attached.status.success(), "{cache:?}");
        assert_eq!(cache.labels.contains_key("docker.container-id"), !attached.status.success());
        docker.ok(&["rm", "-f", "cache"]);
        if attached.status.success() {
            host.ok(&["detach", "cache"]);
        }
    }
}
