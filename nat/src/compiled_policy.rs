//! The policy, compiled: published ports are found by binary search.
//!
//! # Theory of operation
//!
//! Control compiles a policy once ([`CompiledPolicy::compile`]), and all workers share the result. A
//! policy with the same content keeps its compiled form and its epoch, so a worker compares one number.
//!
//! A published range is one entry of two lists, sorted by transport, address and first port. An entry
//! for all addresses of a family has the unspecified one in the list of external ports, one for both families
//! two rows; none has a row for each address. Control refuses ranges that overlap
//! at one address; should they overlap, the range with the last start before the port wins. The other
//! list finds an entry by the container's address and port: what a published endpoint sends leaves by
//! its published port, so that both directions are one connection.
//!
//! Each entry has a *generation*: the epoch since which its first port leads to its target. An entry that
//! is removed and published again gets a new one, and has no connection of the former. One that only gets
//! longer, or other senders, keeps its generation.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::address::{ANY_V4, ANY_V6, Address};
use crate::owner::OwnerId;
use crate::policy::{Policy, Published};
use crate::sources::{SourceSet, Sources};
use crate::tuple::Transport;
use crate::zone::{InternalEndpoint, Zone};

/// The first external endpoint of a range: transport, address (unspecified for all of a family), port.
type ExternalStart = (Transport, Address, u16);

/// The first internal endpoint of a range.
type InternalStart = (Transport, InternalEndpoint);

/// A policy, compiled. Immutable.
#[derive(Debug)]
pub struct CompiledPolicy {
    epoch: u64,
    /// The last epoch that removed or changed an entry.
    revoked_epoch: u64,
    source: Policy,
    /// The generation of each published entry.
    generations: Vec<u64>,
    /// Entries by the host's address and port.
    by_external: Vec<(ExternalStart, u32)>,
    /// Entries by the container's zone, address and port.
    by_internal: Vec<(InternalStart, u32)>,
    externals: Vec<Address>,
    /// The SNAT addresses: IPv4, IPv6.
    snat_addrs: [Option<Address>; 2],
}

/// Where a published port leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) server: InternalEndpoint,
    pub(crate) owner: OwnerId,
    pub(crate) is_allowed: bool,
    /// The epoch of the policy since which it leads there.
    pub(crate) generation: u64,
}

impl CompiledPolicy {
    /// Compiles a policy that follows `previous`. Returns `previous` itself if nothing changed.
    ///
    /// The epoch is one more than that of `previous`. Policies that one [`Nat`](crate::Nat) gets must
    /// all come from one chain of predecessors, or their epochs say nothing.
    #[must_use]
    pub fn compile(policy: Policy, previous: Option<&Arc<Self>>) -> Arc<Self> {
        match previous {
            Some(previous) if previous.source == policy => Arc::clone(previous),
            Some(previous) => Arc::new(Self::follow(policy, previous)),
            None => Arc::new(Self::follow(policy, &Self::none(0))),
        }
    }

    /// Translates nothing: the policy of a [`Nat`](crate::Nat) that was given none, but a quota.
    pub(crate) fn none(quota: u32) -> Self {
        Self {
            epoch: 0,
            revoked_epoch: 0,
            source: Policy { quota, ..Policy::default() },
            generations: Vec::new(),
            by_external: Vec::new(),
            by_internal: Vec::new(),
            externals: Vec::new(),
            snat_addrs: [None; 2],
        }
    }

    fn follow(source: Policy, previous: &Self) -> Self {
        let epoch = previous.epoch + 1;
        let entries = &source.published;
        // Most entries are where they were, or a few places further.
        let mut at = 0;
        let generation = |entry| {
            let number = previous.number_of(entry, at);
            at = number.map_or(at, |number| number + 1);
            previous.generation_of(entry, number?)
        };
        let generations = entries.iter().map(generation).map(|it| it.unwrap_or(epoch)).collect();
        let (by_external, by_internal) = (external_rows(entries), internal_rows(entries));
        let snat_addrs = [source.external_v4.map(IpAddr::V4), source.external_v6.map(IpAddr::V6)];
        let snat_addrs = snat_addrs.map(|address| address.map(Address::from));
        let sets = source.sources.iter().flat_map(|(_, sources)| sources.sets());
        let candidates = sets.flat_map(|set| &set.candidates).map(|it| it.address.into());
        let own = snat_addrs.into_iter().flatten().chain(candidates);
        let mut externals: Vec<_> =
            source.host_addrs.iter().map(|ip| Address::from(*ip)).chain(own).collect();
        externals.sort_unstable();
        externals.dedup();
        let mut compiled = Self {
            epoch,
            revoked_epoch: previous.revoked_epoch,
            source,
            generations,
            by_external,
            by_internal,
            externals,
            snat_addrs,
        };
        if previous.not_in(&compiled).next().is_some() {
            compiled.revoked_epoch = epoch;
        }
        compiled
    }

