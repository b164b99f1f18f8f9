//! What the programs share with the switch; `bpf/layout.h` has the same structures.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU64;

/// Version of the layout: programs of another one cannot be adopted.
pub(crate) const LAYOUT_VERSION: u64 = 5;
/// Buckets of the table of allowed handshakes, a power of two.
pub(crate) const ALLOWED_BUCKETS: usize = 4096;
/// Ends in a bucket.
pub(crate) const ALLOWED_WAYS: usize = 4;
/// Connections that the programs can remember at a time.
pub const CONNECTIONS_MAX: usize = 65536;
/// Words of 8 bytes of an allowed end.
pub(crate) const ALLOWED_WORDS: usize = 9;
/// Bytes of a connection.
pub(crate) const CONNECTION_BYTES: usize = 24 + 2 * END_BYTES;
/// Bytes of an end of a connection.
pub(crate) const END_BYTES: usize = TUPLE_BYTES + 24 + USER_BYTES;
/// Bytes of a user.
pub(crate) const USER_BYTES: usize = 16;
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

/// A connection whose handshake was allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The end that has opened it.
    pub client: ConnectionEnd,
    /// The other one.
    pub server: ConnectionEnd,
    /// The switch was told that it has to go back to TCP.
    pub(crate) is_leaving: bool,
}

/// An end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionEnd {
    /// Its addresses.
    pub tuple: Tuple,
    /// Bytes that it has sent past TCP.
    pub bytes: u64,
    /// The cookie of its socket.
    pub(crate) cookie: u64,
    pub(crate) user: User,
}

/// The thread that has used a socket last, by the numbers of the first namespace of processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) process: u32,
    pub(crate) thread: u32,
    /// The descriptor by which it did.
    pub(crate) descriptor: u32,
}

/// A socket of another process, and who has used it last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Socket {
    pub(crate) cookie: u64,
    pub(crate) user: User,
}

impl User {
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (ids, rest) = (word(bytes, 0)?, word(bytes, 8)?);
        let low = |word: u64| (word & u64::from(u32::MAX)) as u32;
        Some(Self { process: low(ids), thread: low(ids >> 32), descriptor: low(rest) })
    }
}

impl Connection {
    /// `None` where an end is not established yet.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let end = |at: usize| {
            let after = at + TUPLE_BYTES;
            let cookie = word(bytes, after)?;
            (cookie != 0).then_some(())?;
            Some(ConnectionEnd {
                tuple: Tuple::read(bytes.get(at..)?)?,
                bytes: word(bytes, after + 16)?,
                cookie,
                user: User::read(bytes.get(after + 24..)?)?,
            })
        };
        let is_leaving = word(bytes, 8 + 2 * END_BYTES)? >> 32 != 0;
        Some(Self { client: end(8)?, server: end(8 + END_BYTES)?, is_leaving })
    }

    /// Both sockets.
    pub(crate) fn sockets(&self) -> [Socket; 2] {
        self.ends().map(|end| Socket { cookie: end.cookie, user: end.user })
    }

    /// Bytes that each end has sent past TCP, modulo 2^32.
    pub(crate) fn sent(&self) -> [u32; 2] {
        self.ends().map(|end| end.bytes as u32)
    }

    /// Both ends.
    pub(crate) const fn ends(&self) -> [&ConnectionEnd; 2] {
        [&self.client, &self.server]
    }
}

/// A joined socket, as the programs see it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) cookie: u64,
    /// Its connection.
    pub(crate) id: u64,
    /// How often its program has tried to read, modulo 2^32.
    pub(crate) tries: u32,
    pub(crate) user: User,
    pub(crate) is_server: bool,
    /// Bytes past TCP that its program has read, modulo 2^32.
    pub(crate) taken: u32,
    /// Bytes past TCP wait for its program.
    pub(crate) is_unread: bool,
    /// Bytes that came by TCP wait for its program.
    pub(crate) is_tcp_unread: bool,
    /// Bytes that it has sent through TCP are on their way.
    pub(crate) is_tcp_sending: bool,
    /// Its sends in a row that waited for room or for the order.
    pub(crate) waits: u32,
}

