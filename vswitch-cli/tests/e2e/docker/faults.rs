//! Restarts and kills of the switch and of the daemon, under containers that run.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use testkit::{Docker, HOST4, Process, READY_MAX, wait_for};

use super::{address, answers, host_with_docker, inside, serve, start, up};
use crate::harness::Host;

/// Delays between the start of a container and a kill: the attach takes about 200 ms.
const DELAYS_MS: [u64; 9] = [20, 40, 60, 80, 100, 130, 160, 200, 250];

/// How long `docker run` may take while the switch or Docker starts again.
const RUN_MAX: Duration = Duration::from_secs(60);

/// The default route, the addresses, and whether a published port answers.
#[track_caller]
fn works(docker: &Docker, host: &Host) {
    let web = address(docker, "web", "blue", "IPAddress");
    let routes = inside(docker, "web", &["ip", "-4", "route", "show", "default"]);
    assert!(routes.starts_with("default via ") && routes.contains("dev eth0"), "{routes}");
    assert!(answers(docker.in_netns_of("client", &[]), web, 80), "{routes}");
    let web = address(docker, "web", "blue", "GlobalIPv6Address");
    assert!(answers(docker.in_netns_of("client", &[]), web, 80), "by IPv6");
    let routes = inside(docker, "web", &["ip", "-6", "route", "show", "default"]);
    assert!(routes.contains("via fd00:78::1 dev eth0"), "{routes}");
    assert!(answers(host.lan().command(&[]), HOST4, 8080));
}

#[test]
fn containers_outlive_restarts_of_both() {
    let (mut host, mut docker) = host_with_docker(&["--live-restore"]);
    host.lan().run_lines(&["ip addr add 192.0.2.254/24 dev nic1"]);
    let dual = ["--ipv6", "--subnet", "fd00:78::/64", "blue"];
    docker.ok(&[&["network", "create", "-d", "vswitch"][..], &dual].concat());
    start(&docker, "web", &["--network", "blue", "-p", "8080:80"]);
    start(&docker, "client", &["--network", "blue"]);
    serve(&docker, "web", 80);
    // A network that Docker knows nothing of gives no default route, also after a restart.
    host.ok(&["network", "create", "plain"]);
    wait_for("the switch knows the container's name", READY_MAX, || {
        host.vswitch(&["network", "connect", "plain", "web"]).status.success()
    });
    works(&docker, &host);
    disconnected_while_the_switch_is_dead(&mut host, &docker);

    host.kill();
    up(&mut host, &docker);
    works(&docker, &host);
    // The socket of a killed switch goes with `down`, whatever is told.
    let plugins = |docker: &Docker| {
        let mut list = docker.inside(&Command::new("ls"));
        testkit::run(list.arg("/run/docker/plugins"), b"", READY_MAX).ok()
    };
    host.kill();
    assert_eq!(plugins(&docker), "vswitch.sock\n");
    let down = testkit::run(&mut docker.inside(&host.command(&["down"])), b"", READY_MAX).ok();
    assert!(down.contains("/run/docker/plugins/vswitch.sock"), "{down}");
    assert_eq!(plugins(&docker), "");
    up(&mut host, &docker);
    works(&docker, &host);
    host.down();
    assert_eq!(plugins(&docker), "");
    let refused = docker.docker(&["network", "create", "-d", "vswitch", "red"]);
    assert!(refused.stderr.contains("vswitch.sock: connect: no such file"), "{refused}");
    assert!(!docker.ok(&["network", "ls"]).contains("red"), "nothing is left of it");
    let refused = docker.docker(&["run", "--rm", "--network", "blue", Docker::IMAGE, "true"]);
    assert!(refused.stderr.contains("vswitch.sock: connect: no such file"), "{refused}");
    up(&mut host, &docker);
    works(&docker, &host);
    docker.restart();
    works(&docker, &host);
    docker.kill();
    docker.start_again();
    works(&docker, &host);

    host.ok(&["network", "disconnect", "plain", "web"]);
    docker.ok(&["restart", "-t", "0", "web"]);
    serve(&docker, "web", 80);
    works(&docker, &host);
    docker.ok(&["rm", "-f", "web", "client"]);
    docker.ok(&["network", "rm", "blue"]);
    assert_eq!(host.ls().len(), 0);
}

/// Docker goes on without the switch, whose document then has more than Docker.
#[track_caller]
fn disconnected_while_the_switch_is_dead(host: &mut Host, docker: &Docker) {
    docker.ok(&["network", "create", "-d", "vswitch", "-o", "name=green", "green"]);
    docker.ok(&["network", "connect", "green", "client"]);
    let file = host.state_dir().join("state.json");
    let document = || std::fs::read(&file).expect("the document");
    let entered = || {
        let document: Value = serde_json::from_slice(&document()).expect("JSON");
        let all = document["attachments"].as_array().expect("attachments").clone();
        all.iter().any(|it| it["network"] == "green" && it["netns"].is_object())
    };
    wait_for("the switch has seen it in the container", READY_MAX, entered);
    let former = document();
    docker.ok(&["network", "disconnect", "green", "client"]);
    let ports = host.ls().len();
    host.kill();
    std::fs::write(&file, former).expect("the former document");
    up(host, docker);
    wait_for("the endpoint is gone", READY_MAX, || host.ls().len() == ports);
    let links = inside(docker, "client", &["ip", "-br", "link"]);
    assert!(links.contains("eth0") && !links.contains("eth1"), "{links}");
    works(docker, host);
    docker.ok(&["network", "rm", "green"]);
}

