//! Options of networks, fixed addresses, and containers on several networks.

use testkit::{Docker, HOST4, Netns, READY_MAX, run};

use super::{address, answers, host_with_docker, inside, serve, start};
use crate::harness::Host;

/// What `docker` says of a command that fails.
#[track_caller]
fn refused(docker: &Docker, args: &[&str]) -> String {
    let output = docker.docker(args);
    assert!(!output.status.success(), "{output}");
    // The client adds a hint, and a line of its own log.
    let of_client = |line: &&str| line.starts_with("See ") || line.starts_with("time=");
    let lines = output.stderr.lines().filter(|it| !it.is_empty() && !of_client(it)).count();
    assert_eq!(lines, 1, "{output}");
    output.stderr
}

#[test]
fn several_networks_and_their_options() {
    let (host, docker) = host_with_docker(&[]);
    host.lan().run_lines(&["ip addr add 192.0.2.254/24 dev nic1"]);
    let create = ["network", "create", "-d", "vswitch"];
    let create = |args: &[&str]| docker.ok(&[&create, args].concat());
    create(
        &[
            &["--subnet", "10.210.0.0/24", "--gateway", "10.210.0.254"][..],
            &["--aux-address", "printer=10.210.0.2", "-o", "name=blue", "-o", "mtu=1400"],
            &["-o", "rate=50M", "-o", "interface-prefix=net", "blue"],
        ]
        .concat(),
    );
    create(&["--ipv6", "--subnet", "fd00:77::/64", "-o", "name=green", "green"]);

    let fixed = ["--network", "blue", "--ip", "10.210.0.7", "--mac-address", "02:00:00:00:00:77"];
    let ports = ["-p", "8080:80", "-p", "127.0.0.1::81", "-p", "9000-9009:9000-9009/udp"];
    start(&docker, "web", &[&fixed[..], &ports].concat());
    start(&docker, "client", &["--network", "blue"]);
    serve(&docker, "web", 80);
    // The printer has the first free address.
    assert_eq!(address(&docker, "client", "blue", "IPAddress").to_string(), "10.210.0.1");
    let link = inside(&docker, "web", &["ip", "address", "show", "net0"]);
    for part in ["10.210.0.7/24", "02:00:00:00:00:77", "mtu 1400"] {
        assert!(link.contains(part), "{part} is not in {link}");
    }
    assert!(!link.contains("inet6"), "{link}");
    let route = inside(&docker, "web", &["ip", "route", "show", "default"]);
    assert!(route.contains("via 10.210.0.254 dev net0"), "{route}");
    let ports = host.ls();
    let port = ports.iter().find(|it| it.ipv4[0].to_string() == "10.210.0.7").expect("a port");
    let settings = host.json(&["port", "show", &port.name]);
    assert_eq!(settings["limits"]["rate_in"], 50_000_000);
    let published: Vec<_> = host
        .json(&["publish", "ls"])
        .as_array()
        .expect("an array")
        .iter()
        .map(|row| row["ports"].as_str().expect("ports").to_owned())
        .collect();
    assert_eq!(published.len(), 3, "{published:?}");
    assert!(published.contains(&"9000-9009:9000-9009/udp".to_owned()), "{published:?}");
    assert!(answers(docker.in_netns_of("client", &[]), "10.210.0.7".parse().unwrap(), 80));
    assert!(answers(host.lan().command(&[]), HOST4, 8080));

    // Another network, and the published ports with the default route to it.
    docker.ok(&["network", "connect", "--alias", "shop", "green", "web"]);
    let v6 = address(&docker, "web", "green", "GlobalIPv6Address");
    start(&docker, "other", &["--network", "green"]);
    let answer = docker.ok(&["exec", "other", "nslookup", "shop"]);
    assert!(answer.contains(&v6.to_string()), "{answer}");
    assert!(answers(docker.in_netns_of("other", &[]), v6, 80));
    let route6 = inside(&docker, "web", &["ip", "-6", "route", "show", "default"]);
    assert!(route6.contains("via fd00:77::1"), "{route6}");
    docker.ok(&["network", "disconnect", "blue", "web"]);
    let v4 = address(&docker, "web", "green", "IPAddress");
    let route = inside(&docker, "web", &["ip", "route", "show", "default"]);
    assert!(route.contains("dev eth"), "{route}");
    assert!(answers(host.lan().command(&[]), HOST4, 8080), "published at {v4}");
    docker.ok(&["network", "connect", "--ip", "10.210.0.7", "blue", "web"]);
    assert!(answers(docker.in_netns_of("client", &[]), "10.210.0.7".parse().unwrap(), 80));
    assert!(answers(host.lan().command(&[]), HOST4, 8080));

    an_internal_one(&host, &docker);
    without_ipam(&docker);
    attached_by_other_ways(&host, &docker);
    bad_input(&host, &docker);
    docker.ok(&["rm", "-f", "web", "client", "other"]);
    docker.ok(&["network", "rm", "blue", "green"]);
    assert_eq!(host.ls().len(), 0);
}

