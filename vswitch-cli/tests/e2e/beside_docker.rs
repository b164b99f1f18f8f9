//! `--uplink kernel` beside Docker, whose `FORWARD` chain drops what it does not know: the rules of docs/nat.md.

use std::path::Path;

use testkit::{ASK, COMMAND_TIMEOUT, Docker, FAR4, HOST4, READY_MAX, Remote, run, wait_for};

use crate::harness::Host;

/// The rules that docs/nat.md tells people to add.
#[track_caller]
fn documented_rules() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/nat.md");
    let text = std::fs::read_to_string(path).expect("docs/nat.md");
    let rules = text.lines().filter(|line| line.starts_with("iptables -I DOCKER-USER "));
    rules.map(str::to_owned).collect()
}

#[test]
fn the_kernels_way_needs_two_rules() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    let _docker = Docker::start(host.netns());
    host.up(&["--uplink", "kernel"]);
    let a = host.container_with("a", &["-p", "8080:80"]);
    let _inside = a.serve("tcp", a.v4(), 80);
    let _outside = remote.far().serve("tcp", FAR4, 7000);
    assert!(!a.can_ask("tcp", FAR4, 7000), "Docker lets it pass: the rules are not needed");
    assert!(!remote.far().can_ask("tcp", HOST4, 8080));
    let rules = documented_rules();
    assert_eq!(rules.len(), 2, "{rules:?}");
    for rule in &rules {
        host.netns().ok(&rule.split(' ').collect::<Vec<_>>());
    }
    assert_eq!(a.ask("tcp", FAR4, 7000).0, HOST4);
    assert_eq!(remote.far().ask("tcp", HOST4, 8080).0, FAR4);
}

/// The switch's own way passes none of Docker's rules.
#[test]
fn the_switchs_own_way_needs_none() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    let docker = Docker::start(host.netns());
    host.up_inside(&docker, &["--uplink", "auto"]);
    let a = host.container_with("a", &["-p", "8080:80"]);
    let _inside = a.serve("tcp", a.v4(), 80);
    let _outside = remote.far().serve("tcp", FAR4, 7000);
    assert_eq!(a.ask("tcp", FAR4, 7000).0, HOST4);
    assert_eq!(remote.far().ask("tcp", HOST4, 8080).0, FAR4);
    let loopback = "127.0.0.1".parse().expect("an address");
    assert!(host.netns().can_ask("tcp", loopback, 8080), "from the host itself");
    from_dockers_container(&host, &docker);
}

/// Docker lets its containers out by every device, and the kernel translates.
fn from_dockers_container(host: &Host, docker: &Docker) {
    docker.bring_image();
    docker.ok(&["run", "-d", "--name", "neighbour", Docker::IMAGE, "sleep", "1000"]);
    let open = ["-p", "8090:80", "-p", "8090:80/udp"];
    let limited = ["-p", "8091:80", "--allow-from", "172.17.0.0/16"];
    let closed = ["-p", "8092:80", "--allow-from", "198.51.100.0/24"];
    let b = host.container_with("b", &open);
    let containers = [("c", &limited[..]), ("d", &closed[..])];
    let others = containers.map(|(name, options)| host.container_with(name, options));
    let mut services = vec![b.serve("tcp", b.v4(), 80), b.serve("udp", b.v4(), 80)];
    services.extend(others.iter().map(|it| it.serve("tcp", it.v4(), 80)));
    let asks = |protocol: &str, port: &str| {
        let address = HOST4.to_string();
        let ask = ["python3", "-c", ASK, protocol, &address, port];
        run(&mut docker.in_netns_of("neighbour", &ask), b"", COMMAND_TIMEOUT).status.success()
    };
    wait_for("a published port of TCP", READY_MAX, || asks("tcp", "8090"));
    assert!(asks("udp", "8090"), "UDP");
    assert!(asks("tcp", "8091"), "a sender that may");
    assert!(!asks("tcp", "8092"), "a sender that may not");
    docker.ok(&["rm", "-f", "neighbour"]);
}
