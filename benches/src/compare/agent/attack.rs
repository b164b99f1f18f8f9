//! A hostile container: one thread that sends as fast as it can, until the agent's input ends.
//!
//! It is `ready` once its socket is open, begins with the line `go` (answer `sending`), and answers
//! `count` with what was sent and what the interface handed on. Frames leave through an `AF_PACKET`
//! socket of protocol 0, which receives nothing (packet(7)); the flood of datagrams is one of a plain
//! socket. A send never waits: what the kernel has no room for is lost, and the next frame follows. So
//! the thread takes one CPU, whatever becomes of its frames. That is what makes the baseline fair: the
//! same thread sends the same frames into an interface behind which there is nothing.

use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, send, socket,
};
use serde_json::json;
use wire::MacAddr;

use super::serve;
use crate::limits::ATTACK_BATCH;

mod frames;

use frames::Frames;

/// The discard port, on which nobody listens.
const PORT: u16 = 9;

/// Of an Ethernet frame of 64 bytes, what is left for a datagram.
const PAYLOAD_LEN: usize = 18;

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Attack {
    /// Unicast frames from ever other addresses, to addresses that nobody has.
    MacFlood,
    /// Broadcast frames from its own address.
    BroadcastStorm,
    /// Random bytes behind its own address, of any length and any kind.
    Garbage,
    /// Announcements that it has the address of the victim.
    ArpSpoof,
    /// Datagrams of 64 bytes on the wire, to a third container.
    UdpFlood,
}

/// Attacks from the interface with an address.
pub(super) fn run(kind: Attack, from: Ipv4Addr, victim: Ipv4Addr, third: Ipv4Addr) -> Result<()> {
    let interface = Interface::with(from)?;
    let mut sender = Some(match kind {
        Attack::UdpFlood => Sender::datagrams(from, third)?,
        _ => Sender::frames(&interface, Frames::new(kind, interface.mac, from, victim)?)?,
    });
    let sent = Arc::new(AtomicU64::new(0));
    serve(|line| match line {
        "go" => {
            let (mut sender, sent) = (sender.take().context("it sends already")?, sent.clone());
            std::thread::spawn(move || {
                loop {
                    let taken = (0..ATTACK_BATCH).filter(|_| sender.send()).count();
                    sent.fetch_add(taken as u64, Ordering::Relaxed);
                }
            });
            Ok("sending".to_owned())
        }
        "count" => {
            let (sent, passed) = (sent.load(Ordering::Relaxed), interface.passed()?);
            Ok(json!({ "sent": sent, "passed": passed }).to_string())
        }
        _ => bail!("no order: {line:?}"),
    })
}

/// The one that has an address.
#[derive(Debug)]
struct Interface {
    name: String,
    link: LinkAddr,
    mac: MacAddr,
}

impl Interface {
    fn with(address: Ipv4Addr) -> Result<Self> {
        let all: Vec<_> = getifaddrs().context("list the interfaces")?.collect();
        let has = |storage: &Option<SockaddrStorage>| {
            storage.as_ref().and_then(|s| Some(s.as_sockaddr_in()?.ip())) == Some(address)
        };
        let named = all.iter().find(|entry| has(&entry.address));
        let name = named.with_context(|| format!("no interface has {address}"))?;
        let name = name.interface_name.clone();
        let links = all.iter().filter(|entry| entry.interface_name == name);
        let link = links.filter_map(|entry| entry.address.as_ref()?.as_link_addr().copied()).next();
        let link = link.with_context(|| format!("{name} has no link-layer address"))?;
        let mac = MacAddr(link.addr().with_context(|| format!("{name} has no MAC address"))?);
        Ok(Self { name, link, mac })
    }

    /// Frames that left it so far: of a TAP, those that the switch read.
    fn passed(&self) -> Result<u64> {
        let path = "/proc/self/net/dev";
        let table = std::fs::read_to_string(path).with_context(|| format!("read {path}"))?;
        tx_packets(&table, &self.name).with_context(|| format!("{path} has no {}", self.name))
    }
}

/// Of the table of proc_pid_net_dev(5): eight counters of what came, then bytes and frames that left.
fn tx_packets(table: &str, name: &str) -> Option<u64> {
    let mut lines = table.lines().filter_map(|line| line.split_once(':'));
    let (_, counters) = lines.find(|(interface, _)| interface.trim() == name)?;
    counters.split_whitespace().nth(9)?.parse().ok()
}

/// Something that sends one frame at a call, and does not wait.
#[derive(Debug)]
enum Sender {
    Frames { socket: OwnedFd, frames: Frames },
    Datagrams(UdpSocket),
}

impl Sender {
    fn frames(interface: &Interface, frames: Frames) -> Result<Self> {
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
            .context("a socket for frames (needs CAP_NET_RAW)")?;
        bind(socket.as_raw_fd(), &interface.link)
            .with_context(|| format!("bind a socket to {}", interface.name))?;
        Ok(Self::Frames { socket, frames })
    }

    fn datagrams(from: Ipv4Addr, to: Ipv4Addr) -> Result<Self> {
        let socket = UdpSocket::bind((from, 0)).with_context(|| format!("bind {from}"))?;
        socket.connect((to, PORT)).with_context(|| format!("connect to {to}"))?;
        socket.set_nonblocking(true).context("O_NONBLOCK")?;
        Ok(Self::Datagrams(socket))
    }

    /// Whether the kernel took it.
    fn send(&mut self) -> bool {
        match self {
            Self::Frames { socket, frames } => {
                send(socket.as_raw_fd(), frames.next(), MsgFlags::MSG_DONTWAIT).is_ok()
            }
            Self::Datagrams(socket) => socket.send(&[0; PAYLOAD_LEN]).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests;
