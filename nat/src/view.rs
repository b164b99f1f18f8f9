//! What translation must know of a packet.

use std::net::IpAddr;

use wire::tcp::Flags;

use crate::tuple::{Transport, Tuple};

/// A packet, as far as translation looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The source address.
    pub src: IpAddr,
    /// The destination address.
    pub dst: IpAddr,
    /// What it carries.
    pub kind: Kind,
    /// Which fragment it is of a packet that came in several.
    pub fragment: Option<Fragment>,
    /// Length of the IP packet in bytes, for counters.
    pub len: u32,
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A segment, datagram or echo with its ports. The TCP part is there for TCP.
    Flow {
        /// Addresses and ports; both ports of an echo are its identifier.
        tuple: Tuple,
        /// Of TCP.
        segment: Option<Segment>,
        /// Of an echo: whether it is the request.
        is_request: bool,
    },
    /// An ICMP error about a packet.
    Error(Quoted),
    /// A fragment that is not the first: its ports are in the first.
    Tail(Transport),
    /// Another protocol, or broken.
    Other,
}

/// What an ICMP error quotes: the packet that it is about, as its sender had sent it when it came to
/// whoever complains. `tuple` is that packet's own, so its source is where the error goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Addresses and ports of the quoted packet.
    pub tuple: Tuple,
    /// Sequence number of a quoted TCP segment.
    pub seq: Option<u32>,
    /// The next hop's MTU, where the packet was too big.
    pub mtu: Option<u32>,
}

/// What state tracking needs of a TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Flags.
    pub flags: Flags,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; meaningless without the flag.
    pub ack: u32,
    /// Window, unscaled.
    pub window: u16,
    /// Sequence space that it takes: bytes, SYN and FIN.
    pub len: u32,
    /// Window scale option of a SYN.
    pub window_scale: Option<u8>,
}

/// Which fragment of which packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The identification; 16 bits of it in IPv4.
    pub ident: u32,
    /// Where it begins in the packet's payload, in bytes.
    pub offset: u32,
    /// Length of its payload in bytes.
    pub len: u32,
    /// Whether more follow.
    pub more: bool,
}
