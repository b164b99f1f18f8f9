//! For tests: a network namespace with a NIC whose cable is in the test's hand.
//!
//! The NIC is a TAP: what is written into it arrives at the host, what the host sends is read from it.
//! The namespace is the test's thread's own and goes with it. Needs root.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::Duration;

use fastpath::tap::{Tap, TapConfig};
use nix::sched::{CloneFlags, unshare};

/// Bytes of the offload header before each frame.
const VNET: usize = 12;

/// How long a frame may take within the host.
const SETTLE: Duration = Duration::from_millis(20);

/// Runs a test in a network namespace of its own.
pub(crate) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace needs root");
        run("ip link set lo up");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// The same with a runtime.
pub(crate) fn in_namespace_async<F: Future<Output = ()>>(
    test: impl FnOnce() -> F + Send + 'static,
) {
    in_namespace(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test());
    });
}

/// Runs a command line without quoting; gives what it printed.
#[track_caller]
pub(crate) fn run(line: &str) -> String {
    let (ok, text) = attempt(line);
    assert!(ok, "{line}: {text}");
    text
}

/// The same; whether it succeeded.
pub(crate) fn attempt(line: &str) -> (bool, String) {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().expect(line);
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// Loads a ruleset in the language of `nft`.
#[track_caller]
pub(crate) fn nft(rules: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), rules).unwrap();
    run(&format!("nft -f {}", file.path().display()));
}

/// A device with its other end.
pub(crate) struct Wire {
    pub(crate) tap: Tap,
}

impl Wire {
    /// Makes the device and brings it up without neighbour discovery of its own.
    pub(crate) fn new(name: &str) -> Self {
        let tap = Tap::create(&TapConfig { name, queues: 1 }).expect("a TAP needs root");
        let conf = format!("/proc/sys/net/ipv6/conf/{name}");
        for (key, value) in
            [("accept_dad", "0"), ("addr_gen_mode", "1"), ("router_solicitations", "0")]
        {
            std::fs::write(format!("{conf}/{key}"), value).unwrap();
        }
        run(&format!("ip link set {name} up"));
        Self { tap }
    }

    fn queue(&self) -> &OwnedFd {
        &self.tap.queues[0]
    }

    /// A frame arrives by the cable.
    pub(crate) fn send(&self, frame: &[u8]) {
        let bytes = [&[0; VNET][..], frame].concat();
        assert_eq!(rustix::io::write(self.queue(), &bytes).unwrap(), bytes.len());
    }

    /// All that the host has sent, after a moment; without its IPv6 multicast reports, which come when they like.
    pub(crate) fn received(&self) -> Vec<Vec<u8>> {
        std::thread::sleep(SETTLE);
        let mut buffer = vec![0; 70_000];
        let mut frames = Vec::new();
        while let Ok(len) = rustix::io::read(self.queue(), &mut buffer[..]) {
            if !buffer[VNET..].starts_with(&[0x33, 0x33]) {
                frames.push(buffer[VNET..len].to_vec());
            }
        }
        frames
    }
}

/// Puts an Ethernet header before a packet.
pub(crate) fn ethernet(destination: [u8; 6], ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let source = [2, 0, 0, 0, 0, 0x99];
    [&destination[..], &source, &ethertype.to_be_bytes(), packet].concat()
}

/// An IPv4 packet; `fragment`: flags and offset as they stand in the header.
pub(crate) fn ipv4(
    (source, destination): (Ipv4Addr, Ipv4Addr),
    protocol: u8,
    fragment: u16,
    payload: &[u8],
) -> Vec<u8> {
    let len = (20 + payload.len()) as u16;
    let mut header = vec![0x45, 0];
    header.extend(len.to_be_bytes());
    header.extend([0, 1]);
    header.extend(fragment.to_be_bytes());
    header.extend([64, protocol, 0, 0]);
    header.extend(source.octets());
    header.extend(destination.octets());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    [&header, payload].concat()
}

/// An IPv6 packet.
pub(crate) fn ipv6(
    (source, destination): (Ipv6Addr, Ipv6Addr),
    next: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(payload);
    packet
}

/// The first bytes of a UDP datagram or TCP segment: ports, and enough behind them.
pub(crate) fn ports(source: u16, destination: u16) -> Vec<u8> {
    let mut bytes = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    bytes.extend([0; 16]);
    bytes[12] = 0x50;
    bytes
}

/// An ICMP message with its checksum; the kernel looks at that of IPv4.
pub(crate) fn icmp(kind: u8, rest: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0];
    message.extend(rest);
    message.extend(body);
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Whether a port of the host can be had within a second: a child of another test, between its fork and its exec,
/// still has the descriptors of all.
pub(crate) fn is_free(address: impl std::net::ToSocketAddrs + Copy) -> bool {
    (0..50).any(|_| {
        std::thread::sleep(SETTLE);
        std::net::TcpListener::bind(address).is_ok()
    })
}
