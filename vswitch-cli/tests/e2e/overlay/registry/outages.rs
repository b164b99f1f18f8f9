//! etcd is away, has lost its data, or was never there.

use std::time::Duration;

use testkit::{Process, wait_for};

use super::super::SOON;
use super::super::sites::Family;
use super::nodes::{Nodes, has_network, resolves, status};
use crate::harness::Container;
use crate::transfer::transfer;

/// How long nodes may take to write again what a registry has lost.
const WRITTEN_AGAIN: Duration = Duration::from_secs(20);

/// A ping that must lose nothing.
struct Steady(Process);

impl Steady {
    #[track_caller]
    fn start(from: &Container, to: &Container) -> Self {
        let to = to.v4().to_string();
        Self(from.spawn(&["ping", "-n", "-i", "0.1", "-W", "2", &to]))
    }

    /// Each request has one answer, but the last ones, which may be under way when `ping` is told to end.
    #[track_caller]
    fn end(self) {
        self.0.signal(nix::sys::signal::Signal::SIGINT);
        let output = self.0.finish(SOON);
        let answers = output.stdout.lines().filter(|line| line.contains(" bytes from "));
        let answered: Vec<_> = answers.filter_map(|line| number(line, "icmp_seq=", " ")).collect();
        assert!(answered.iter().copied().eq(1..=answered.len()), "{output}");
        let sent = number(&output.stdout, "statistics ---\n", " packets transmitted");
        assert!(sent.is_some_and(|sent| answered.len() + 3 >= sent), "{output}");
    }
}

/// The number between two texts.
fn number(text: &str, before: &str, after: &str) -> Option<usize> {
    text.split_once(before)?.1.split_once(after)?.0.parse().ok()
}

/// Without etcd traffic goes on, and a node attaches with addresses of its own blocks; the others learn of it later.
#[test]
fn without_etcd_traffic_and_attachments_go_on() {
    let mut nodes = Nodes::up(Family::V4, 2, &[]);
    let (a, b) = (nodes.container(0, "a"), nodes.container(1, "b"));
    let leaving = nodes.container(0, "leaving");
    a.ping_soon(b.v4(), SOON);
    resolves(&b, "leaving", &[leaving.v4()]);
    let steady = Steady::start(&a, &b);
    nodes.stop_etcd();
    transfer(&a, &b, b.v4(), 4);
    let late = nodes.container(0, "late");
    late.ping(a.v4());
    resolves(&late, "b", &[b.v4()]);
    let [n1, n2] = &nodes.hosts[..] else { panic!("two hosts") };
    n1.ok(&["detach", "leaving"]);
    assert!(status(n1).queued > 0, "{:#?}", status(n1));
    let summary = n1.status().registry.expect("a registry");
    assert!(!summary.connected && summary.problem.is_some(), "{summary:?}");
    // What only the registry can decide is refused.
    let netns = testkit::Netns::new("fixed");
    let attach = ["attach", "--netns", netns.name(), "--name", "fixed", "--network", "blue"];
    n1.fails(&[&attach[..], &["--ip", "10.50.200.9"]].concat(), &[1], "10.50.200.9");
    n1.fails(&["network", "create", "green", "--overlay"], &[1], &nodes.etcd.address().to_string());
    n2.fails(&["network", "rm", "blue"], &[1], "blue");
    nodes.start_etcd();
    resolves(&b, "late", &[late.v4()]);
    b.ping_soon(late.v4(), SOON);
    let [n1, n2] = &nodes.hosts[..] else { panic!("two hosts") };
    wait_for("all is written", SOON, || status(n1).queued == 0);
    // It is believed to be there until the grace period ends, since a lease may have ended, too.
    wait_for("both addresses are doubted", SOON, || status(n2).doubted == 2);
    assert!(status(n2).grace_s.is_some_and(|left| left <= 30));
    n1.ok(&["network", "create", "green", "--overlay"]);
    steady.end();
}

/// etcd comes back with nothing: the nodes write all again, and nobody's traffic stops.
#[test]
fn an_etcd_that_lost_its_data_takes_nobodys_traffic() {
    let mut nodes = Nodes::up(Family::V4, 2, &[]);
    let (a, b) = (nodes.container(0, "a"), nodes.container(1, "b"));
    a.ping_soon(b.v4(), SOON);
    let steady = Steady::start(&a, &b);
    nodes.stop_etcd();
    nodes.etcd.wipe();
    nodes.start_etcd();
    for host in &nodes.hosts {
        wait_for("all is written again", WRITTEN_AGAIN, || {
            let status = status(host);
            let seen = (status.networks, status.nodes, status.endpoints, status.doubted);
            seen == (1, 2, 8, 0) && status.queued == 0
        });
        assert!(has_network(host, "blue"));
    }
    resolves(&b, "a", &[a.v4()]);
    let c = nodes.container(1, "c");
    assert!(c.v4() != a.v4() && c.v4() != b.v4());
    a.ping_soon(c.v4(), SOON);
    resolves(&a, "c", &[c.v4()]);
    steady.end();
}

/// A switch starts without etcd, and joins when it comes. With networks of before it attaches meanwhile.
#[test]
fn a_start_without_etcd_waits_for_nothing() {
    let mut nodes = Nodes::new(Family::V4, 2);
    nodes.etcd.stop();
    nodes.start(0);
    let address = nodes.etcd.address().to_string();
    let n1 = &nodes.hosts[0];
    assert!(!status(n1).connected);
    let shown = n1.ok(&["status"]);
    assert!(shown.contains(&address), "{shown}");
    n1.fails(&["network", "create", "blue", "--overlay"], &[1], &address);
    nodes.etcd.start();
    wait_for("n1 is connected", SOON, || status(&nodes.hosts[0]).lease.is_some());
    nodes.start(1);
    nodes.create_blue();
    let (a, b) = (nodes.container(0, "a"), nodes.container(1, "b"));
    a.ping_soon(b.v4(), SOON);
    // Again, with what it knows.
    nodes.stop_etcd();
    nodes.hosts[0].kill();
    nodes.start(0);
    assert!(has_network(&nodes.hosts[0], "blue"));
    assert_eq!(nodes.hosts[0].inspect("a").port.ipv4, a.detail().port.ipv4);
    let late = nodes.container(0, "late");
    late.ping(a.v4());
    assert!(late.v4() != a.v4() && late.v4() != b.v4());
    nodes.start_etcd();
    a.ping_soon(b.v4(), SOON);
    b.ping_soon(late.v4(), SOON);
    resolves(&b, "late", &[late.v4()]);
    resolves(&a, "b", &[b.v4()]);
}
