//! Restarts and kills of the switch and of the daemon, under containers that run.

use std::process::Command;
use std::time::Duration;

use testkit::{Docker, HOST4, Process, READY_MAX, wait_for};

use super::{address, answers, host_with_docker, inside, serve, start};
use crate::harness::Host;

/// Delays between the start of a container and a kill: the attach takes about 200 ms.
const DELAYS_MS: [u64; 9] = [20, 40, 60, 80, 100, 130, 160, 200, 250];

/// How long `docker run` may take while the switch or Docker starts again.
const RUN_MAX: Duration = Duration::from_secs(60);

/// The default route, the addresses, and whether a published port answers.
#[track_caller]
fn works(docker: &Docker, host: &Host) {
    let web = address(docker, "web", "blue", "IPAddress");
    let routes = inside(docker, "web", &["ip", "-4", "route"]);
    assert!(routes.contains("default via ") && routes.contains("dev eth0"), "{routes}");
    assert!(answers(docker.in_netns_of("client", &[]), web, 80), "{routes}");
    assert!(answers(host.lan().command(&[]), HOST4, 8080));
}

#[test]
fn containers_outlive_restarts_of_both() {
    let (mut host, mut docker) = host_with_docker(&["--live-restore"]);
    host.lan().run_lines(&["ip addr add 192.0.2.254/24 dev nic1"]);
    docker.ok(&["network", "create", "-d", "vswitch", "blue"]);
    start(&docker, "web", &["--network", "blue", "-p", "8080:80"]);
    start(&docker, "client", &["--network", "blue"]);
    serve(&docker, "web", 80);
    works(&docker, &host);

    host.kill();
    host.up_inside(&docker, &["--docker-plugin"]);
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
    host.up_inside(&docker, &["--docker-plugin"]);
    works(&docker, &host);
    host.down();
    assert_eq!(plugins(&docker), "");
    let refused = docker.docker(&["network", "create", "-d", "vswitch", "red"]);
    assert!(!refused.status.success() && refused.stderr.contains("vswitch"), "{refused}");
    assert!(!docker.ok(&["network", "ls"]).contains("red"), "nothing is left of it");
    host.up_inside(&docker, &["--docker-plugin"]);
    works(&docker, &host);
    docker.restart();
    works(&docker, &host);
    docker.kill();
    docker.start_again();
    works(&docker, &host);

    docker.ok(&["restart", "-t", "0", "web"]);
    serve(&docker, "web", 80);
    works(&docker, &host);
    docker.ok(&["rm", "-f", "web", "client"]);
    docker.ok(&["network", "rm", "blue"]);
    assert_eq!(host.ls().len(), 0);
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
        match round % 3 {
            0 => {
                host.kill();
                host.up_inside(&docker, &["--docker-plugin"]);
            }
            1 => drop(docker.docker(&["rm", "-f", "victim"])),
            _ => {
                docker.kill();
                docker.start_again();
            }
        }
        let said = run.finish(RUN_MAX);
        let runs =
            docker.ok(&["ps", "-q", "--filter", "name=victim", "--filter", "status=running"]);
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