    /// The number of this policy: greater than those of its predecessors.
    #[inline]
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The policy that was compiled.
    #[must_use]
    pub const fn source(&self) -> &Policy {
        &self.source
    }

    /// Connections that one owner may have.
    pub(crate) const fn quota(&self) -> u32 {
        self.source.quota
    }

    /// The SNAT address of a family between containers.
    #[inline]
    pub(crate) fn external_for(&self, like: Address) -> Option<Address> {
        self.snat_addrs[usize::from(!like.is_v4())]
    }

    /// The SNAT addresses of the route to a destination, from containers of a zone.
    pub(crate) fn sources_for(&self, zone: Zone, destination: Address) -> Option<&SourceSet> {
        let (_, sources) = self.source.sources.iter().find(|(known, _)| *known == zone)?;
        sources.find(destination.ip())
    }

    /// The SNAT address for a destination outside.
    pub(crate) fn source_for(&self, zone: Zone, destination: Address) -> Option<Address> {
        match self.sources_for(zone, destination) {
            Some(set) => set.choose(destination.ip()).map(Address::from),
            None => self.external_for(destination),
        }
    }

    /// The address that a packet from containers of a zone gets by the route to a destination outside.
    #[must_use]
    pub fn source_to(&self, zone: Zone, destination: IpAddr) -> Option<IpAddr> {
        self.source_for(zone, destination.into()).map(Address::ip)
    }

    /// Containers of a zone that both know have the same SNAT addresses by destination.
    pub(crate) fn has_sources_of(&self, former: &Self) -> bool {
        let known = &former.source.sources;
        let is_same = |(zone, sources): &(Zone, Arc<Sources>)| {
            let before = known.iter().find(|(known, _)| known == zone);
            before.is_none_or(|(_, before)| before == sources)
        };
        self.snat_addrs == former.snat_addrs && self.source.sources.iter().all(is_same)
    }

    /// The SNAT ports of all workers.
    pub(crate) const fn ports(&self) -> &RangeInclusive<u16> {
        &self.source.ports
    }

    pub(crate) fn is_external(&self, address: Address) -> bool {
        self.externals.binary_search(&address).is_ok()
    }

    /// The container endpoint behind a published port.
    pub(crate) fn target(
        &self,
        transport: Transport,
        sender: Address,
        external: Address,
        port: u16,
    ) -> Option<Target> {
        let number = self.published(transport, external, port)?;
        let entry = &self.source.published[number];
        let ip = if external.is_v4() {
            entry.to_v4.map(IpAddr::V4)
        } else {
            entry.to_v6.map(IpAddr::V6)
        };
        Some(Target {
            server: InternalEndpoint {
                zone: entry.zone,
                address: ip?.into(),
                port: entry.to_port.checked_add(port - entry.ports.start())?,
            },
            owner: entry.owner,
            is_allowed: entry.allow_from.is_empty() || is_within(sender, &entry.allow_from),
            generation: self.generations[number],
        })
    }

    /// A publication covers the port of an external address, for either family.
    pub(crate) fn is_published(&self, transport: Transport, external: Address, port: u16) -> bool {
        self.published(transport, external, port).is_some()
    }

    /// The published port of an internal endpoint at an external address, with its generation.
    pub(crate) fn published_as(
        &self,
        transport: Transport,
        internal: InternalEndpoint,
        external: Address,
    ) -> Option<(u16, u64)> {
        let entries = self.starting_below(transport, internal);
        entries.map(|&(_, number)| number as usize).find_map(|number| {
            let entry = &self.source.published[number];
            let offset = internal.port.checked_sub(entry.to_port)?;
            let port = entry.ports.start().checked_add(offset)?;
            let is_here = entry.address.is_none_or(|address| {
                let all = address.is_unspecified() && address.is_ipv4() == external.is_v4();
                all || Address::from(address) == external
            });
            (is_here && entry.ports.contains(&port)).then_some((port, self.generations[number]))
        })
    }

    /// The internal endpoint is published at an external address.
    pub(crate) fn is_source(&self, transport: Transport, internal: InternalEndpoint) -> bool {
        self.starting_below(transport, internal).any(|&(_, number)| {
            let entry = &self.source.published[number as usize];
            let offset = internal.port.checked_sub(entry.to_port);
            offset.is_some_and(|offset| usize::from(offset) < entry.ports.len())
        })
    }

    /// Ranges of a container's address that start at a port or below, nearest first.
    fn starting_below(
        &self,
        transport: Transport,
        internal: InternalEndpoint,
    ) -> impl Iterator<Item = &(InternalStart, u32)> + Clone {
        let wanted = (transport, internal);
        let end = self.by_internal.partition_point(|(start, _)| *start <= wanted);
        self.by_internal[..end].iter().rev().take_while(move |((known, start), _)| {
            *known == transport && (start.zone, start.address) == (internal.zone, internal.address)
        })
    }

