//! Over loopback.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{
    AddressFamily, Protocol, RawProtocol, SocketFlags, SocketType, bind, getsockname, socket_with,
};
use vswitch_fastpath::datagram::Header;
use vswitch_fastpath::udp::UdpConf;
use vswitch_fastpath::{TxDrop, UdpSockets, Wait};

use crate::rig::{A, B, Rig, conf, header, open, plain, rigs};

/// Both engines on both families.
fn rigs_and_families() -> impl Iterator<Item = (Rig, SocketAddr)> {
    ["127.0.0.1:0", "[::1]:0"].into_iter().flat_map(|local| {
        let local = local.parse().expect("an address");
        rigs().map(|rig| (rig, local))
    })
}

#[test]
fn datagrams_come_with_their_source_and_leave_for_their_peer() {
    for (mut rig, local) in rigs_and_families() {
        let far = plain(local);
        let there = far.local_addr().expect("bound");
        let (queue, here) = open(&conf(local));
        rig.attach(A, queue);
        for number in 0..40_u8 {
            far.send_to(&[number; 60], here).expect("loopback");
        }
        let mut got = Vec::new();
        rig.until(|rig| {
            got.extend(rig.take());
            got.len() == 40
        });
        for (number, (from, payload)) in got.into_iter().enumerate() {
            assert_eq!(from, header(there, 0, 0), "{}", rig.name);
            assert_eq!(payload, [number as u8; 60], "{}", rig.name);
            rig.send(A, header(from.peer, 0, 0), &payload);
        }
        rig.until(|rig| rig.engine.writes_in_flight() == 0);
        let mut bytes = [0; 100];
        for number in 0..40_u8 {
            let (len, from) = far.recv_from(&mut bytes).expect("a datagram");
            assert_eq!(bytes[..len], [number; 60], "{}", rig.name);
            assert_eq!(from.ip(), here.ip(), "{}", rig.name);
        }
        let io = rig.engine.port_io(A).traffic;
        assert_eq!((io.rx_frames, io.rx_bytes), (40, 40 * 60), "{}", rig.name);
        assert_eq!((io.tx_frames, io.tx_bytes), (40, 40 * 60), "{}", rig.name);
        rig.assert_clean();
    }
}

/// From one tunnel to another: `UDP_SEGMENT` on one side, `UDP_GRO` on the other.
#[test]
fn a_segmented_frame_arrives_as_one_frame() {
    for (mut rig, local) in rigs_and_families() {
        rig.attach(A, open(&conf(local)).0);
        let (queue, there) = open(&conf(local));
        rig.attach(B, queue);
        let payload: Vec<u8> = (0..30_500_u32).map(|byte| byte as u8).collect();
        rig.send(A, header(there, 1_000, 2), &payload);
        rig.until(|rig| !rig.received.is_empty());
        let got = rig.take();
        assert_eq!(got.len(), 1, "{}", rig.name);
        assert_eq!((got[0].0.segment, got[0].1.len()), (1_000, 30_500), "{}", rig.name);
        assert!(got[0].1 == payload, "{}", rig.name);
        let counts = |port| {
            let io = rig.engine.port_io(port).traffic;
            [io.rx_frames, io.rx_bytes, io.tx_frames, io.tx_bytes]
        };
        assert_eq!(counts(A), [0, 0, 31, 30_500], "{}", rig.name);
        assert_eq!(counts(B), [31, 30_500, 0, 0], "{}", rig.name);
        rig.assert_clean();
    }
}

/// Datagrams of one flow that are sent in one round leave by one send, and come by one read; the flow beside it does, too.
#[test]
fn datagrams_of_one_flow_leave_together() {
    // All have one tunnel header.
    let datagram = |number: u8, len: usize| [vec![0; 8], vec![number; len - 8]].concat();
    for (mut rig, local) in rigs_and_families() {
        rig.attach(A, open(&conf(local)).0);
        let (queue, there) = open(&conf(local));
        rig.attach(B, queue);
        for number in 0..20_u8 {
            rig.send(A, header(there, 0, u16::from(number % 2)), &datagram(number, 1_000));
        }
        rig.send(A, header(there, 0, 0), &datagram(20, 300));
        let mut got = Vec::new();
        rig.until(|rig| {
            got.extend(rig.take());
            got.len() == 2
        });
        let first = |got: &(Header, Vec<u8>)| got.1[8];
        got.sort_by_key(first);
        for (flow, (from, payload)) in got.iter().enumerate() {
            let mut expected: Vec<_> =
                (0..10).flat_map(|n| datagram(2 * n + flow as u8, 1_000)).collect();
            if flow == 0 {
                expected.extend(datagram(20, 300));
            }
            assert!(from.segment == 1_000 && *payload == expected, "{}", rig.name);
        }
        let io = rig.engine.port_io(A).traffic;
        assert_eq!((io.tx_frames, io.tx_bytes), (21, 20_300), "{}", rig.name);
        rig.assert_clean();
    }
}

