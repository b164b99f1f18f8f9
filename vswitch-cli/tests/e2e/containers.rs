//! `vswitch attach --container`, with a real Docker daemon and real containers.

use std::time::Duration;

use testkit::{Docker, Process, READY_MAX, wait_for};
use vswitch_api::port::{Port, PortDetail, PortState};

use crate::harness::Host;

/// A switch beside a Docker daemon on the same host.
struct Lab {
    host: Host,
    docker: Docker,
}

impl Lab {
    #[track_caller]
    fn new(dockerd: &[&str]) -> Self {
        let mut host = Host::new();
        host.up(&[]);
        let docker = Docker::start_with(host.netns(), dockerd);
        docker.bring_image();
        Self { host, docker }
    }

    /// Runs a container that answers at TCP port 80 with its name.
    #[track_caller]
    fn run(&self, name: &str, options: &[&str]) -> String {
        let serve = format!("while :; do echo {name} | nc -l -p 80 >/dev/null; done");
        let command = [Docker::IMAGE, "sh", "-c", &serve];
        self.docker.ok(&[
            &["run", "-d", "--stop-signal", "KILL", "--name", name],
            options,
            &command,
        ]
        .concat())
    }

    #[track_caller]
    fn attach(&self, name: &str, options: &[&str]) -> String {
        let url = self.docker.url();
        let command = ["attach", "--container", name, "--engine", &url];
        self.host.ok(&[&command, options].concat())
    }

    /// An attach that fails with these words.
    #[track_caller]
    fn refuses(&self, name: &str, words: &str) {
        let url = self.docker.url();
        self.host.fails(&["attach", "--container", name, "--engine", &url], &[1, 2], words);
    }

    /// Number of sockets that the switch has.
    fn sockets(&self) -> usize {
        let daemon = format!("/proc/{}", self.host.daemon_pid());
        let unix = std::fs::read_to_string(format!("{daemon}/net/unix")).expect("a daemon");
        let inodes: Vec<_> =
            unix.lines().filter_map(|line| line.split_whitespace().nth(6)).collect();
        let open = std::fs::read_dir(format!("{daemon}/fd")).expect("a daemon").flatten();
        let links = open.filter_map(|it| it.path().read_link().ok());
        let inode = |link: &std::path::Path| {
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            inodes.contains(&inode).then_some(())
        };
        links.filter_map(|link| inode(&link)).count()
    }

    fn port(&self, name: &str) -> Option<Port> {
        self.host.ls().into_iter().find(|port| port.name == name)
    }

    #[track_caller]
    fn wait_until(&self, name: &str, state: PortState) -> PortDetail {
        wait_for(&format!("{name} is {state}"), READY_MAX, || {
            self.port(name).is_some_and(|port| port.state == state)
        });
        self.host.inspect(name)
    }

    /// Runs a command in a container, which must succeed.
    #[track_caller]
    fn exec(&self, name: &str, command: &str) -> String {
        self.docker.ok(&["exec", name, "sh", "-c", command])
    }

    /// The answer at TCP port 80 of a name, as a container sees it.
    #[track_caller]
    fn ask(&self, from: &str, name: &str) -> String {
        self.exec(from, &format!("nc -w 5 {name} 80 </dev/null"))
    }
}

/// What a container keeps over a restart.
fn kept(detail: &PortDetail) -> impl PartialEq + std::fmt::Debug {
    let port = &detail.port;
    let addresses = (port.ipv4.clone(), port.ipv6.clone(), port.mac);
    (addresses, port.ifname.clone(), detail.publications.clone(), port.aliases.clone())
}

