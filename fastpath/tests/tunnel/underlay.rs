//! Over a veth pair between two namespaces, with a link's MTU and offloads.

use std::fs::File;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use testkit::{Netns, READY_MAX, attempt, in_namespace, run_line, wait_for};
use vswitch_fastpath::udp::UdpConf;
use vswitch_fastpath::{TxDrop, Wait};

use crate::rig::{A, B, Rig, conf, header, open, plain, rigs};

/// Bytes of payload in a packet of 1,500 bytes, with an IPv4 and with an IPv6 header.
const FITS: [usize; 2] = [1_472, 1_452];

/// The far end of a link whose near end is in the namespace of the test.
pub(crate) struct Underlay {
    far: Netns,
}

impl Underlay {
    pub(crate) fn new() -> Self {
        let far = Netns::new("far");
        run_line(&format!("ip link add ul type veth peer name ul netns {}", far.name()));
        for (side, host) in [(None, 1), (Some(&far), 2)] {
            for line in [
                format!("ip address add 192.0.2.{host}/24 dev ul"),
                format!("ip address add 2001:db8::{host}/64 dev ul nodad"),
                "ip link set ul up".to_owned(),
            ] {
                match side {
                    None => drop(run_line(&line)),
                    Some(far) => far.run_lines(&[&line]),
                }
            }
        }
        for host in ["192.0.2.2", "2001:db8::2"] {
            wait_for("the link", READY_MAX, || attempt(&format!("ping -c 1 -W 1 {host}")).0);
        }
        Self { far }
    }

    /// Sets offloads at both ends, in the words of `ethtool -K`.
    pub(crate) fn set_offloads(&self, words: &str) {
        run_line(&format!("ethtool -K ul {words}"));
        self.far.run_lines(&[&format!("ethtool -K ul {words}")]);
    }

    /// Runs in the far namespace.
    pub(crate) fn at_far<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        let netns = File::open(self.far.path()).expect("it is there");
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                nix::sched::setns(netns, nix::sched::CloneFlags::CLONE_NEWNET).expect("root");
                run()
            });
            inside.join().expect("no panic")
        })
    }
}

pub(crate) fn near(family: usize) -> SocketAddr {
    ["192.0.2.1:0", "[2001:db8::1]:0"][family].parse().expect("an address")
}

pub(crate) fn far(family: usize) -> SocketAddr {
    ["192.0.2.2:0", "[2001:db8::2]:0"][family].parse().expect("an address")
}

/// Runs a test with both engines, on both families, each in a namespace of its own.
fn each(test: impl Fn(&Underlay, Rig, usize) + Send + Copy + 'static) {
    in_namespace(move || {
        let underlay = Underlay::new();
        for family in 0..2 {
            for rig in rigs() {
                test(&underlay, rig, family);
            }
        }
    });
}

/// Sends 40 datagrams in one frame from A to B; returns the frames that B read.
fn forty(underlay: &Underlay, rig: &mut Rig, family: usize) -> usize {
    let len = FITS[family];
    rig.attach(A, open(&conf(near(family))).0);
    let (queue, there) = underlay.at_far(|| open(&conf(far(family))));
    rig.attach(B, queue);
    let payload: Vec<u8> = (0..40 * len).map(|byte| (byte / 7) as u8).collect();
    rig.send(A, header(there, len as u16, 0), &payload);
    let mut got = Vec::new();
    rig.until(|rig| {
        got.extend(rig.take());
        got.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() == payload.len()
    });
    let joined: Vec<u8> = got.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    assert!(joined == payload, "{}", rig.name);
    let io = [rig.engine.port_io(A).traffic, rig.engine.port_io(B).traffic];
    assert_eq!((io[0].tx_frames, io[1].rx_frames), (40, 40), "{}", rig.name);
    rig.assert_clean();
    got.len()
}

#[test]
fn a_frame_passes_a_link_with_offloads_whole() {
    each(|underlay, mut rig, family| {
        assert_eq!(forty(underlay, &mut rig, family), 1, "{}, {family}", rig.name);
    });
}

/// The kernel segments before the link, and joins again behind it.
#[test]
fn a_frame_passes_a_link_without_offloads_in_few_reads() {
    each(|underlay, mut rig, family| {
        underlay.set_offloads("tx off gro on");
        let reads = forty(underlay, &mut rig, family);
        assert!(reads <= 10, "{}, {family}: {reads} reads for 40 datagrams", rig.name);
    });
}

#[test]
fn datagrams_above_the_mtu_are_too_big_and_others_pass() {
    each(|underlay, mut rig, family| {
        rig.attach(A, open(&conf(near(family))).0);
        let socket = underlay.at_far(|| plain(far(family)));
        let there = socket.local_addr().expect("bound");
        let fits = FITS[family];
        rig.send(A, header(there, 0, 0), &vec![1; fits + 1]);
        rig.send(A, header(there, fits as u16 + 1, 0), &vec![2; 3 * fits]);
        rig.send(A, header(there, 0, 0), &vec![3; fits]);
        rig.until(|rig| rig.engine.writes_in_flight() == 0);
        let mut bytes = vec![0; 2 * fits];
        assert_eq!(socket.recv(&mut bytes).expect("a datagram"), fits, "{}", rig.name);
        let io = rig.engine.port_io(A);
        assert_eq!(io.traffic.tx_frames, 1, "{}: {io:?}", rig.name);
        assert_eq!(io.tx_drops[TxDrop::TooBig as usize], 4, "{}: {io:?}", rig.name);
        let mut unsent = Vec::new();
        rig.engine.take_unsent(&mut unsent);
        let (datagrams, bytes) =
            unsent.iter().fold((0, 0), |sum, it| (sum.0 + it.datagrams, sum.1 + it.bytes));
        assert_eq!((datagrams, bytes), (4, 4 * fits as u64 + 1), "{}: {unsent:?}", rig.name);
        assert!(unsent.iter().all(|it| it.peer == there), "{}: {unsent:?}", rig.name);
        rig.assert_clean();
    });
}