/// Containers that start at once want one port: one gets it, and the other one does not unplug it.
#[test]
fn one_of_two_at_once_gets_the_port() {
    let (host, docker) = host_with_docker(&["--bridge=none"]);
    host.lan().run_lines(&["ip addr add 192.0.2.254/24 dev nic1"]);
    docker.ok(&["network", "create", "-d", "vswitch", "blue"]);
    for round in 0..4 {
        let run = |name: &str| {
            let run = ["run", "-d", "--name", name, "--network", "blue", "-p", "8080:80"];
            let run = [&run[..], &[Docker::IMAGE, "sleep", "9999"]].concat();
            Process::spawn(&mut docker.client("/usr/bin/docker", &run))
        };
        let both = [run("one"), run("two")].map(|it| it.finish(RUN_MAX));
        let [a, b] = both.each_ref().map(|it| it.status.success());
        assert!(a != b, "round {round}: {} {}", both[0], both[1]);
        let (winner, loser) = if a { ("one", &both[1]) } else { ("two", &both[0]) };
        assert!(loser.stderr.contains("port is already allocated"), "{loser}");
        serve(&docker, winner, 80);
        assert!(answers(host.lan().command(&[]), HOST4, 8080), "round {round}\n{}", host.log());
        docker.ok(&["rm", "-f", "one", "two"]);
    }
    assert!(!host.log().contains("forgotten by Docker"), "{}", host.log());
}

/// Without `--live-restore` the containers end with their daemon, and start again with it.
#[test]
fn containers_that_end_with_docker_start_with_it() {
    let (host, mut docker) = host_with_docker(&["--bridge=none"]);
    host.lan().run_lines(&["ip addr add 192.0.2.254/24 dev nic1"]);
    docker.ok(&["network", "create", "-d", "vswitch", "blue"]);
    let web = "echo hello >/tmp/index.html; exec httpd -f -p 80 -h /tmp";
    let run = ["run", "-d", "--name", "web", "--network", "blue", "-p", "8080:80", "--restart"];
    docker.ok(&[&run[..], &["always", Docker::IMAGE, "sh", "-c", web]].concat());
    let reaches = || answers(host.lan().command(&[]), HOST4, 8080);
    wait_for("the server answers", READY_MAX, reaches);
    docker.restart();
    wait_for("it answers again after a restart of Docker", READY_MAX, reaches);
    docker.kill();
    docker.start_again();
    wait_for("it answers again after a kill of Docker", READY_MAX, reaches);
    assert_eq!(host.ls().len(), 1, "{}", host.log());
    docker.ok(&["rm", "-f", "web"]);
    assert_eq!(host.ls().len(), 0);
    docker.ok(&["network", "rm", "blue"]);
}

/// Kills of the switch, of the container and of Docker while a container starts: it works afterwards, or is gone.
#[test]
fn kills_at_any_moment_leave_nothing() {
    let (mut host, mut docker) = host_with_docker(&["--live-restore", "--bridge=none"]);
    docker.ok(&["network", "create", "-d", "vswitch", "-o", "name=blue", "blue"]);
    start(&docker, "client", &["--network", "blue"]);
    for (round, delay) in DELAYS_MS.into_iter().enumerate() {
        let run = ["run", "-d", "--name", "victim", "--network", "blue", "-p", "8080:80"];
        let run = [&run[..], &[Docker::IMAGE, "sleep", "9999"]].concat();
        let run = Process::spawn(&mut docker.client("/usr/bin/docker", &run));
        std::thread::sleep(Duration::from_millis(delay));
        let mut is_removed = false;
        match round % 3 {
            0 => {
                host.kill();
                up(&mut host, &docker);
            }
            // It succeeds, too, when there is none yet.
            1 => {
                let removal = docker.docker(&["rm", "-f", "victim"]);
                is_removed = removal.status.success() && removal.stdout.contains("victim");
            }
            _ => {
                docker.kill();
                docker.start_again();
            }
        }
        let said = run.finish(RUN_MAX);
        if is_removed {
            wait_for("the port of the removed is gone", READY_MAX, || host.ls().len() == 1);
        }
        let runs =
            docker.ok(&["ps", "-q", "--filter", "name=victim", "--filter", "status=running"]);
        // Docker repeats a request until the switch is there again. It cannot repeat one that the switch had, nor find
        // a TAP that has just gone with its switch: then it says that the container does not start.
        let is_as_said = said.status.success() != runs.is_empty();
        assert!(round % 3 != 0 || is_as_said, "round {round}: {said}{}", host.log());
        if !runs.is_empty() {
            let address = address(&docker, "victim", "blue", "IPAddress").to_string();
            let ping = ["exec", "client", "ping", "-c1", "-W3", &address];
            assert!(docker.docker(&ping).status.success(), "round {round}: {said}{}", host.log());
        }
        docker.docker(&["rm", "-f", "victim"]);
        // A Docker that is killed may forget its endpoint, and says so to nobody.
        if round % 3 != 2 {
            wait_for("the port of the victim is gone", READY_MAX, || host.ls().len() == 1);
            assert_eq!(host.json(&["publish", "ls"]).as_array().map(Vec::len), Some(0), "{round}");
        }
    }
    works_still(&docker);
    docker.ok(&["rm", "-f", "client"]);
    docker.ok(&["network", "rm", "blue"]);
    assert_eq!(host.ls().len(), 0);
    let links = host.netns().links();
    assert!(!links.iter().any(|link| link.starts_with("vsw")), "{links:?}");
}

/// New containers get addresses, also those that a killed Docker forgot.
#[track_caller]
fn works_still(docker: &Docker) {
    for name in ["after1", "after2", "after3"] {
        start(docker, name, &["--network", "blue", "-p", "8080:80"]);
        docker.ok(&["exec", name, "ping", "-c1", "-W2", "client"]);
        docker.ok(&["rm", "-f", name]);
    }
}