#[test]
fn a_container_is_attached_by_name_and_again_after_each_start() {
    let mut lab = Lab::new(&[]);
    lab.host.ok(&["status"]);
    let sockets = lab.sockets();
    lab.run("web", &["--network", "none"]);
    lab.run("db", &["--network", "none"]);
    lab.attach("web", &["-p", "8080:80", "--alias", "shop"]);
    lab.attach("db", &[]);
    let first = lab.host.inspect("web");
    assert_eq!((first.port.netns.as_str(), first.port.ifname.as_str()), ("container:web", "eth0"));
    let gateway = first.gateways[0].to_string();
    assert!(lab.exec("web", "ip route").contains(&format!("default via {gateway}")));
    // Names, in both directions; the file was Docker's own.
    let text = lab.exec("db", "cat /etc/resolv.conf");
    assert!(text.contains(&format!("nameserver {gateway}\n")), "{text}");
    assert_eq!((lab.ask("db", "web"), lab.ask("db", "shop")), ("web".into(), "web".into()));
    assert_eq!(lab.ask("web", "db"), "db");

    lab.docker.ok(&["restart", "-t", "0", "web"]);
    let again = lab.wait_until("web", PortState::Up);
    assert_eq!(kept(&again), kept(&first));
    assert_eq!(lab.ask("db", "web"), "web");

    lab.docker.ok(&["stop", "-t", "0", "web"]);
    let waiting = lab.wait_until("web", PortState::Waiting);
    assert_eq!(kept(&waiting), kept(&first));
    // Its address and its ports are nobody else's meanwhile, and it cannot be changed.
    let address = first.port.ipv4[0].to_string();
    let other = lab.host.namespace("other");
    let attach = ["attach", "--netns", other.name(), "--name", "other"];
    lab.host.fails(&[&attach[..], &["--ip", &address]].concat(), &[1], "in use by web");
    lab.host.fails(&[&attach[..], &["-p", "8080:81"]].concat(), &[1], "8080");
    for command in
        [&["publish", "web", "8081:81"][..], &["run", "--network", "container:web", "true"]]
    {
        lab.host.fails(command, &[1], "waits for its container");
    }
    lab.docker.ok(&["start", "web"]);
    assert_eq!(kept(&lab.wait_until("web", PortState::Up)), kept(&first));

    // The switch is away while it restarts, and while it stops.
    for step in [["restart", "-t", "0", "web"], ["stop", "-t", "0", "web"]] {
        lab.host.kill();
        lab.docker.ok(&step);
        lab.host.up(&[]);
        let state = if step[0] == "stop" { PortState::Waiting } else { PortState::Up };
        assert_eq!(kept(&lab.wait_until("web", state)), kept(&first));
        assert_eq!(lab.port("db").map(|port| port.state), Some(PortState::Up));
    }
    lab.host.down();
    lab.host.up(&[]);
    assert_eq!(kept(&lab.wait_until("web", PortState::Waiting)), kept(&first));
    // So is the engine: its containers stop with it, as it does not restore them.
    lab.docker.restart();
    lab.wait_until("db", PortState::Waiting);
    lab.docker.ok(&["start", "web", "db"]);
    assert_eq!(kept(&lab.wait_until("web", PortState::Up)), kept(&first));
    lab.wait_until("db", PortState::Up);
    assert_eq!(lab.ask("db", "web"), "web");
    lab.host.balanced();

    lab.docker.ok(&["rename", "web", "front"]);
    wait_for("the new name", READY_MAX, || lab.port("front").is_some());
    assert_eq!(lab.ask("db", "front"), "web");
    // A detach gives Docker's text back; a removal leaves nothing.
    lab.host.ok(&["detach", "db"]);
    assert!(!lab.exec("db", "cat /etc/resolv.conf").contains("vswitch"));
    assert_eq!(lab.exec("db", "ls /sys/class/net"), "lo");
    lab.docker.ok(&["rm", "-f", "front"]);
    wait_for("it is forgotten", READY_MAX, || lab.host.ls().is_empty());
    // The switch asks the engine no more.
    wait_for("the connection is closed", READY_MAX, || lab.sockets() == sockets);
}