/// Without checksums the kernel cannot segment: each datagram is a send.
#[test]
fn without_checksums_nothing_is_joined() {
    for (mut rig, local) in rigs_and_families() {
        let without = UdpConf { checksum: false, ..conf(local) };
        rig.attach(A, open(&without).0);
        let (queue, there) = open(&without);
        rig.attach(B, queue);
        (0..4).for_each(|number| rig.send(A, header(there, 0, 0), &[number; 100]));
        let mut got = Vec::new();
        rig.until(|rig| {
            got.extend(rig.take());
            got.len() == 4
        });
        assert!(got.iter().all(|(from, _)| from.segment == 0), "{}", rig.name);
        assert_eq!(rig.engine.stats().segmentation_refusals, 0, "{}", rig.name);
        rig.assert_clean();
    }
}

/// Type of service and traffic class, of one datagram and of many: with `UDP_SEGMENT` and `UDP_GRO` as well.
#[test]
fn the_type_of_service_leaves_and_arrives() {
    for (mut rig, local) in rigs_and_families() {
        rig.attach(A, open(&conf(local)).0);
        let (queue, there) = open(&conf(local));
        rig.attach(B, queue);
        for tos in [0, 1, 2, 3, 0xb9, 0] {
            for (segment, len) in [(0, 100), (1_000, 30_500)] {
                rig.send(A, Header { tos, ..header(there, segment, 2) }, &vec![tos; len]);
                let mut got = Vec::new();
                rig.until(|rig| {
                    got.extend(rig.take());
                    got.iter().map(|it| it.1.len()).sum::<usize>() == len
                });
                let all = got.iter().all(|(from, _)| from.tos == tos);
                assert!(all, "{} {tos}: {:?}", rig.name, got[0].0);
                assert_eq!(got[0].0.segment, segment, "{}", rig.name);
            }
        }
        rig.assert_clean();
    }
}

#[test]
fn the_header_chooses_the_source_port() {
    for (mut rig, local) in rigs_and_families() {
        let far = plain(local);
        let there = far.local_addr().expect("bound");
        rig.attach(A, open(&conf(local)).0);
        for socket in 0..16_u16 {
            rig.send(A, header(there, 0, socket), &socket.to_be_bytes());
        }
        rig.until(|rig| rig.engine.writes_in_flight() == 0);
        let mut ports = std::collections::BTreeMap::<u16, Vec<u16>>::new();
        let mut bytes = [0; 2];
        for _ in 0..16 {
            let (_, from) = far.recv_from(&mut bytes).expect("a datagram");
            ports.entry(from.port()).or_default().push(u16::from_be_bytes(bytes));
        }
        assert_eq!(ports.len(), 4, "{}: {ports:?}", rig.name);
        for flows in ports.values() {
            let expected: Vec<_> = (0..4).map(|turn| flows[0] + 4 * turn).collect();
            assert_eq!(*flows, expected, "{}: in order", rig.name);
        }
    }
}

/// Answers to the sending sockets are refused: nobody would read them.
#[test]
fn sending_sockets_take_nothing() {
    for (mut rig, local) in rigs_and_families() {
        let far = plain(local);
        let there = far.local_addr().expect("bound");
        rig.attach(A, open(&conf(local)).0);
        rig.send(A, header(there, 0, 0), b"a question");
        rig.until(|rig| rig.engine.writes_in_flight() == 0);
        let (_, from) = far.recv_from(&mut [0; 20]).expect("a datagram");
        for _ in 0..10 {
            far.send_to(b"an answer", from).expect("loopback");
        }
        rig.round(Wait::For(Duration::from_millis(20)));
        let sockets = rig.detach(A);
        for socket in sockets.send {
            let empty = UdpSocket::from(socket).recv(&mut [0; 20]);
            let kind = empty.expect_err("it has nothing").kind();
            assert_eq!(kind, std::io::ErrorKind::WouldBlock, "{}", rig.name);
        }
    }
}

