//! Restarts and kills of the switch and of the daemon, under containers that run.

use testkit::{Docker, HOST4};

use super::{address, answers, host_with_docker, inside, serve, start};

/// The default route, the addresses, and whether a published port answers.
#[track_caller]
fn works(docker: &Docker, host: &crate::harness::Host) {
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
    host.down();
    assert!(!docker.docker(&["network", "create", "-d", "vswitch", "red"]).status.success());
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