    /// Entries that a later policy removed or changed.
    pub(crate) fn revoked_by<'a>(&'a self, later: &'a Self) -> impl Iterator<Item = &'a Published> {
        let is_any = later.revoked_epoch > self.epoch;
        is_any.then(|| self.not_in(later)).into_iter().flatten()
    }

    fn not_in<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a Published> {
        let mut at = 0;
        let mut is_in = move |number: usize, entry: &Published| {
            let found = other.number_of(entry, at);
            at = found.map_or(at, |found| found + 1);
            found.is_some_and(|found| {
                other.source.published[found] == *entry
                    && other.generations[found] == self.generations[number]
            })
        };
        let entries = self.source.published.iter().enumerate();
        entries.filter(move |(number, entry)| !is_in(*number, entry)).map(|(_, entry)| entry)
    }

    /// The number of the entry with the same transport, address and first port, which may be `at`.
    fn number_of(&self, entry: &Published, at: usize) -> Option<usize> {
        let is_same = |other: &&Published| {
            (other.transport, other.address, other.ports.start())
                == (entry.transport, entry.address, entry.ports.start())
        };
        let here = self.source.published.get(at).filter(is_same);
        here.map(|_| at).or_else(|| self.starting_as(entry))
    }

    /// The generation of an entry that starts at the same port, if it leads to the same target.
    fn generation_of(&self, entry: &Published, number: usize) -> Option<u64> {
        let known = &self.source.published[number];
        let is_alike = (known.owner, known.zone, known.to_port)
            == (entry.owner, entry.zone, entry.to_port)
            && is_same_or_new(known.to_v4, entry.to_v4)
            && is_same_or_new(known.to_v6, entry.to_v6);
        is_alike.then_some(self.generations[number])
    }

    /// The entry with the same transport, address and first port.
    fn starting_as(&self, entry: &Published) -> Option<usize> {
        let address = entry.address.map_or(ANY_V4, Address::from);
        let start = (entry.transport, address, *entry.ports.start());
        let idx = self.by_external.partition_point(|(other, _)| *other < start);
        let (found, number) = self.by_external.get(idx)?;
        let number = *number as usize;
        let is_alike = || self.source.published[number].address == entry.address;
        (*found == start && is_alike()).then_some(number)
    }

    fn published(&self, transport: Transport, external: Address, port: u16) -> Option<usize> {
        let within = |number: &usize| self.source.published[*number].ports.contains(&port);
        let any = if external.is_v4() { ANY_V4 } else { ANY_V6 };
        let here = latest(&self.by_external, (transport, external, port)).filter(within);
        let here = here.filter(|_| external != any);
        let anywhere = || latest(&self.by_external, (transport, any, port)).filter(within);
        here.or_else(|| anywhere().filter(|_| self.is_external(external)))
    }
}

impl PartialEq for CompiledPolicy {
    /// Policies of one chain with the same epoch are one policy.
    fn eq(&self, other: &Self) -> bool {
        self.epoch == other.epoch
    }
}

impl Eq for CompiledPolicy {}

/// Rows of entries for all addresses of both families: of IPv4 first, so that each half is sorted where the entries are.
fn external_rows(entries: &[Published]) -> Vec<(ExternalStart, u32)> {
    let mut rows = Vec::with_capacity(2 * entries.len());
    for any in [ANY_V4, ANY_V6] {
        for (number, entry) in (0..).zip(entries) {
            let address = entry.address.map_or(any, Address::from);
            if entry.address.is_none() || address.is_v4() == any.is_v4() {
                rows.push(((entry.transport, address, *entry.ports.start()), number));
            }
        }
    }
    // Stable: it merges what is sorted already.
    rows.sort();
    rows
}

fn internal_rows(entries: &[Published]) -> Vec<(InternalStart, u32)> {
    let mut rows = Vec::with_capacity(2 * entries.len());
    for v6 in [false, true] {
        for (number, entry) in (0..).zip(entries) {
            let address =
                if v6 { entry.to_v6.map(IpAddr::V6) } else { entry.to_v4.map(IpAddr::V4) };
            let Some(address) = address.map(Address::from) else { continue };
            let internal = InternalEndpoint { zone: entry.zone, address, port: entry.to_port };
            rows.push(((entry.transport, internal), number));
        }
    }
    rows.sort();
    rows
}

/// The last entry of a transport and address that starts at this port or before.
fn latest(sorted: &[(ExternalStart, u32)], wanted: ExternalStart) -> Option<usize> {
    let after = sorted.partition_point(|(start, _)| *start <= wanted);
    let ((transport, address, _), number) = sorted.get(after.checked_sub(1)?)?;
    (*transport == wanted.0 && *address == wanted.1).then_some(*number as usize)
}

/// The address is unchanged, removed, or a first one.
fn is_same_or_new<T: PartialEq>(before: Option<T>, now: Option<T>) -> bool {
    before.is_none() || now.is_none() || before == now
}

/// A prefix contains the address.
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

#[cfg(test)]
mod tests;
