//! Why a frame was dropped. Every drop has one of these, and `vswitch stats` shows it by name.

use fastpath::TxDrop;
use nat::NatDrop;

macro_rules! reasons {
    ($(#[doc = $help:literal] $variant:ident = $name:literal,)*) => {
        /// Why a frame was dropped.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum DropReason { $(#[doc = $help] $variant,)* }

        impl DropReason {
            /// All reasons, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// Number of reasons.
            pub const COUNT: usize = Self::ALL.len();

            /// The name that users see; stable.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One sentence for `docs/metrics.md`.
            #[cfg(test)]
            pub(crate) fn help(self) -> &'static str {
                match self { $(Self::$variant => $help.trim_start(),)* }
            }
        }
    };
}

reasons! {
    /// The read from the port failed or brought less than an offload header.
    RxError = "rx-error",
    /// The frame is shorter than an Ethernet header.
    Truncated = "truncated",
    /// The frame ends within a VLAN tag.
    VlanTruncated = "vlan-truncated",
    /// The port is in no network, as while it is being attached or detached.
    PortUnknown = "port-unknown",
    /// The port is switched off.
    PortDisabled = "port-disabled",
    /// A VLAN tag on an access port, or behind a tag that only marks a priority.
    VlanTagged = "vlan-tagged",
    /// A VLAN that the trunk does not carry, or no tag where it has no native VLAN.
    VlanNotAllowed = "vlan-not-allowed",
    /// The source address is zero.
    ZeroSourceMac = "zero-source-mac",
    /// The source address is the broadcast address.
    BroadcastSourceMac = "broadcast-source-mac",
    /// The source address is a group's.
    MulticastSourceMac = "multicast-source-mac",
    /// A bridge protocol data unit: destination 01:80:c2:00:00:00.
    Bpdu = "bpdu",
    /// MAC control, such as a pause frame (IEEE 802.3, annex 31B).
    MacControl = "mac-control",
    /// Any other destination 01:80:c2:00:00:00 to 0f, which a bridge never forwards (IEEE 802.1Q, table 8-1).
    ReservedMulticast = "reserved-multicast",
    /// Longer than the network's MTU allows.
    TooBig = "too-big",
    /// The port is blocked, since there is a loop behind it; of or for the port.
    LoopBlocked = "loop-blocked",
    /// A probe for loops, the switch's own or another's: never forwarded.
    LoopProbe = "loop-probe",
    /// The port sends more bytes than its rate limit allows.
    RateLimitIn = "rate-limit-in",
    /// More bytes are meant for the port than its rate limit allows.
    RateLimitOut = "rate-limit-out",
    /// The port sends more broadcast frames than storm control allows.
    StormBroadcast = "storm-broadcast",
    /// The port sends more multicast frames than storm control allows.
    StormMulticast = "storm-multicast",
    /// The port sends more frames to addresses that nobody knows than storm control allows.
    StormUnknown = "storm-unknown",
    /// Guarded port: not its own MAC address.
    SpoofedMac = "spoofed-mac",
    /// Guarded port: not its own IPv4 address.
    SpoofedIpv4 = "spoofed-ipv4",
    /// Guarded port: not its own IPv6 address.
    SpoofedIpv6 = "spoofed-ipv6",
    /// Guarded port: ARP about an address that is not its own.
    SpoofedArp = "spoofed-arp",
    /// Guarded port: neighbour discovery about an address that is not its own.
    SpoofedNd = "spoofed-nd",
    /// Guarded port: a router advertisement.
    RogueRouter = "rogue-router",
    /// Guarded port: an ICMPv6 redirect.
    RogueRedirect = "rogue-redirect",
    /// Guarded port: a multicast router's question.
    RogueQuerier = "rogue-querier",
    /// Guarded port: from a DHCP server's UDP port.
    RogueDhcp = "rogue-dhcp",
    /// Guarded port: headers that contradict themselves or hide what they carry.
    UnverifiableHeaders = "unverifiable-headers",
    /// Between two ports of which one is isolated and the other not promiscuous.
    Isolated = "isolated",
    /// The destination lives on the port that the frame came from.
    SamePort = "same-port",
    /// For a multicast group that nobody listens to.
    NoListener = "no-listener",
    /// To be flooded, and there is no other port.
    NoOtherPort = "no-other-port",
    /// For a tunnel that the configuration does not have.
    TunnelUnknown = "tunnel-unknown",
    /// No stage decided its destination: a bug of the switch.
    Undecided = "undecided",
    /// Part of a flood, or of a packet that is cut, for which no buffer was free, or no further holder of one.
    NoBuffer = "no-buffer",
    /// To the gateway: a packet whose headers contradict themselves.
    Malformed = "malformed",
    /// To or from an address that no router forwards: loopback, link-local, multicast, reserved.
    Martian = "martian",
    /// From the uplink, as if a container had sent it.
    SpoofedInternal = "spoofed-internal",
    /// No route leads there, or one that containers may not use.
    NoRoute = "no-route",
    /// The uplink's device has no carrier, or is gone.
    UplinkDown = "uplink-down",
    /// The next hop, or the container, does not answer.
    NoNeighbour = "no-neighbour",
    /// Too many frames wait for their next hop.
    NeighbourQueueFull = "neighbour-queue-full",
    /// It has been forwarded as often as its hop limit allows.
    HopLimitExceeded = "hop-limit-exceeded",
    /// Too long for the way that it has to take, and it must not be cut.
    MtuExceeded = "mtu-exceeded",
    /// From the uplink, of no connection, and the host has got it as well.
    HostTraffic = "host-traffic",
    /// No room in the connection table.
    NatTableFull = "nat-table-full",
    /// The container has as many connections as it may have.
    NatQuota = "nat-quota",
    /// No port is left that its connection could appear from.
    NatNoPort = "nat-no-port",
    /// The uplink has no address of its family.
    NatNoAddress = "nat-no-address",
    /// It carries what cannot be translated.
    NatUnsupportedProtocol = "nat-unsupported-protocol",
    /// A published port that its sender may not connect to.
    NatNotAllowed = "nat-not-allowed",
    /// From somebody whom the container did not speak to.
    NatUnsolicited = "nat-unsolicited",
    /// It neither begins a connection nor belongs to one.
    NatNoConnection = "nat-no-connection",
    /// A TCP segment that its connection cannot have sent.
    NatOutOfWindow = "nat-out-of-window",
    /// From or to an address that cannot be, or from itself.
    NatBadAddress = "nat-bad-address",
    /// An ICMP error about a packet that was never sent.
    NatForgedError = "nat-forged-error",
    /// Fragments that overlap, or contradict each other.
    FragmentOverlap = "fragment-overlap",
    /// No room for another packet's fragments.
    FragmentTableFull = "fragment-table-full",
    /// The rest of its packet did not come in time.
    FragmentTimeout = "fragment-timeout",
    /// Another worker translates it, and has as many frames waiting as it may have.
    HandoffFull = "handoff-full",
    /// The port that it was meant for is closed, or its namespace is gone.
    TxPortGone = "tx-port-gone",
    /// The kernel had no room for it.
    TxQueueFull = "tx-queue-full",
    /// The kernel took a part of it only.
    TxShortWrite = "tx-short-write",
    /// The interface that it was meant for is down.
    TxPortDown = "tx-port-down",
    /// The kernel refused it.
    TxError = "tx-error",
}

