//! Docker's network driver, with a real daemon.

mod compose;
mod faults;
mod ipam;
mod networks;
mod protocol;

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use testkit::{Docker, FAR4, HOST4, READY_MAX, Remote, run, wait_for};

use crate::harness::Host;

/// A host with a switch that serves the plugin, and a daemon with an image.
pub(super) fn host_with_docker(args: &[&str]) -> (Host, Docker) {
    let mut host = Host::new();
    let docker = Docker::start_with(host.netns(), args);
    docker.bring_image();
    up(&mut host, &docker);
    (host, docker)
}

/// Starts a switch that serves the plugin, and knows the daemon's API.
#[track_caller]
pub(super) fn up(host: &mut Host, docker: &Docker) {
    let api = docker.path("sock").display().to_string();
    let cgroup = host.own_cgroup().display().to_string();
    let cut_through = ["--cut-through-cgroup", &cgroup];
    host.up_inside(
        docker,
        &[&["--docker-plugin", "--docker-api", &api], &cut_through[..]].concat(),
    );
}

/// A container that sleeps, with these options of `docker run`.
#[track_caller]
pub(super) fn start(docker: &Docker, name: &str, options: &[&str]) {
    let run = [&["run", "-d", "--name", name][..], options, &[Docker::IMAGE, "sleep", "9999"]];
    docker.ok(&run.concat());
}

/// Address of a container on a network, as Docker shows it.
#[track_caller]
pub(super) fn address(docker: &Docker, name: &str, network: &str, key: &str) -> IpAddr {
    let shown: Value = serde_json::from_str(&docker.ok(&["inspect", name])).expect("JSON");
    let text = shown[0]["NetworkSettings"]["Networks"][network][key].as_str().expect(key);
    text.parse().unwrap_or_else(|_| panic!("{key} of {name} on {network} is {text:?}"))
}

/// Runs a program of the host in the network namespace of a container.
#[track_caller]
pub(super) fn inside(docker: &Docker, name: &str, args: &[&str]) -> String {
    run(&mut docker.in_netns_of(name, args), b"", READY_MAX).ok()
}

/// Serves HTTP in a container.
#[track_caller]
pub(super) fn serve(docker: &Docker, name: &str, port: u16) {
    let script = format!("echo hello >/tmp/index.html; httpd -p {port} -h /tmp");
    docker.ok(&["exec", name, "sh", "-c", &script]);
    wait_for("the server listens", READY_MAX, || {
        !inside(docker, name, &["ss", "-ltnH", &format!("sport = :{port}")]).is_empty()
    });
}

/// Whether such a server answers, asked from a namespace: `nsenter` and its options.
pub(super) fn answers(mut from: Command, address: IpAddr, port: u16) -> bool {
    let url = match address {
        IpAddr::V4(address) => format!("http://{address}:{port}/"),
        IpAddr::V6(address) => format!("http://[{address}]:{port}/"),
    };
    let script = "import sys, urllib.request as r; sys.exit(r.urlopen(sys.argv[1], timeout=2).read() != b'hello\\n')";
    from.args(["python3", "-c", script, &url]);
    run(&mut from, b"", Duration::from_secs(10)).status.success()
}

/// What people do first: a network, containers with names, a published port, the world.
#[test]
fn a_network_a_name_a_port_and_the_world() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    let docker = Docker::start(host.netns());
    docker.bring_image();
    host.up_inside(&docker, &["--docker-plugin"]);
    docker.ok(&["network", "create", "-d", "vswitch", "blue"]);
    start(&docker, "web", &["--network", "blue", "--network-alias", "shop", "-p", "8080:80"]);
    start(&docker, "client", &["--network", "blue"]);
    start(&docker, "bridged", &[]);
    let web = address(&docker, "web", "blue", "IPAddress");
    serve(&docker, "web", 80);

    // Docker's names, those of the switch, and the host's servers beyond both.
    for name in ["web", "shop"] {
        let answer = docker.ok(&["exec", "client", "nslookup", name]);
        assert!(answer.contains(&web.to_string()), "{answer}");
    }
    assert!(answers(docker.in_netns_of("client", &[]), web, 80));
    assert!(answers(remote.far().command(&[]), HOST4, 8080), "published");
    assert!(answers(host.netns().command(&[]), HOST4, 8080), "published, from the host");
    let _outside = remote.far().serve("tcp", FAR4, 7000);
    let ask = docker.ok(&["exec", "client", "nc", "-w", "2", &FAR4.to_string(), "7000"]);
    assert!(ask.starts_with(&HOST4.to_string()), "{ask}");
    // Docker's own bridge is beside it, and apart.
    let bridged = address(&docker, "bridged", "bridge", "IPAddress").to_string();
    inside(&docker, "bridged", &["ping", "-c1", "-W2", &FAR4.to_string()]);
    let ping = ["ping", "-c1", "-W1", &bridged];
    assert!(!run(&mut docker.in_netns_of("client", &ping), b"", READY_MAX).status.success());

    // The switch shows what Docker does not: ports of a remote driver.
    assert_eq!(docker.ok(&["port", "web"]), "");
    assert_eq!(host.json(&["publish", "ls"])[0]["ports"], "8080:80/tcp");
    let taken =
        docker.docker(&["run", "--network", "blue", "-p", "8080:80", Docker::IMAGE, "true"]).stderr;
    assert!(taken.contains("Bind for 0.0.0.0:8080 failed: port is already allocated"), "{taken}");
    // So is one of a program of the host.
    let program = host.netns().serve("tcp", HOST4, 8081);
    let run = ["run", "--network", "blue", "-p", "8081:80", Docker::IMAGE, "true"];
    let taken = docker.docker(&run).stderr;
    assert!(taken.contains("Bind for 0.0.0.0:8081 failed: port is already allocated"), "{taken}");
    drop(program);
    // `-P`: the switch picks the host's port.
    start(&docker, "any", &["--network", "blue", "-P", "--expose", "80"]);
    serve(&docker, "any", 80);
    let published = host.json(&["publish", "ls"]);
    let ports = published.as_array().expect("a list").iter().filter_map(|it| it["ports"].as_str());
    let any = ports.filter_map(|it| it.split_once(':')).find(|(host, _)| *host != "8080");
    let (picked, _) = any.expect("two publications");
    assert!(answers(remote.far().command(&[]), HOST4, picked.parse().expect("a port")));
    docker.ok(&["rm", "-f", "any"]);
    // All goes with the containers and the network.
    docker.ok(&["rm", "-f", "web", "client", "bridged"]);
    docker.ok(&["network", "rm", "blue"]);
    assert_eq!(host.ls().len(), 0);
    assert_eq!(host.json(&["network", "ls"]).as_array().map(Vec::len), Some(1));
    let links = host.netns().links();
    assert!(!links.iter().any(|link| link.starts_with("vsw")), "{links:?}");
}
