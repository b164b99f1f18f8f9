//! Bulk TCP between containers arrives whole, whatever moves the frames.

use std::net::IpAddr;
use std::process::Stdio;
use std::time::Duration;

use testkit::{Netns, Process, Receiver, SEND_STREAM};

use crate::harness::{Container, Host};

/// A transfer under way.
struct Transfer {
    sender: Process,
    receiver: Receiver,
}

impl Transfer {
    #[track_caller]
    fn start(from: &Netns, to: &Netns, address: IpAddr, mebibytes: u32) -> Self {
        let receiver = Receiver::start(to, address);
        let (address, mebibytes) = (address.to_string(), mebibytes.to_string());
        let args = ["python3", "-c", SEND_STREAM, &address, &receiver.port, &mebibytes, "seed"];
        let sender = Process::spawn(from.command(&args).stdin(Stdio::null()));
        Self { sender, receiver }
    }

    #[track_caller]
    fn finish(self) {
        let sent = self.sender.finish(Duration::from_secs(120)).ok();
        assert_eq!(
            self.receiver.digest(),
            sent,
            "the bytes that came are not those that were sent"
        );
    }
}

/// Sends so many MiB, which must arrive as they were.
#[track_caller]
pub(crate) fn transfer(from: &Netns, to: &Netns, address: IpAddr, mebibytes: u32) {
    Transfer::start(from, to, address, mebibytes).finish();
}

#[track_caller]
fn pair(args: &[&str]) -> (Host, Container, Container) {
    let host = Host::with_switch_args(args);
    let (a, b) = (host.container("a"), host.container("b"));
    (host, a, b)
}

#[test]
fn a_hundred_mebibytes_over_ipv4() {
    let (_host, a, b) = pair(&[]);
    transfer(&a, &b, b.v4(), 100);
}

#[test]
fn a_hundred_mebibytes_over_ipv6() {
    let (_host, a, b) = pair(&[]);
    transfer(&a, &b, b.v6(), 100);
}

#[test]
fn between_host_and_container() {
    let host = Host::with_switch();
    let a = host.container("a");
    transfer(host.netns(), &a, a.v4(), 20);
    transfer(&a, host.netns(), a.gateway6(), 20);
}

/// Segmentation is left to the last moment, that is, it never happens between two TAPs.
#[test]
fn large_segments_pass_whole() {
    let (host, a, b) = pair(&[]);
    for offload in ["csum", "tso4", "tso6"] {
        let granted = &a.detail().offloads;
        assert!(
            granted.iter().any(|granted| granted.name() == offload),
            "no {offload} in {granted:?}"
        );
    }
    transfer(&a, &b, b.v4(), 50);
    let port = host.inspect("a").port;
    let mean = port.traffic.rx_bytes / port.traffic.rx_frames;
    assert!(mean > 4000, "frames of {mean} bytes on average: {port:#?}");
}

/// A container that refuses offloads gets frames it can take.
#[test]
fn without_offloads_inside() {
    let (_host, a, b) = pair(&[]);
    for container in [&a, &b] {
        let output =
            container.exec(&["ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gro", "off"]);
        assert!(output.status.success(), "{output}");
    }
    transfer(&a, &b, b.v4(), 10);
    transfer(&b, &a, a.v6(), 10);
}

#[test]
fn with_two_workers() {
    let (host, a, b) = pair(&["--workers", "2", "--uplink", "none"]);
    assert_eq!((host.status().workers, a.detail().queues), (2, 2));
    let flows: Vec<_> = (0..2)
        .flat_map(|_| [(&a, &b, b.v4()), (&b, &a, a.v6())])
        .map(|(from, to, address)| Transfer::start(from, to, address, 20))
        .collect();
    for flow in flows {
        flow.finish();
    }
    let stats = host.stats();
    assert_eq!(stats.workers.len(), 2);
    let sent: u64 = stats.workers.iter().map(|worker| worker.sent).sum();
    assert!(sent > 1000, "{:#?}", stats.workers);
}

#[track_caller]
fn backend(name: &str) {
    let (host, a, b) = pair(&["--backend", name]);
    let status = host.status();
    assert_eq!(status.backend.name(), name);
    assert!(!status.backend_reason.is_empty(), "{status:?}");
    a.ping(b.v6());
    transfer(&a, &b, b.v4(), 50);
    transfer(&b, &a, a.v6(), 20);
}

#[test]
fn by_io_uring() {
    backend("io_uring");
}

#[test]
fn by_epoll() {
    backend("epoll");
}

#[test]
fn by_epoll_with_two_workers() {
    let (_host, a, b) = pair(&["--backend", "epoll", "--workers", "2", "--uplink", "none"]);
    transfer(&a, &b, b.v4(), 20);
    a.ping(b.v6());
}

#[track_caller]
fn idle_policy(name: &str) {
    let (host, a, b) = pair(&["--idle", name]);
    assert_eq!(host.status().idle.name(), name);
    a.ping(b.v4());
    std::thread::sleep(Duration::from_millis(300));
    // The first frame after a silence, then bulk.
    a.ping(b.v6());
    transfer(&a, &b, b.v4(), 10);
}

#[test]
fn with_idle_adaptive() {
    idle_policy("adaptive");
}

#[test]
fn with_idle_spin() {
    idle_policy("spin");
}

#[test]
fn with_idle_sleep() {
    idle_policy("sleep");
}

/// UDP datagrams of every size around the MTU, fragments included.
#[test]
fn datagrams_of_all_sizes() {
    let (_host, a, b) = pair(&[]);
    for size in [0, 1, 17, 18, 1471, 1472, 1473, 2900, 8000, 60000] {
        for address in [b.v4(), b.v6()] {
            let size = format!("{size}");
            let command = ["ping", "-n", "-c2", "-i0.01", "-W2", "-s", &size, &address.to_string()];
            let output = a.exec(&command);
            assert!(output.stdout.contains(" 0% packet loss"), "{output}");
        }
    }
}
