//! The keyed hash of all tables: multiply and fold. A secret in each factor hides which keys collide.

use crate::address::Address;
use crate::tuple::{Endpoint, Transport, Tuple};
use crate::zone::{InternalEndpoint, Zone};

/// Addresses and ports of one direction, and the zone of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) transport: Transport,
    pub(crate) zone: Zone,
    pub(crate) src: Address,
    pub(crate) dst: Address,
    pub(crate) ports: PortPair,
}

/// Source and destination port, the source's in the upper half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct PortPair(pub(crate) u32);

impl PortPair {
    #[inline]
    pub(crate) const fn new(src: u16, dst: u16) -> Self {
        Self((src as u32) << 16 | dst as u32)
    }

    #[inline]
    pub(crate) const fn src(self) -> u16 {
        (self.0 >> 16) as u16
    }

    #[inline]
    pub(crate) const fn dst(self) -> u16 {
        self.0 as u16
    }
}

impl Key {
    #[inline]
    pub(crate) fn new(tuple: &Tuple, zone: Zone) -> Self {
        Self {
            transport: tuple.transport,
            zone,
            src: tuple.src.address.into(),
            dst: tuple.dst.address.into(),
            ports: PortPair::new(tuple.src.port, tuple.dst.port),
        }
    }

    /// The same with source and destination swapped.
    #[inline]
    pub(crate) const fn reversed(self) -> Self {
        let ports = PortPair(self.ports.0.rotate_left(16));
        Self { src: self.dst, dst: self.src, ports, ..self }
    }

    /// The sender, a container.
    pub(crate) const fn sender(&self) -> InternalEndpoint {
        InternalEndpoint { zone: self.zone, address: self.src, port: self.ports.src() }
    }

    pub(crate) fn tuple(self) -> Tuple {
        let src = Endpoint::new(self.src.ip(), self.ports.src());
        Tuple {
            transport: self.transport,
            src,
            dst: Endpoint::new(self.dst.ip(), self.ports.dst()),
        }
    }
}

/// The secret keys of the hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Secrets([u64; 5]);

impl Secrets {
    pub(crate) fn new(seed: u64) -> Self {
        let mut state = seed;
        Self(std::array::from_fn(|_| random(&mut state) | 1))
    }

    #[inline]
    pub(crate) fn hash(&self, key: &Key) -> u64 {
        let [a, b, c, d, e] = self.0;
        let low = fold(key.src.low ^ a, key.dst.low ^ b);
        let high = fold(key.src.high ^ c, key.dst.high ^ d);
        let kind = (key.transport as u64) << 32 | u64::from(key.zone.0) << 40;
        let rest = u64::from(key.ports.0) | kind;
        fold(low ^ rest, high ^ e)
    }

    /// The hash of an internal endpoint with an external address.
    #[inline]
    pub(crate) fn hash_endpoint(
        &self,
        transport: Transport,
        internal: InternalEndpoint,
        addr_idx: u16,
    ) -> u64 {
        let dst = Address { high: 0, low: addr_idx.into() };
        let InternalEndpoint { zone, address: src, port } = internal;
        self.hash(&Key { transport, zone, src, dst, ports: PortPair::new(port, 0) })
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

/// The next number of SplitMix64.
pub(crate) fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