#[test]
fn containers_that_cannot_be_attached_are_refused_and_others_keep_their_network() {
    let mut lab = Lab::new(&["--live-restore"]);
    let ids = ["aa", "bb"].map(|name| lab.run(name, &["--network", "none"]));
    lab.run("own", &["--network", "host"]);
    lab.docker.ok(&["create", "--name", "new", Docker::IMAGE, "true"]);
    lab.docker.ok(&["pause", "bb"]);
    lab.refuses("nobody", "there is no container nobody");
    lab.refuses("new", "container new does not run: it is created");
    lab.refuses("bb", "container bb is paused");
    lab.refuses("own", "container own has the network of the host");
    lab.docker.ok(&["unpause", "bb"]);
    lab.host.fails(
        &["attach", "--container", "aa", "--engine", "/nowhere.sock"],
        &[1],
        "there is no container engine at /nowhere.sock",
    );
    lab.host.fails(
        &["attach", "--container", "aa", "--engine", "tcp://192.0.2.1:2375"],
        &[2],
        "on this host",
    );
    let mut by_variable = lab.host.command(&["attach", "--container", &ids[0][..12]]);
    let output = testkit::run(by_variable.env("DOCKER_HOST", lab.docker.url()), b"", READY_MAX);
    assert!(output.ok().starts_with("aa is attached to br0: eth0 has "));
    lab.refuses("aa", "there is already an attachment named aa");
    // A shell that asks what may come after `attach --container`.
    let url = lab.docker.url();
    let words = ["--", "vswitch", "attach", "--engine", &url, "--container", "a"];
    let mut complete = lab.host.command(&[]);
    complete.args(&words[..]).env("VSWITCH_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", "5");
    let completed = testkit::run(complete.env("_CLAP_IFS", "\n"), b"", READY_MAX);
    assert_eq!(completed.ok().trim(), "aa");
    // Docker's own bridge keeps the default route, and its user's servers stay.
    let servers = ["--dns", "192.0.2.53"];
    lab.run("bridged", &servers);
    lab.run("asks", &[&servers[..], &["--network", "none"]].concat());
    lab.run("joined", &["--network", "container:aa"]);
    for name in ["bridged", "asks"] {
        lab.attach(name, &[]);
        assert!(lab.exec(name, "cat /etc/resolv.conf").contains("nameserver 192.0.2.53"));
    }
    lab.attach("joined", &["--name", "second"]);
    assert_eq!(lab.host.inspect("bridged").port.ifname, "eth1");
    let routes = lab.exec("bridged", "ip route");
    assert!(routes.contains("default via 172.17.0.1 dev eth0"), "{routes}");
    assert!(routes.contains("dev eth1"), "{routes}");
    let gateway = lab.host.inspect("bridged").gateways[0];
    lab.exec("bridged", &format!("ping -c 1 -W 5 {gateway}"));
    assert_eq!(lab.host.inspect("second").port.ifname, "eth1", "the namespace of aa");
    assert_eq!(lab.ask("bridged", &lab.host.inspect("aa").port.ipv4[0].to_string()), "aa");
    // An engine that restores its containers leaves them alone, and is followed again.
    lab.docker.restart();
    assert!(lab.host.ls().iter().all(|port| port.state == PortState::Up));
    lab.docker.ok(&["restart", "-t", "0", "bridged"]);
    lab.wait_until("bridged", PortState::Up);
    lab.exec("bridged", &format!("ping -c 1 -W 5 {gateway}"));
    // A container that goes with its end leaves nothing.
    lab.docker.ok(&["rm", "-f", "aa", "bridged", "asks", "joined"]);
    wait_for("all are forgotten", READY_MAX, || lab.host.ls().is_empty());
}

/// The container is killed while it is attached, and then the switch is.
#[test]
fn a_death_at_any_moment_leaves_nothing_behind() {
    let mut lab = Lab::new(&[]);
    lab.run("web", &["--network", "none"]);
    let url = lab.docker.url();
    let attach = ["attach", "--container", "web", "--engine", &url];
    for round in 0..6 {
        let attaching = Process::spawn(&mut lab.host.command(&attach));
        std::thread::sleep(Duration::from_millis(round * 4));
        lab.docker.ok(&["kill", "web"]);
        let output = attaching.finish(READY_MAX);
        let words = ["has just ended", "does not run", "is gone"];
        let is_clear = words.iter().any(|words| output.stderr.contains(words));
        assert!(output.status.success() || is_clear, "{output}");
        // One that was attached waits; one that was not is not there.
        match output.status.success() {
            true => drop(lab.wait_until("web", PortState::Waiting)),
            false => assert_eq!(lab.port("web").map(|port| port.state), None),
        }
        lab.docker.ok(&["start", "web"]);
        if output.status.success() {
            lab.wait_until("web", PortState::Up);
            lab.host.ok(&["detach", "web"]);
        }
    }
    for round in 0..6 {
        let attaching = Process::spawn(&mut lab.host.command(&attach));
        std::thread::sleep(Duration::from_millis(5 + round * 6));
        lab.host.kill();
        drop(attaching.finish(READY_MAX));
        lab.host.up(&[]);
        if lab.port("web").is_some() {
            lab.wait_until("web", PortState::Up);
            lab.host.ok(&["detach", "web"]);
        }
        assert_eq!(lab.exec("web", "ls /sys/class/net"), "lo");
        assert!(!lab.exec("web", "cat /etc/resolv.conf").contains("vswitch"), "round {round}");
    }
    let taps = lab.host.netns().links();
    assert!(!taps.iter().any(|link| link.starts_with("vswtap")), "{taps:?}");
    lab.host.balanced();
}
