//! Drop reasons: every drop has one, and `vswitch stats` shows it by name.

use fastpath::TxDrop;
use nat::NatDrop;

macro_rules! reasons {
    ($(#[doc = $help:literal] $variant:ident = $name:literal,)*) => {
        /// Reason of a drop.
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
    /// The read from the port failed, or was shorter than a virtio-net header.
    RxError = "rx-error",
    /// The kernel dropped the datagram before the switch read it: the tunnel's socket was full, or the checksum wrong.
    RxOverflow = "rx-overflow",
    /// The frame is shorter than an Ethernet header.
    Truncated = "truncated",
    /// The frame ends within a VLAN tag.
    VlanTruncated = "vlan-truncated",
    /// The port is in no network: it is being attached or detached.
    PortUnknown = "port-unknown",
    /// The port is switched off.
    PortDisabled = "port-disabled",
    /// A VLAN tag on an access port, or behind a priority tag.
    VlanTagged = "vlan-tagged",
    /// A VLAN that the trunk does not carry, or no tag where it has no native VLAN.
    VlanNotAllowed = "vlan-not-allowed",
    /// The source MAC address is zero.
    ZeroSourceMac = "zero-source-mac",
    /// The source MAC address is the broadcast address.
    BroadcastSourceMac = "broadcast-source-mac",
    /// The source MAC address is a multicast address.
    MulticastSourceMac = "multicast-source-mac",
    /// A bridge protocol data unit: destination 01:80:c2:00:00:00.
    Bpdu = "bpdu",
    /// MAC control, such as a pause frame (IEEE 802.3, annex 31B).
    MacControl = "mac-control",
    /// Any other destination of 01:80:c2:00:00:00 to 0f: a bridge never forwards these (IEEE 802.1Q, table 8-1).
    ReservedMulticast = "reserved-multicast",
    /// The frame exceeds the network's MTU.
    TooBig = "too-big",
    /// The source or destination port is blocked by loop protection.
    LoopBlocked = "loop-blocked",
    /// A loop probe, which is never forwarded.
    LoopProbe = "loop-probe",
    /// The port sends more than its rate limit.
    RateLimitIn = "rate-limit-in",
    /// The port would get more than its rate limit.
    RateLimitOut = "rate-limit-out",
    /// Broadcast frames from the port above its storm control limit.
    StormBroadcast = "storm-broadcast",
    /// Multicast frames from the port above its storm control limit.
    StormMulticast = "storm-multicast",
    /// Unknown unicast frames from the port above its storm control limit.
    StormUnknown = "storm-unknown",
    /// Source guard: a source MAC address that is not the port's.
    SpoofedMac = "spoofed-mac",
    /// Source guard: a source IPv4 address that is not the port's.
    SpoofedIpv4 = "spoofed-ipv4",
    /// Source guard: a source IPv6 address that is not the port's.
    SpoofedIpv6 = "spoofed-ipv6",
    /// Source guard: ARP with a sender address that is not the port's.
    SpoofedArp = "spoofed-arp",
    /// Source guard: neighbour discovery for an address that is not the port's.
    SpoofedNd = "spoofed-nd",
    /// A router advertisement: source guard, or the network sends its own.
    RogueRouter = "rogue-router",
    /// Source guard: an ICMPv6 redirect.
    RogueRedirect = "rogue-redirect",
    /// Source guard: an IGMP or MLD query.
    RogueQuerier = "rogue-querier",
    /// A datagram from a DHCP server's UDP port: source guard, or the network serves DHCP.
    RogueDhcp = "rogue-dhcp",
    /// DHCP requests and router solicitations of the port above their limit.
    DhcpLimit = "dhcp-limit",
    /// Source guard: headers that are inconsistent or cannot be checked.
    UnverifiableHeaders = "unverifiable-headers",
    /// Isolation: one port is isolated and the other is not promiscuous.
    Isolated = "isolated",
    /// The destination is on the port that sent the frame.
    SamePort = "same-port",
    /// The multicast group has no listener.
    NoListener = "no-listener",
    /// A flood without another port.
    NoOtherPort = "no-other-port",
    /// The tunnel is not in the configuration.
    TunnelUnknown = "tunnel-unknown",
    /// A datagram at the tunnel port from an address that is no VTEP.
    TunnelUnknownVtep = "tunnel-unknown-vtep",
    /// A datagram at the tunnel port without a VXLAN header or its VNI flag, or joined to others that it does not fit.
    TunnelBadHeader = "tunnel-bad-header",
    /// A frame from a tunnel with a VNI that no network has.
    TunnelUnknownVni = "tunnel-unknown-vni",
    /// A frame from a VTEP that does not have the network.
    TunnelForeignVtep = "tunnel-foreign-vtep",
    /// A router of the underlay has marked congestion on a datagram whose inner packet knows of no marks (RFC 6040, section 4.2).
    TunnelEcn = "tunnel-ecn",
    /// From or to the gateway by a tunnel: each node has the gateway of its own.
    TunnelGateway = "tunnel-gateway",
    /// A frame from a tunnel with the source MAC address of a local port: a loop, or a forgery.
    TunnelLocalSource = "tunnel-local-source",
    /// The sender of the tunnel's frame is an endpoint of another node, or by ARP or ND has the address of such a one.
    TunnelSpoofed = "tunnel-spoofed",
    /// A frame from a tunnel for another node, which has a tunnel of its own.
    TunnelToTunnel = "tunnel-to-tunnel",
    /// The packet exceeds the MTU of the path to the other node, and must not be fragmented.
    TunnelTooBig = "tunnel-too-big",
    /// The offload header of a frame for a tunnel is malformed, or asks for segments that nobody can make.
    TunnelBadOffload = "tunnel-bad-offload",
    /// No stage decided its destination: a bug of the switch.
    Undecided = "undecided",
    /// No buffer was free for a copy of a flood or a fragment, or the buffer had too many holders.
    NoBuffer = "no-buffer",
    /// The router got a packet with inconsistent headers.
    Malformed = "malformed",
    /// An address that no router forwards: loopback, link-local, multicast, reserved.
    Martian = "martian",
    /// A frame from the uplink has a container's source address, or one to another network has one that the switch did not give its port.
    SpoofedInternal = "spoofed-internal",
    /// No route to the destination, or none that containers may use.
    NoRoute = "no-route",
    /// To the gateway of a network without a host port, and no query to the service.
    NoHostPort = "no-host-port",
    /// The uplink's device has no carrier, or does not exist.
    UplinkDown = "uplink-down",
    /// The next hop or the container does not answer ARP or ND.
    NoNeighbour = "no-neighbour",
    /// The neighbour queue is full.
    NeighbourQueueFull = "neighbour-queue-full",
    /// The hop limit is used up.
    HopLimitExceeded = "hop-limit-exceeded",
    /// The packet exceeds the MTU of its route and must not be fragmented.
    MtuExceeded = "mtu-exceeded",
    /// A frame from the uplink without a connection, of which the host has its own copy.
    HostTraffic = "host-traffic",
    /// The connection table is full.
    NatTableFull = "nat-table-full",
    /// The container has reached its quota of connections.
    NatQuota = "nat-quota",
    /// No external port is free for the connection.
    NatNoPort = "nat-no-port",
    /// No external port is free yet; further ones are being claimed.
    NatPortAwaited = "nat-port-awaited",
    /// The uplink has no address of its family.
    NatNoAddress = "nat-no-address",
    /// The protocol cannot be translated, nor tracked between networks.
    NatUnsupportedProtocol = "nat-unsupported-protocol",
    /// Another container, or the host itself, uses the protocol, which has no ports, with that remote address.
    NatProtocolInUse = "nat-protocol-in-use",
    /// The sender may not connect to the published port (`--allow-from`) or to the other network (`--reachable-from`).
    NatNotAllowed = "nat-not-allowed",
    /// The filter refuses a sender to which the container has not sent.
    NatUnsolicited = "nat-unsolicited",
    /// The packet neither begins a connection nor belongs to one.
    NatNoConnection = "nat-no-connection",
    /// A TCP segment outside the window of its connection.
    NatOutOfWindow = "nat-out-of-window",
    /// An invalid source or destination address, or both are the same.
    NatBadAddress = "nat-bad-address",
    /// An ICMP error that quotes a packet which was never sent.
    NatForgedError = "nat-forged-error",
    /// Fragments that overlap or are inconsistent.
    FragmentOverlap = "fragment-overlap",
    /// The fragment table is full.
    FragmentTableFull = "fragment-table-full",
    /// The other fragments did not come in time.
    FragmentTimeout = "fragment-timeout",
    /// The handoff queue of the worker that translates the frame is full.
    HandoffFull = "handoff-full",
    /// A query to the service from an address that is not the port's.
    ServiceForeignSource = "service-foreign-source",
    /// A query to the service in fragments.
    ServiceFragment = "service-fragment",
    /// An answer of the service to a port that is gone, or no longer has the address.
    ServiceNoClient = "service-no-client",
    /// A frame from the service's namespace that is no answer.
    ServiceUnexpected = "service-unexpected",
    /// The destination port is closed, or its namespace is gone.
    TxPortGone = "tx-port-gone",
    /// The kernel's queue or the port's limit of writes in flight is full.
    TxQueueFull = "tx-queue-full",
    /// The kernel wrote only a part of the frame.
    TxShortWrite = "tx-short-write",
    /// The destination interface is down.
    TxPortDown = "tx-port-down",
    /// The datagram is longer than the MTU of the path to its peer.
    TxTooBig = "tx-too-big",
    /// No route to the datagram's peer, or the peer answered with an ICMP error.
    TxUnreachable = "tx-unreachable",
    /// The kernel refused the frame.
    TxError = "tx-error",
}

impl From<NatDrop> for DropReason {
    fn from(refusal: NatDrop) -> Self {
        match refusal {
            NatDrop::TableFull => Self::NatTableFull,
            NatDrop::Quota => Self::NatQuota,
            NatDrop::PortsExhausted => Self::NatNoPort,
            NatDrop::PortAwaited => Self::NatPortAwaited,
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
            TxDrop::TooBig => Self::TxTooBig,
            TxDrop::Unreachable => Self::TxUnreachable,
            TxDrop::Refused => Self::TxError,
        }
    }
}
