//! How fast one worker moves datagrams. Run alone, in release mode:
//!
//! ```text
//! cargo test --release -p vswitch-fastpath --test tunnel speed -- --ignored --nocapture
//! ```
#![allow(clippy::print_stdout, reason = "it tells what it measured")]

use std::net::SocketAddr;
use std::time::Duration;

use testkit::in_namespace;
use vswitch_fastpath::{UdpSockets, Wait};

use crate::rig::{A, B, Rig, conf, header, now, open, rigs};
use crate::underlay::{Underlay, far, near};

/// Payload of a frame: as many datagrams of 1,450 bytes as fit.
const SEGMENT: usize = 1_450;
const FRAME: usize = 45 * SEGMENT;

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// One worker sends and receives for a second; what it does in a second of its processor's time.
fn measure(rig: &mut Rig, link: &str, sockets: [UdpSockets; 2], there: SocketAddr, frame: usize) {
    let [from, to] = sockets;
    rig.attach(A, from);
    rig.attach(B, to);
    let payload = vec![7; frame];
    let segment = if frame > SEGMENT { SEGMENT } else { 0 };
    let (start, cpu_start, mut reads) = (now(), cpu_seconds(), 0);
    while start.elapsed() < Duration::from_secs(1) {
        for socket in 0..4 {
            rig.send(A, header(there, segment as u16, socket), &payload);
        }
        rig.round(Wait::No);
        reads += rig.received.len();
        let received = std::mem::take(&mut rig.received);
        received.into_iter().for_each(|it| rig.pool.release(it.frame));
    }
    // Others may run too: by processor time.
    let seconds = cpu_seconds() - cpu_start;
    let (tx, rx) = (rig.engine.port_io(A), rig.engine.port_io(B).traffic);
    let calls = rig.engine.stats().syscalls;
    println!(
        "{link}, {}, {frame} B: {:.1} Gb/s sent, {:.1} received, {:.1} datagrams a read, {:.0} k datagrams/s received, \
         {:.2} calls a frame, drops {:?}",
        rig.name,
        tx.traffic.tx_bytes as f64 * 8e-9 / seconds,
        rx.rx_bytes as f64 * 8e-9 / seconds,
        rx.rx_frames as f64 / (reads as f64).max(1.0),
        rx.rx_frames as f64 / seconds / 1e3,
        calls as f64 / (reads as f64).max(1.0),
        tx.tx_drops,
    );
    drop([rig.detach(A), rig.detach(B)]);
    rig.take();
}

#[test]
#[ignore = "a measurement"]
fn speed_of_one_worker() {
    in_namespace(|| {
        let underlay = Underlay::new();
        for (link, offloads) in [
            ("loopback", ""),
            ("veth with offloads", "gro off"),
            ("veth, tx off gro on", "tx off gro on"),
        ] {
            for mut rig in rigs() {
                for frame in [FRAME, SEGMENT, 64] {
                    let (local, remote) = match offloads {
                        "" => ("127.0.0.1:0".parse().expect("an address"), None),
                        words => {
                            underlay.set_offloads(words);
                            (near(0), Some(far(0)))
                        }
                    };
                    let (to, there) = match remote {
                        None => open(&conf(local)),
                        Some(remote) => underlay.at_far(|| open(&conf(remote))),
                    };
                    measure(&mut rig, link, [open(&conf(local)).0, to], there, frame);
                }
            }
        }
    });
}
