//! Destination of a frame: a port of this switch, or a tunnel to another one.

use fastpath::PortIndex;
use fastpath::limits::PORTS_MAX;

/// Slot of a remote VTEP (RFC 7348), below [`VtepIndex::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VtepIndex(pub u16);

impl VtepIndex {
    /// Number of slots.
    pub const MAX: u16 = 0x8000;
}

/// A port or a VTEP in two bytes, so that an FDB entry takes 16: ports lie below 0x8000, VTEPs above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination(u16);

const _: () = assert!(PORTS_MAX <= VtepIndex::MAX as usize, "ports and VTEPs are told apart");

/// The two kinds of [`Destination`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestinationKind {
    /// A port of this switch.
    Port(PortIndex),
    /// A VXLAN tunnel.
    Tunnel(VtepIndex),
}

impl Destination {
    /// The tunnel to a VTEP.
    #[must_use]
    pub const fn tunnel(vtep: VtepIndex) -> Self {
        Self(vtep.0 | VtepIndex::MAX)
    }

    /// Port or tunnel.
    #[inline]
    #[must_use]
    pub const fn kind(self) -> DestinationKind {
        match self.0 {
            0..VtepIndex::MAX => DestinationKind::Port(PortIndex(self.0)),
            _ => DestinationKind::Tunnel(VtepIndex(self.0 & !VtepIndex::MAX)),
        }
    }

    /// The port, unless this is a tunnel.
    #[inline]
    #[must_use]
    pub const fn port(self) -> Option<PortIndex> {
        match self.kind() {
            DestinationKind::Port(port) => Some(port),
            DestinationKind::Tunnel(_) => None,
        }
    }

    /// Whether it is a tunnel.
    #[inline]
    #[must_use]
    pub const fn is_tunnel(self) -> bool {
        self.0 >= VtepIndex::MAX
    }

    /// The two bytes as an FDB entry stores them.
    #[inline]
    pub(super) const fn to_bits(self) -> u16 {
        self.0
    }

    /// From [`Destination::to_bits`].
    #[inline]
    pub(super) const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Index into a table of counters: ports take the even rows, VTEPs the odd ones, so that a switch
    /// without tunnels needs no row for them.
    #[inline]
    pub(super) const fn row(self) -> usize {
        self.0.rotate_left(1) as usize
    }
}

impl From<PortIndex> for Destination {
    #[inline]
    fn from(port: PortIndex) -> Self {
        Self(port.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_tunnels_survive_the_two_bytes_of_an_entry() {
        for index in [0, 1, PORTS_MAX as u16 - 1] {
            let port = Destination::from(PortIndex(index));
            assert_eq!(port.kind(), DestinationKind::Port(PortIndex(index)));
            assert_eq!(Destination::from_bits(port.to_bits()), port);
            assert_eq!(port.row(), 2 * usize::from(index));
        }
        for index in [0, 1, VtepIndex::MAX - 1] {
            let tunnel = Destination::tunnel(VtepIndex(index));
            assert_eq!(tunnel.kind(), DestinationKind::Tunnel(VtepIndex(index)));
            assert_eq!(tunnel.port(), None);
            assert_eq!(tunnel.row(), 2 * usize::from(index) + 1);
        }
    }
}
