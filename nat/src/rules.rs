//! The policy, compiled: what is published is found by binary search.
//!
//! # Theory of operation
//!
//! A published range is one entry, whatever its length, in lists sorted by transport, address and first
//! port; the address of a range that is published at all addresses counts as none. Ranges of one address
//! do not overlap (control refuses it); if they did, the one that begins last before the port counts.
//! From inside an entry is found by the container's address and port likewise: what a published endpoint sends
//! leaves by the port that it is published at, so that both ways are one connection.
//!
//! An entry knows since which epoch it leads where it leads: one that was revoked and comes again is
//! another one, to which no earlier connection belongs.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::address::Address;
use crate::owner::OwnerId;
use crate::policy::{Policy, Published};
use crate::shard_spec::ShardSpec;
use crate::tuple::Transport;

/// Where a range begins: transport, address (none for all addresses), first port.
type Start = (Transport, Option<Address>, u16);

/// What is published, and which addresses are ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    entries: Vec<Published>,
    /// Since which epoch each leads where it leads.
    since: Vec<u32>,
    /// Entries by the host's address and port.
    by_external: Vec<(Start, u32)>,
    /// Entries by the container's.
    by_internal: Vec<(Start, u32)>,
    externals: Vec<Address>,
    /// The ports from which the inside appears: all of them, and this worker's slice.
    range: Option<RangeInclusive<u16>>,
    ports: Option<RangeInclusive<u16>>,
    snat_addrs: [Option<Address>; 2],
}

/// Where a published port leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) address: Address,
    pub(crate) port: u16,
    pub(crate) owner: OwnerId,
    pub(crate) is_allowed: bool,
    /// The epoch since which it leads there.
    pub(crate) since: u32,
}

impl Rules {
    /// A policy that follows another one in an epoch; of the range of ports a worker's share.
    pub(crate) fn new(policy: &Policy, shard_spec: ShardSpec, before: &Self, epoch: u32) -> Self {
        let entries = policy.published.clone();
        let since = entries.iter().map(|entry| before.since(entry).unwrap_or(epoch)).collect();
        let (mut by_external, mut by_internal) = (Vec::new(), Vec::new());
        for (number, entry) in (0..).zip(&entries) {
            let (transport, first) = (entry.transport, *entry.ports.start());
            by_external.push(((transport, entry.address.map(Address::from), first), number));
            let internal = [entry.to_v4.map(IpAddr::V4), entry.to_v6.map(IpAddr::V6)];
            for address in internal.into_iter().flatten() {
                by_internal.push(((transport, Some(address.into()), entry.to_port), number));
            }
        }
        by_external.sort_unstable();
        by_internal.sort_unstable();
        let snat_addrs = [policy.external_v4.map(IpAddr::V4), policy.external_v6.map(IpAddr::V6)];
        let snat_addrs = snat_addrs.map(|address| address.map(Address::from));
        let own = snat_addrs.into_iter().flatten();
        let mut externals: Vec<_> =
            policy.host_addrs.iter().map(|ip| Address::from(*ip)).chain(own).collect();
        externals.sort_unstable();
        externals.dedup();
        let (range, ports) = (Some(policy.ports.clone()), Some(shard_spec.slice(&policy.ports)));
        Self { entries, since, by_external, by_internal, externals, range, ports, snat_addrs }
    }

    /// The address from which a family appears.
    #[inline]
    pub(crate) fn external_for(&self, like: Address) -> Option<Address> {
        self.snat_addrs[usize::from(!like.is_v4())]
    }

    /// The ports of all workers.
    pub(crate) fn range(&self) -> Option<&RangeInclusive<u16>> {
        self.range.as_ref()
    }

    /// The ports of this one.
    pub(crate) fn ports(&self) -> Option<&RangeInclusive<u16>> {
        self.ports.as_ref()
    }

    pub(crate) fn is_external(&self, address: Address) -> bool {
        self.externals.binary_search(&address).is_ok()
    }

    /// Where what a sender sends to an address of ours goes.
    pub(crate) fn target(
        &self,
        transport: Transport,
        sender: Address,
        external: Address,
        port: u16,
    ) -> Option<Target> {
        let number = self.published(transport, external, port)?;
        let entry = &self.entries[number];
        let ip = if external.is_v4() {
            entry.to_v4.map(IpAddr::V4)
        } else {
            entry.to_v6.map(IpAddr::V6)
        };
        Some(Target {
            address: ip?.into(),
            port: entry.to_port.checked_add(port - entry.ports.start())?,
            owner: entry.owner,
            is_allowed: entry.allow_from.is_empty() || is_within(sender, &entry.allow_from),
            since: self.since[number],
        })
    }

    /// Whether a port of an address of ours is published, of whatever family the container is.
    pub(crate) fn is_published(&self, transport: Transport, external: Address, port: u16) -> bool {
        self.published(transport, external, port).is_some()
    }

