//! Kinds of port, and every rule that depends on the kind.

use vswitch_api::port_settings::isolation::Isolation;

/// Kind of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortKind {
    /// TAP in a container's namespace.
    Container,
    /// TAP in the host's namespace that carries the gateway's addresses.
    Host,
    /// TAP in the host's namespace; nftables moves frames between it and the host's device.
    Uplink,
    /// TAP in a namespace of the switch's own, for services such as DNS.
    Service,
    /// UDP sockets of VXLAN tunnels; the VNI names the network of each frame.
    Tunnel,
}

impl PortKind {
    /// Whether a port of this kind belongs to one network. The router, the client's address or the VNI names it
    /// otherwise.
    #[inline]
    pub(super) const fn has_network(self) -> bool {
        match self {
            Self::Container | Self::Host => true,
            Self::Uplink | Self::Service | Self::Tunnel => false,
        }
    }

    /// Whether several hosts send by a port of this kind, so that no limit of one container fits it.
    #[must_use]
    pub const fn is_shared(self) -> bool {
        match self {
            Self::Container => false,
            Self::Host | Self::Uplink | Self::Service | Self::Tunnel => true,
        }
    }

    /// Whether the router takes frames from it to the gateway, and delivers translated frames to it.
    #[inline]
    pub(super) const fn is_routed(self) -> bool {
        match self {
            Self::Container => true,
            Self::Host | Self::Uplink | Self::Service | Self::Tunnel => false,
        }
    }

    /// Whether loop protection may block it.
    pub(super) const fn may_be_blocked(self) -> bool {
        match self {
            Self::Container => true,
            Self::Host | Self::Uplink | Self::Service | Self::Tunnel => false,
        }
    }

    /// Isolation of a port that nobody has configured.
    pub(super) const fn default_isolation(self) -> Isolation {
        match self {
            Self::Container | Self::Uplink | Self::Tunnel => Isolation::None,
            Self::Host | Self::Service => Isolation::Promiscuous,
        }
    }
}