/// A peer that is not there answers with ICMP; the port goes on, and hears the peer that comes later.
#[test]
fn a_port_survives_a_peer_that_is_not_there() {
    for (mut rig, local) in rigs_and_families() {
        let far = plain(local);
        let there = far.local_addr().expect("bound");
        let (queue, here) = open(&conf(local));
        rig.attach(A, queue);
        drop(far);
        for socket in 0..8 {
            rig.send(A, header(there, 0, socket % 2), &[1; 60]);
            (0..10).for_each(|_| rig.round(Wait::For(Duration::from_millis(1))));
        }
        let far = UdpSocket::bind(there).expect("the port is free again");
        far.send_to(&[2; 60], here).expect("loopback");
        rig.until(|rig| !rig.received.is_empty());
        rig.take();
        assert!(rig.engine.is_open(A) && rig.engine.next_event().is_none(), "{}", rig.name);
        let io = rig.engine.port_io(A);
        assert_eq!((io.traffic.tx_frames, io.tx_drops), (8, [0; TxDrop::COUNT]), "{}", rig.name);
        rig.assert_clean();
    }
}

/// Buffers of one datagram each teach the engine a depth of 32; those behind them have 60.
#[test]
fn a_round_brings_no_more_datagrams_than_it_has_frames() {
    for (mut rig, local) in rigs_and_families() {
        rig.attach(A, open(&conf(local)).0);
        let (queue, here) = open(&conf(local));
        for number in 0..60 {
            let (segment, len) = if number < 40 { (0, 64) } else { (64, 60 * 64) };
            rig.send(A, header(here, segment, 0), &vec![number; len]);
            rig.until(|rig| rig.engine.writes_in_flight() == 0);
        }
        rig.attach(B, queue);
        let (mut got, mut largest) = (Vec::new(), 0);
        rig.until(|rig| {
            let round = rig.take();
            let datagrams = round.iter().map(|(header, bytes)| header.datagrams(bytes.len()));
            largest = largest.max(datagrams.sum());
            got.extend(round);
            got.len() == 60
        });
        assert!((61..=256).contains(&largest), "{}: {largest}", rig.name);
        assert!(got.iter().zip(0..).all(|((_, bytes), number)| bytes[0] == number), "in order");
        assert_eq!(rig.engine.port_io(B).traffic.rx_frames, 40 + 20 * 60, "{}", rig.name);
        rig.assert_clean();
    }
}

/// Datagrams that came while the switch did not read.
#[test]
fn what_a_full_socket_drops_is_counted() {
    for (mut rig, local) in rigs_and_families() {
        let (queue, here) = open(&conf(local));
        rustix::net::sockopt::set_socket_recv_buffer_size(&queue.receive, 32 * 1024)
            .expect("a smaller buffer");
        let far = plain(local);
        for _ in 0..100 {
            far.send_to(&[1; 1_000], here).expect("loopback");
        }
        rig.attach(A, queue);
        let all = |rig: &Rig| {
            let io = rig.engine.port_io(A);
            io.rx_overflow + io.traffic.rx_frames == 100 && io.rx_overflow >= 50
        };
        rig.until(|rig| all(rig));
        drop(rig.detach(A));
        assert!(all(&rig), "{}: kept until the slot is attached again", rig.name);
        rig.take();
        rig.assert_clean();
    }
}

/// A socket of UDP-Lite (RFC 3828), which the kernel does not segment for: `EIO`, as where the way out cannot.
fn lite(local: SocketAddr) -> OwnedFd {
    let family = if local.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let udp_lite = RawProtocol::new(136).map(Protocol::from_raw);
    let socket = socket_with(family, SocketType::DGRAM, flags, udp_lite).expect("UDP-Lite");
    bind(&socket, &local).expect("the address is there");
    socket
}

#[test]
fn a_kernel_that_cannot_segment_is_asked_once() {
    for (mut rig, local) in rigs_and_families() {
        let receive = lite(local);
        let there = getsockname(&receive).expect("bound").try_into().expect("an address");
        let send = vec![lite(local), lite(local)];
        rig.attach(A, UdpSockets { receive, send, segmentation: true });
        for socket in [0, 1] {
            rig.send(A, header(there, 1_000, socket), &[7; 4_500]);
            rig.until(|rig| rig.engine.writes_in_flight() == 0);
        }
        let mut got = Vec::new();
        rig.until(|rig| {
            got.extend(rig.take());
            got.len() == 10
        });
        assert_eq!(got[4].1, [7; 500], "{}", rig.name);
        assert_eq!(rig.engine.stats().segmentation_refusals, 1, "{}", rig.name);
        let io = rig.engine.port_io(A);
        assert_eq!((io.traffic.tx_frames, io.traffic.tx_bytes), (10, 9_000), "{}", rig.name);
        assert_eq!(io.tx_drops, [0; TxDrop::COUNT], "{}", rig.name);
        rig.assert_clean();
    }
}