    /// The port that an internal endpoint is published at, at this address of ours.
    pub(crate) fn port_of(
        &self,
        transport: Transport,
        internal: (Address, u16),
        external: Address,
    ) -> Option<u16> {
        self.published_as(transport, internal, external).map(|(port, _)| port)
    }

    /// Likewise, with the epoch since which it is.
    pub(crate) fn published_as(
        &self,
        transport: Transport,
        internal: (Address, u16),
        external: Address,
    ) -> Option<(u16, u32)> {
        let wanted = (transport, Some(internal.0), internal.1);
        let before =
            &self.by_internal[..self.by_internal.partition_point(|(start, _)| *start <= wanted)];
        let (nearest, _) =
            *before.last().filter(|((t, a, _), _)| (*t, *a) == (wanted.0, wanted.1))?;
        // One for each address of the host that the endpoint is published at.
        let alike = before.iter().rev().take_while(|(start, _)| *start == nearest);
        alike.map(|&(_, number)| number as usize).find_map(|number| {
            let entry = &self.entries[number];
            let port = entry.ports.start().checked_add(internal.1.checked_sub(entry.to_port)?)?;
            let is_here = entry.address.is_none_or(|address| Address::from(address) == external);
            (is_here && entry.ports.contains(&port)).then_some((port, self.since[number]))
        })
    }

    /// Whether an internal endpoint is published at any address of ours.
    pub(crate) fn is_source(&self, transport: Transport, internal: (Address, u16)) -> bool {
        let wanted = (transport, Some(internal.0), internal.1);
        let before =
            &self.by_internal[..self.by_internal.partition_point(|(start, _)| *start <= wanted)];
        let of_it =
            before.iter().rev().take_while(|((t, a, _), _)| (*t, *a) == (wanted.0, wanted.1));
        of_it.map(|&(_, number)| &self.entries[number as usize]).any(|entry| {
            internal
                .1
                .checked_sub(entry.to_port)
                .is_some_and(|at| usize::from(at) < entry.ports.len())
        })
    }

    /// Entries that the other rules do not have.
    pub(crate) fn not_in<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a Published> {
        let has = |entry: &Published| {
            other.beginning_as(entry).is_some_and(|number| other.entries[number] == *entry)
        };
        self.entries.iter().filter(move |entry| !has(entry))
    }

    /// Since when an entry leads where this one does, if one that begins alike does.
    fn since(&self, entry: &Published) -> Option<u32> {
        let number = self.beginning_as(entry)?;
        let known = &self.entries[number];
        let is_alike = (known.owner, known.to_port) == (entry.owner, entry.to_port)
            && is_same_or_new(known.to_v4, entry.to_v4)
            && is_same_or_new(known.to_v6, entry.to_v6);
        is_alike.then_some(self.since[number])
    }

    /// The entry of a transport and address that begins at the same port as another's.
    fn beginning_as(&self, entry: &Published) -> Option<usize> {
        let start = (entry.transport, entry.address.map(Address::from), *entry.ports.start());
        let idx = self.by_external.partition_point(|(other, _)| *other < start);
        let (found, number) = self.by_external.get(idx)?;
        (*found == start).then_some(*number as usize)
    }

    fn published(&self, transport: Transport, external: Address, port: u16) -> Option<usize> {
        let within = |number: &usize| self.entries[*number].ports.contains(&port);
        let here = latest(&self.by_external, (transport, Some(external), port)).filter(within);
        let anywhere = || latest(&self.by_external, (transport, None, port)).filter(within);
        here.or_else(|| anywhere().filter(|_| self.is_external(external)))
    }
}

/// The last entry of this transport and address that begins at this port or before.
fn latest(sorted: &[(Start, u32)], wanted: Start) -> Option<usize> {
    let after = sorted.partition_point(|(start, _)| *start <= wanted);
    let ((transport, address, _), number) = sorted.get(after.checked_sub(1)?)?;
    (*transport == wanted.0 && *address == wanted.1).then_some(*number as usize)
}

/// Whether a container has the address that it had, if it had one and has one.
fn is_same_or_new<T: PartialEq>(before: Option<T>, now: Option<T>) -> bool {
    before.is_none() || now.is_none() || before == now
}

/// Whether one of the prefixes holds an address.
fn is_within(address: Address, prefixes: &[(IpAddr, u8)]) -> bool {
    prefixes.iter().any(|&(prefix, len)| {
        let prefix = Address::from(prefix);
        if prefix.is_v4() != address.is_v4() {
            return false;
        }
        let len = u32::from(len) + if prefix.is_v4() { 96 } else { 0 };
        let wide = |a: Address| u128::from(a.high) << 64 | u128::from(a.low);
        let differ = wide(prefix) ^ wide(address);
        len == 0 || differ >> 128u32.saturating_sub(len) == 0
    })
}
