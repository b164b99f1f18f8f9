//! A file instead of a server: it says who has which address, and is followed.

use std::path::Path;

use testkit::{Netns, join, wait_for};

use super::super::SOON;
use super::super::sites::{Family, give_address};
use super::nodes::{forgets, has_network, resolves, status};
use crate::harness::Host;

const BLUE: &str = r#"
[[network]]
name = "blue"
vni = 42
subnets = ["10.50.0.0/16"]
"#;

const NODES: &str = r#"
[[node]]
name = "n1"
address = "198.18.7.1"

[[node]]
name = "n2"
address = "198.18.7.2"
"#;

/// An endpoint of the file.
fn endpoint(node: &str, name: &str, last: u8) -> String {
    format!(
        "\n[[endpoint]]\nnetwork = \"blue\"\naddress = \"10.50.0.{last}\"\nnode = \"{node}\"\n\
         mac = \"02:00:00:00:00:{last:02}\"\nname = \"{name}\"\naliases = [\"{name}-alias\"]\n"
    )
}

/// Writes the file as a careful program does.
fn write(file: &Path, parts: &[&str]) {
    let new = file.with_extension("new");
    std::fs::write(&new, parts.concat()).expect("write the file");
    std::fs::rename(new, file).expect("rename the file");
}

#[test]
fn nodes_networks_and_endpoints_are_those_of_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("peers.toml");
    let (web, db) = (endpoint("n1", "web", 20), endpoint("n2", "db", 30));
    write(&file, &[BLUE, NODES, &web, &db]);
    let url = format!("file://{}", file.display());
    let mut hosts = [Host::new(), Host::new()];
    join(hosts[0].netns(), "ul", hosts[1].netns(), "ul");
    for (host, number) in hosts.iter_mut().zip(1..) {
        give_address(host.netns(), Family::V4, number);
        let (underlay, node) = (format!("198.18.7.{number}"), format!("n{number}"));
        let options = ["--underlay", &underlay, "--node", &node, "--registry", &url];
        // Nobody answers there.
        host.up(&[&options[..], &["--dns-upstream", "192.0.2.1"]].concat());
        wait_for("the file's network is there", SOON, || has_network(host, "blue"));
    }
    let [n1, n2] = &hosts;
    let on_blue = ["--network", "blue"];
    let (a, b) = (n1.container_with("web", &on_blue), n2.container_with("db", &on_blue));
    assert_eq!(
        (a.v4().to_string(), b.v4().to_string()),
        ("10.50.0.20".into(), "10.50.0.30".into())
    );
    assert_eq!(b.detail().port.mac.to_string(), "02:00:00:00:00:30");
    a.ping_soon(b.v4(), SOON);
    b.ping_soon(a.v4(), SOON);
    resolves(&a, "db", &[b.v4()]);
    resolves(&a, "db-alias.blue", &[b.v4()]);
    // The file decides: another name, another node's address, a new network.
    let netns = Netns::new("late");
    let attach = ["attach", "--netns", netns.name(), "--network", "blue", "--name", "late"];
    n1.fails(&attach, &[1], "late");
    n1.fails(&[&attach[..], &["--ip", "10.50.0.30"]].concat(), &[1], "10.50.0.30");
    n1.fails(&["network", "create", "green", "--overlay"], &[1], "file");
    n1.fails(&["network", "rm", "--force", "blue"], &[1], "n2");
    // A file with an error changes nothing; it is told.
    write(&file, &[BLUE, NODES, &web, "[[node]"]);
    wait_for("the error is told", SOON, || {
        let status = status(n2);
        status.problem.is_some() || !status.faults.is_empty()
    });
    a.ping(b.v4());
    // Endpoints come and go with the file.
    write(&file, &[BLUE, NODES, &web, &db, &endpoint("n1", "late", 40)]);
    wait_for("late is attached", SOON, || n1.vswitch(&attach).status.success());
    resolves(&b, "late", &["10.50.0.40".parse().expect("an address")]);
    b.ping_soon("10.50.0.40".parse().expect("an address"), SOON);
    write(&file, &[BLUE, NODES, &web, &endpoint("n1", "late", 40)]);
    forgets(n1, "db");
    // A network that goes while it is used is a fault, and none any more once it is back: then it stays without containers, too.
    let is_fault = || n1.ok(&["status"]).contains("blue was deleted");
    write(&file, &[NODES]);
    wait_for("the fault", SOON, is_fault);
    write(&file, &[BLUE, NODES, &web]);
    wait_for("no fault any more", SOON, || !is_fault());
    for name in ["web", "late"] {
        n1.ok(&["detach", name]);
    }
    // Longer than the pause before what failed is tried again.
    std::thread::sleep(std::time::Duration::from_secs(6));
    assert!(has_network(n1, "blue"));
}