impl From<NatDrop> for DropReason {
    fn from(refusal: NatDrop) -> Self {
        match refusal {
            NatDrop::TableFull => Self::NatTableFull,
            NatDrop::Quota => Self::NatQuota,
            NatDrop::PortsExhausted => Self::NatNoPort,
            NatDrop::NoAddress => Self::NatNoAddress,
            NatDrop::Protocol => Self::NatUnsupportedProtocol,
            NatDrop::NotAllowed => Self::NatNotAllowed,
            NatDrop::Unsolicited => Self::NatUnsolicited,
            NatDrop::NoConnection => Self::NatNoConnection,
            NatDrop::OutOfWindow => Self::NatOutOfWindow,
            NatDrop::Address => Self::NatBadAddress,
            NatDrop::ForgedError => Self::NatForgedError,
            NatDrop::Overlap => Self::FragmentOverlap,
            NatDrop::FragmentsFull => Self::FragmentTableFull,
            NatDrop::FragmentTimeout => Self::FragmentTimeout,
        }
    }
}

impl From<TxDrop> for DropReason {
    fn from(kind: TxDrop) -> Self {
        match kind {
            TxDrop::Gone => Self::TxPortGone,
            TxDrop::NoRoom => Self::TxQueueFull,
            TxDrop::Short => Self::TxShortWrite,
            TxDrop::Down => Self::TxPortDown,
            TxDrop::Refused => Self::TxError,
        }
    }
}