#[test]
fn no_route_is_a_drop_and_ends_with_the_route() {
    each(|underlay, mut rig, family| {
        rig.attach(A, open(&conf(near(family))).0);
        let (queue, there) = underlay.at_far(|| open(&conf(far(family))));
        rig.attach(B, queue);
        let elsewhere = ["203.0.113.1:9", "[2001:db8:1::1]:9"][family];
        rig.send(A, header(elsewhere.parse().expect("an address"), 100, 0), &[1; 250]);
        rig.send(A, header(there, 100, 0), &[2; 250]);
        rig.until(|rig| !rig.received.is_empty());
        let io = rig.engine.port_io(A);
        assert_eq!(io.traffic.tx_frames, 3, "{}: {io:?}", rig.name);
        assert_eq!(io.tx_drops[TxDrop::Unreachable as usize], 3, "{}: {io:?}", rig.name);
        rig.take();
        rig.assert_clean();
    });
}

/// Checksums of zero leave, and are taken; the kernel then refuses to segment.
#[test]
fn without_checksums_datagrams_leave_one_by_one() {
    each(|underlay, mut rig, family| {
        let table = if family == 0 { "ip" } else { "ip6" };
        underlay.far.run_lines(&[
            &format!("nft add table {table} seen"),
            &format!("nft add chain {table} seen in {{ type filter hook input priority 0 ; }}"),
            &format!("nft add rule {table} seen in udp checksum 0 counter"),
        ]);
        let (mut queue, _) = open(&UdpConf { checksum: false, ..conf(near(family)) });
        assert!(!queue.segmentation);
        // As if the kernel changed its mind: refused, and sent one by one.
        queue.segmentation = true;
        rig.attach(A, queue);
        // Over IPv6 only such a socket takes them.
        let without = UdpConf { checksum: false, ..conf(far(family)) };
        let (queue, there) = underlay.at_far(|| open(&without));
        rig.attach(B, queue);
        rig.send(A, header(there, 1_000, 0), &[7; 4_500]);
        let mut got = Vec::new();
        rig.until(|rig| {
            got.extend(rig.take());
            got.len() == 5
        });
        assert_eq!(got[4].1.len(), 500, "{}", rig.name);
        assert_eq!(rig.engine.stats().segmentation_refusals, 1, "{}", rig.name);
        assert_eq!(rig.engine.port_io(A).traffic.tx_frames, 5, "{}", rig.name);
        let rules = underlay.far.ok(&["nft", "list", "table", table, "seen"]);
        assert!(rules.contains("counter packets 5 "), "{}: {rules}", rig.name);
        underlay.far.run_lines(&[&format!("nft delete table {table} seen")]);
        rig.assert_clean();
    });
}

/// Frames sent before are sent, and each counts once; what was received and not read is lost with its
/// socket, and no buffer is.
#[test]
fn a_port_detached_under_load_loses_no_buffer() {
    each(|underlay, mut rig, family| {
        rig.attach(A, open(&conf(near(family))).0);
        let (queue, there) = underlay.at_far(|| open(&conf(far(family))));
        rig.attach(B, queue);
        for round in 0..50 {
            for socket in 0..8 {
                rig.send(A, header(there, 1_000, socket), &[7; 20_000]);
            }
            if round < 49 {
                rig.round(Wait::No);
            }
        }
        let sockets = rig.detach(A);
        assert_eq!(sockets.send.len(), 4);
        drop(rig.detach(B));
        rig.take();
        let io = rig.engine.port_io(A);
        let drops: u64 = io.tx_drops.iter().sum();
        assert_eq!(io.traffic.tx_frames + drops, 50 * 8 * 20, "{}: {io:?}", rig.name);
        let received = rig.engine.port_io(B);
        assert!(received.traffic.rx_frames > 0, "{}: {io:?}, {received:?}", rig.name);
        rig.assert_clean();
    });
}

#[test]
fn a_link_that_is_down_is_a_drop_until_it_is_up() {
    each(|underlay, mut rig, family| {
        rig.attach(A, open(&conf(near(family))).0);
        let (queue, there) = underlay.at_far(|| open(&conf(far(family))));
        rig.attach(B, queue);
        run_line("ip link set ul down");
        rig.send(A, header(there, 0, 0), &[1; 100]);
        rig.until(|rig| rig.engine.writes_in_flight() == 0);
        let io = rig.engine.port_io(A);
        assert_eq!(
            (io.traffic.tx_frames, io.tx_drops.iter().sum()),
            (0, 1),
            "{}: {io:?}",
            rig.name
        );
        run_line("ip link set ul up");
        run_line("ip address replace 2001:db8::1/64 dev ul nodad");
        let mut tries = 0;
        while rig.received.is_empty() {
            assert!(tries < 100, "{}: nothing arrives", rig.name);
            tries += 1;
            rig.send(A, header(there, 0, 0), &[1; 100]);
            rig.round(Wait::For(Duration::from_millis(50)));
        }
        assert!(rig.engine.is_open(A), "{}", rig.name);
        rig.take();
    });
}