/// Nobody on it reaches another, or the world; the host's port is on their VLAN.
#[track_caller]
fn an_internal_one(host: &Host, docker: &Docker) {
    let create = ["network", "create", "-d", "vswitch", "--internal", "-o", "vlan=7"];
    let flags = ["-o", "isolated-ports", "-o", "cut-through", "-o", "name=secret", "secret"];
    docker.ok(&[&create[..], &flags].concat());
    let secret = host.json(&["network", "inspect", "secret"]);
    assert_eq!((&secret["isolated_ports"], &secret["cut_through"]), (&true.into(), &true.into()));
    for name in ["hidden", "hidden2"] {
        start(docker, name, &["--network", "secret"]);
    }
    assert_eq!(inside(docker, "hidden", &["ip", "route", "show", "default"]), "");
    let hidden2 = address(docker, "hidden2", "secret", "IPAddress").to_string();
    let ping = ["ping", "-c1", "-W1", &hidden2];
    assert!(!run(&mut docker.in_netns_of("hidden", &ping), b"", READY_MAX).status.success());
    let gateway =
        docker.ok(&["network", "inspect", "secret", "-f", "{{(index .IPAM.Config 0).Gateway}}"]);
    inside(docker, "hidden", &["ping", "-c1", "-W2", &gateway]);
    docker.ok(&["rm", "-f", "hidden", "hidden2"]);
    docker.ok(&["network", "rm", "secret"]);
}

/// Without an IPAM driver the switch gives the addresses, of the families that Docker asks for.
#[track_caller]
fn without_ipam(docker: &Docker) {
    docker.ok(&["network", "create", "-d", "vswitch", "--ipam-driver", "null", "plain"]);
    let show =
        ["run", "--rm", "--network", "plain", Docker::IMAGE, "ip", "address", "show", "eth0"];
    let shown = docker.ok(&show);
    assert!(shown.contains("inet ") && !shown.contains("inet6"), "{shown}");
    docker.ok(&["network", "rm", "plain"]);
}

/// The switch's own containers on a network of Docker.
#[track_caller]
fn attached_by_other_ways(host: &Host, docker: &Docker) {
    let netns = Netns::new("other");
    host.ok(&["attach", "--netns", netns.name(), "--name", "tool", "--network", "blue"]);
    let tool = host.inspect("tool").port.ipv4[0].to_string();
    // Docker gives out the lower addresses.
    assert_eq!(tool, "10.210.0.192");
    docker.ok(&["exec", "client", "ping", "-c1", "-W2", &tool]);
    let ask = |dns: &[&str]| {
        let run = [&["run", "--rm", "--network", "blue"][..], dns, &[Docker::IMAGE]].concat();
        docker.docker(&[&run[..], &["nslookup", "tool"]].concat()).stdout
    };
    assert!(ask(&["--dns", "10.210.0.254"]).contains(&tool));
    assert!(!ask(&[]).contains(&tool), "Docker's server asks the host's servers");
    // Docker counts it not, the switch does.
    let text = refused(docker, &["network", "create", "-d", "vswitch", "-o", "name=blue", "blue2"]);
    assert!(text.contains("there is already a network named blue"), "{text}");
    let taken = ["run", "--rm", "--network", "blue", "--ip", &tool, Docker::IMAGE, "true"];
    let text = refused(docker, &taken);
    assert!(text.contains(&format!("address {tool} is in use by tool")), "{text}");
    host.ok(&["detach", "tool"]);
    removed_under_another(host, docker, &netns);
    let ipv6 = ["run", "--network", "blue", "-p", "[::1]:8080:80", Docker::IMAGE, "true"];
    let text = refused(docker, &ipv6);
    assert!(text.contains("::1") && text.contains("IPv4"), "{text}");
}

/// Docker deletes its network whatever the switch says; who is on it stays.
#[track_caller]
fn removed_under_another(host: &Host, docker: &Docker, netns: &Netns) {
    docker.ok(&["network", "create", "-d", "vswitch", "-o", "name=brown", "brown"]);
    host.ok(&["attach", "--netns", netns.name(), "--name", "tool", "--network", "brown"]);
    docker.ok(&["network", "rm", "brown"]);
    assert_eq!(host.inspect("tool").port.network, "brown");
    let brown = &host.json(&["network", "inspect", "brown"]);
    assert!(brown["labels"]["docker.network-id"].is_null(), "{brown}");
    assert!(host.log().contains("`vswitch network rm brown` removes it"), "{}", host.log());
    host.ok(&["detach", "tool"]);
    host.ok(&["network", "rm", "brown"]);
}

#[track_caller]
fn bad_input(host: &Host, docker: &Docker) {
    let networks = host.json(&["network", "ls"]);
    let create = |args: &[&str]| {
        let create = ["network", "create", "-d", "vswitch"];
        refused(docker, &[&create, args, &["bad"]].concat())
    };
    for (args, part) in [
        (&["-o", "colour=blue"][..], r#"there is no option "colour"; the options are name, "#),
        (&["-o", "mtu=tiny"], "option mtu=tiny is refused"),
        (&["-o", "rate=fast"], "option rate=fast is refused"),
        (&["-o", "vlan=7"], "needs --internal"),
        (&["-o", "vlan=4095"], "option vlan=4095 is refused"),
        (&["-o", "isolated-ports=perhaps"], "neither true nor false"),
        (&["-o", "uplink=eth7"], "eth7"),
        (&["--subnet", "192.0.2.0/25"], "overlaps the host's route 192.0.2.0/24"),
        (&["--subnet", "10.210.8.0/30"], "/30"),
    ] {
        let text = create(args);
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert_eq!(host.json(&["network", "ls"]), networks);
    let text = refused(
        docker,
        &["run", "--network", "blue", "-p", "192.0.2.77:80:80", Docker::IMAGE, "true"],
    );
    assert!(text.contains("192.0.2.77 is no address of this host"), "{text}");
}
