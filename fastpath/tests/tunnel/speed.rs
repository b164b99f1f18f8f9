//! Batches of one worker that sends and receives. What it measures is printed:
//!
//! ```text
//! cargo test --release -p vswitch-fastpath --test tunnel speed -- --nocapture
//! ```
#![allow(clippy::print_stdout, reason = "it tells what it measured")]

use std::net::SocketAddr;

use testkit::in_namespace;
use vswitch_fastpath::{UdpSockets, Wait};

use crate::rig::{A, B, Rig, conf, header, open, rigs};
use crate::underlay::{Underlay, far, near};

/// Payload of a datagram, and of a frame with as many as fit.
const SEGMENT: usize = 1_450;
const FRAME: usize = 45 * SEGMENT;

const ROUNDS: usize = 500;

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// One worker sends four frames a round by four sockets, and receives them. Returns the datagrams that a read
/// brings. Speeds are by the thread's processor time, since others may run, too.
fn measure(
    rig: &mut Rig,
    link: &str,
    sockets: [UdpSockets; 2],
    there: SocketAddr,
    len: usize,
) -> f64 {
    let [from, to] = sockets;
    rig.attach(A, from);
    rig.attach(B, to);
    let payload = vec![7; len];
    let segment = if len > SEGMENT { SEGMENT } else { 0 };
    let (start, calls, mut reads) = (cpu_seconds(), rig.engine.stats().syscalls, 0);
    for _ in 0..ROUNDS {
        for socket in 0..4 {
            rig.send(A, header(there, segment as u16, socket), &payload);
        }
        rig.round(Wait::No);
        reads += rig.received.len();
        let received = std::mem::take(&mut rig.received);
        received.into_iter().for_each(|it| rig.pool.release(it.frame));
    }
    let seconds = cpu_seconds() - start;
    let (tx, rx) = (rig.engine.port_io(A), rig.engine.port_io(B).traffic);
    let per_read = rx.rx_frames as f64 / (reads as f64).max(1.0);
    println!(
        "{link}, {}, {len} B: {:.1} Gb/s, {:.0} k datagrams/s received, {per_read:.1} a read, \
         {:.2} system calls a frame, drops {:?}",
        rig.name,
        rx.rx_bytes as f64 * 8e-9 / seconds,
        rx.rx_frames as f64 / seconds / 1e3,
        (rig.engine.stats().syscalls - calls) as f64 / (4 * ROUNDS) as f64,
        tx.tx_drops,
    );
    drop([rig.detach(A), rig.detach(B)]);
    rig.take();
    per_read
}

#[test]
fn one_worker_reads_what_was_sent_together() {
    in_namespace(|| {
        let underlay = Underlay::new();
        let loopback = "127.0.0.1:0".parse().expect("an address");
        for (link, offloads, local, least) in [
            ("loopback", "gro off", loopback, 45.0),
            ("veth, tx on gro off", "tx on gro off", near(0), 45.0),
            ("veth, tx off gro on", "tx off gro on", near(0), 8.0),
        ] {
            underlay.set_offloads(offloads);
            for mut rig in rigs() {
                for len in [FRAME, SEGMENT, 64] {
                    let (to, there) = match local == loopback {
                        true => open(&conf(local)),
                        false => underlay.at_far(|| open(&conf(far(0)))),
                    };
                    let from = open(&conf(local)).0;
                    let per_read = measure(&mut rig, link, [from, to], there, len);
                    assert!(len < FRAME || per_read >= least, "{link}: {per_read} a read");
                }
            }
        }
    });
}
