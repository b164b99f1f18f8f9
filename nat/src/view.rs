//! The fields of a packet that NAT reads.

use std::net::IpAddr;

use wire::tcp::Flags;

use crate::tuple::{Transport, Tuple};

/// A parsed packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The source address.
    pub src: IpAddr,
    /// The destination address.
    pub dst: IpAddr,
    /// The payload.
    pub kind: Kind,
    /// The fragment of a packet that came in several.
    pub fragment: Option<Fragment>,
    /// Length of the IP packet in bytes, for counters.
    pub len: u32,
}

/// The payload of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A segment, datagram or echo with its ports. The TCP part is there for TCP.
    Flow {
        /// Addresses and ports; both ports of an echo are its identifier.
        tuple: Tuple,
        /// The TCP header.
        segment: Option<Segment>,
        /// An echo request.
        is_request: bool,
    },
    /// An ICMP error about a packet.
    Error(Quoted),
    /// A later fragment; only the first has ports.
    Tail(Transport),
    /// Another protocol, or malformed.
    Other,
}

/// The packet that an ICMP error quotes, as the error's sender received it. The error goes to the
/// source of `tuple`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Addresses and ports of the quoted packet.
    pub tuple: Tuple,
    /// Sequence number of a quoted TCP segment.
    pub seq: Option<u32>,
    /// The next hop's MTU of "packet too big".
    pub mtu: Option<u32>,
}

/// The TCP fields for state tracking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Flags.
    pub flags: Flags,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; valid with the ACK flag.
    pub ack: u32,
    /// Window, unscaled.
    pub window: u16,
    /// Sequence space: payload, SYN and FIN.
    pub len: u32,
    /// Window scale option of a SYN.
    pub window_scale: Option<u8>,
}

/// A fragment's identification and range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The identification; 16 bits of it in IPv4.
    pub ident: u32,
    /// Offset in the packet's payload, in bytes.
    pub offset: u32,
    /// Length of its payload in bytes.
    pub len: u32,
    /// More fragments follow.
    pub more: bool,
}
