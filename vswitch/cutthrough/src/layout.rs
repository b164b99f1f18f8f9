//! What the programs share with the switch; `bpf/layout.h` has the same structures.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU64;

/// Version of the layout: programs of another one cannot be adopted.
pub(crate) const LAYOUT_VERSION: u64 = 1;
/// Buckets of the table of allowed handshakes, a power of two.
pub(crate) const ALLOWED_BUCKETS: usize = 4096;
/// Ends in a bucket.
pub(crate) const ALLOWED_WAYS: usize = 4;
/// Words of 8 bytes of an allowed end.
pub(crate) const ALLOWED_WORDS: usize = 9;
/// Bytes of a connection.
pub(crate) const CONNECTION_BYTES: usize = 16 + 2 * END_BYTES;
/// Bytes of an end of a connection.
const END_BYTES: usize = TUPLE_BYTES + 24;
const TUPLE_BYTES: usize = 48;

/// The kernel's cookie of a network namespace (`SO_NETNS_COOKIE`), which no other ever has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetnsCookie(pub NonZeroU64);

/// An end of a connection as its socket sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple {
    /// The namespace of the socket.
    pub netns: NetnsCookie,
    /// Its own address and port.
    pub local: SocketAddr,
    /// The address and port that it speaks to, before or after a translation.
    pub remote: SocketAddr,
}

impl Tuple {
    /// The words that the programs hash and compare: namespace, addresses as 16 bytes in network byte order (an IPv4
    /// address mapped, RFC 4291, 2.5.5.2), ports in host byte order.
    pub(crate) fn words(&self) -> [u64; 6] {
        let halves = |address: IpAddr| {
            let bytes = match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                IpAddr::V6(v6) => v6.octets(),
            };
            let half = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]));
            [half(0), half(8)]
        };
        let ([local_0, local_1], [remote_0, remote_1]) =
            (halves(self.local.ip()), halves(self.remote.ip()));
        let ports = two(self.local.port(), self.remote.port());
        [self.netns.0.get(), local_0, local_1, remote_0, remote_1, ports]
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let address = |at: usize| -> Option<IpAddr> {
            let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
            Some(Ipv6Addr::from(octets).to_canonical())
        };
        let netns = NetnsCookie(NonZeroU64::new(word(bytes, 0)?)?);
        let local = SocketAddr::new(address(8)?, half_word(bytes, 40)?);
        let remote = SocketAddr::new(address(24)?, half_word(bytes, 42)?);
        Some(Self { netns, local, remote })
    }
}

/// Two ports as they lie in memory one after the other.
fn two(first: u16, second: u16) -> u64 {
    let ([a, b], [c, d]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u64::from_ne_bytes([a, b, c, d, 0, 0, 0, 0])
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn half_word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// A connection whose two ends are joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The end that has opened it.
    pub client: ConnectionEnd,
    /// The other one.
    pub server: ConnectionEnd,
}

/// An end of a joined connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionEnd {
    /// Its addresses.
    pub tuple: Tuple,
    /// Bytes that it has sent past TCP.
    pub bytes: u64,
}

impl Connection {
    /// `None` where an end is not joined yet.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let end = |at: usize| {
            let tuple = Tuple::read(bytes.get(at..)?)?;
            let is_joined = word(bytes, at + TUPLE_BYTES)? != 0;
            let sent = word(bytes, at + TUPLE_BYTES + 16)?;
            is_joined.then_some(ConnectionEnd { tuple, bytes: sent })
        };
        Some(Self { client: end(8)?, server: end(8 + END_BYTES)? })
    }

    /// The namespaces of its joined ends, of those that are joined.
    pub(crate) fn namespaces(bytes: &[u8]) -> [Option<u64>; 2] {
        [word(bytes, 8), word(bytes, 8 + END_BYTES)]
    }
}

/// Why a send of a joined socket went through TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBack {
    /// The receiver has not read all that TCP brought.
    Order,
    /// The receiver's buffer is full.
    Bound,
    /// The receiver has not read often enough yet, or reads in a way that the kernel does not serve.
    Reader,
    /// A socket option that the kernel serves for TCP only.
    Option,
    /// Cut-through was stopped, or the sender has sent urgent data.
    Stopped,
    /// The other end is not there (yet, or any more).
    Closed,
}

impl HeldBack {
    /// All, in the order of the programs.
    pub const ALL: [Self; 6] =
        [Self::Order, Self::Bound, Self::Reader, Self::Option, Self::Stopped, Self::Closed];

    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Bound => "bound",
            Self::Reader => "reader",
            Self::Option => "option",
            Self::Stopped => "stopped",
            Self::Closed => "closed",
        }
    }
}

/// What the programs have counted since they were loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections whose two ends were joined.
    pub connections: u64,
    /// Of these, and of half joined ones, those that have ended.
    pub ended: u64,
    /// Sends past TCP.
    pub sends: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Connections that were left alone, since those to their service are too short to gain.
    pub left_alone: u64,
    /// Connections without room in the table.
    pub full: u64,
    /// Connections that the kernel did not let be joined.
    pub failed: u64,
    /// Sockets that began to read in a way that the kernel does not serve.
    pub refused: u64,
    /// Sends through TCP by reason, in the order of [`HeldBack::ALL`].
    pub held: [u64; 6],
}

impl Counters {
    /// Adds what one CPU has counted.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let mut words = bytes.as_chunks::<8>().0.iter().map(|&it| u64::from_ne_bytes(it));
        let named = [
            &mut self.connections,
            &mut self.ended,
            &mut self.sends,
            &mut self.bytes,
            &mut self.left_alone,
            &mut self.full,
            &mut self.failed,
            &mut self.refused,
        ];
        for (sum, value) in named.into_iter().chain(&mut self.held).zip(&mut words) {
            *sum += value;
        }
    }
}