impl Report {
    pub(crate) const fn socket(&self) -> Socket {
        Socket { cookie: self.cookie, user: self.user }
    }

    /// Bytes of one.
    pub(crate) const BYTES: usize = 64;

    /// `None` if the socket is not joined.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let half = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let is_joined = half(60)? != 0;
        is_joined.then_some(Self {
            cookie: word(bytes, 0)?,
            id: word(bytes, 8)?,
            user: User::read(bytes.get(16..)?)?,
            is_server: half(32)? == 1,
            tries: half(36)?,
            taken: half(40)?,
            is_unread: half(44)? != 0,
            is_tcp_unread: half(48)? != 0,
            is_tcp_sending: half(52)? != 0,
            waits: half(56)?,
        })
    }
}

/// What the programs tell the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The sockets of this connection can be joined.
    Ready(u64),
    /// This connection has to go back to TCP.
    Leave(u64),
    /// A send of a joined socket went through TCP.
    ThroughTcp,
    /// An end of this connection sends without a pause, through TCP.
    Bulk { id: u64, is_server: bool },
}

impl Event {
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let id = word(bytes, 0)?;
        let kind_and_side = word(bytes, 8)?;
        match kind_and_side & 0xffff_ffff {
            0 => Some(Self::Ready(id)),
            1 => Some(Self::Leave(id)),
            2 => Some(Self::ThroughTcp),
            3 => Some(Self::Bulk { id, is_server: kind_and_side >> 32 == 1 }),
            _ => None,
        }
    }
}

/// Why a send of a joined socket went through TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBack {
    /// The receiver has not read all that TCP brought.
    Order,
    /// Half the receiver's buffer is full.
    Bound,
    /// The receiver has not read often enough yet, or reads in a way that the kernel does not serve.
    Reader,
    /// A socket that blocks, an option that the kernel serves for TCP only, or urgent data.
    Option,
    /// The switch is gone, or ends.
    Stopped,
    /// The other end is closed, or the connection leaves.
    Closed,
    /// One send of a minute, so that whatever follows connections sees this one.
    Refresh,
}

impl HeldBack {
    /// All, in the order of the programs.
    pub const ALL: [Self; 7] = [
        Self::Order,
        Self::Bound,
        Self::Reader,
        Self::Option,
        Self::Stopped,
        Self::Closed,
        Self::Refresh,
    ];

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
            Self::Refresh => "refresh",
        }
    }
}

/// What was counted since the switch has started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections whose two sockets were joined.
    pub connections: u64,
    /// Of these, those that have left: their sockets are plain TCP sockets again, or closed.
    pub left: u64,
    /// Connections that were not joined, since a program may read in a way that the kernel does not serve.
    pub left_alone: u64,
    /// Connections whose sockets could not be had from their programs, or were refused by the kernel.
    pub failed: u64,
    /// Readers that were woken, since they seemed to miss bytes of TCP.
    pub woken: u64,
    /// Sends past TCP.
    pub sends: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Connections without room in the table.
    pub full: u64,
    /// Sockets that began to read in a way that the kernel does not serve.
    pub refused: u64,
    /// Sends through TCP by reason, in the order of [`HeldBack::ALL`].
    pub held: [u64; HeldBack::ALL.len()],
}

impl Counters {
    /// The counters of the programs, in their order.
    fn of_programs(&mut self) -> impl Iterator<Item = &mut u64> {
        [&mut self.sends, &mut self.bytes, &mut self.full, &mut self.refused]
            .into_iter()
            .chain(&mut self.held)
    }

    /// Adds what the programs have counted on one CPU.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let words = bytes.as_chunks::<8>().0.iter().map(|&it| u64::from_ne_bytes(it));
        self.of_programs().zip(words).for_each(|(sum, value)| *sum += value);
    }

    /// Without what the programs had counted before.
    pub(crate) fn since(mut self, mut before: Self) -> Self {
        for (value, before) in self.of_programs().zip(before.of_programs()) {
            *value = value.saturating_sub(*before);
        }
        self
    }
}
