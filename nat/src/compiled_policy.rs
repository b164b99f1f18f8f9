//! The policy, compiled: published ports are found by binary search.
//!
//! # Theory of operation
//!
//! Control compiles a policy once ([`CompiledPolicy::compile`]), and all workers share the result. A
//! policy with the same content keeps its compiled form and its epoch, so a worker compares one number.
//!
//! A published range is one entry of two lists, sorted by transport, address and first port. An entry
//! for all addresses has no address in the list of external ports, one for all of a family the unspecified
//! address. Control refuses ranges that overlap
//! at one address; should they overlap, the range with the last start before the port wins. The other
//! list finds an entry by the container's address and port: what a published endpoint sends leaves by
//! its published port, so that both directions are one connection.
//!
//! Each entry has a *generation*: the epoch since which its first port leads to its target. An entry that
//! is removed and published again gets a new one, and has no connection of the former. One that only gets
//! longer, or other senders, keeps its generation.
//!
//! The lists are shared with the policy before if it publishes the same: then a change of routes costs no more with
//! many publications. If it publishes other entries, most of them stay where they were, and so does their order.

mod changed;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use crate::address::Address;
use crate::compiled_policy::changed::Changed;
use crate::owner::OwnerId;
use crate::policy::{Policy, Published};
use crate::sources::{SourceSet, Sources};
use crate::tuple::Transport;
use crate::zone::{InternalEndpoint, Zone};

/// The first external endpoint of a range: transport, address (none for all addresses), port.
type ExternalStart = (Transport, Option<Address>, u16);

/// The first internal endpoint of a range.
type InternalStart = (Transport, InternalEndpoint);

/// A policy, compiled. Immutable.
#[derive(Debug)]
pub struct CompiledPolicy {
    epoch: u64,
    /// The last epoch that removed or changed an entry.
    revoked_epoch: u64,
    source: Policy,
    lists: Arc<Lists>,
    externals: Vec<Address>,
    /// The SNAT addresses: IPv4, IPv6.
    snat_addrs: [Option<Address>; 2],
}

/// The published entries in the order of searches.
#[derive(Debug, Default)]
struct Lists {
    /// The generation of each entry.
    generations: Vec<u64>,
    /// Entries by the host's address and port.
    by_external: Vec<(ExternalStart, u32)>,
    /// Entries by the container's zone, address and port.
    by_internal: Vec<(InternalStart, u32)>,
    /// Ranges of ports of all addresses, first and last, that do not overlap.
    by_port: Vec<(Transport, u16, u16)>,
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
            lists: Arc::default(),
            externals: Vec::new(),
            snat_addrs: [None; 2],
        }
    }

    fn follow(source: Policy, previous: &Self) -> Self {
        let epoch = previous.epoch + 1;
        let former = &previous.source.published;
        let changed = Changed::between(former, &source.published);
        let is_published_same = changed == Changed::default();
        let lists = match is_published_same {
            true => Arc::clone(&previous.lists),
            false => Arc::new(previous.lists_of(&source.published, &changed, epoch)),
        };
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
            lists,
            externals,
            snat_addrs,
        };
        if previous.not_in(&compiled, changed.former).next().is_some() {
            compiled.revoked_epoch = epoch;
        }
        compiled
    }

    /// The lists of entries that follow the own ones. Those that stay are copied in their order, with their new numbers.
    fn lists_of(&self, entries: &[Published], changed: &Changed, epoch: u64) -> Lists {
        let Changed { former, now } = changed;
        let mut at = former.start;
        let generation = |entry| {
            let number = self.number_of(entry, at)?;
            at = number + 1;
            self.generation_of(entry, number)
        };
        let new = &entries[now.clone()];
        let of_new: Vec<u64> = new.iter().map(generation).map(|it| it.unwrap_or(epoch)).collect();
        let known = &self.lists.generations;
        let generations = [&known[..former.start], &of_new, &known[former.end..]].concat();
        let new = || (now.start as u32..).zip(new);
        let external = |(number, entry): (u32, &Published)| {
            ((entry.transport, entry.address.map(Address::from), *entry.ports.start()), number)
        };
        let internal = |v6: bool| {
            new().filter_map(move |(number, entry)| {
                let (v4_address, v6_address) =
                    (entry.to_v4.map(IpAddr::V4), entry.to_v6.map(IpAddr::V6));
                let address = if v6 { v6_address? } else { v4_address? };
                let (zone, address, port) = (entry.zone, address.into(), entry.to_port);
                Some(((entry.transport, InternalEndpoint { zone, address, port }), number))
            })
        };
        let mut by_external = changed.renumbered(&self.lists.by_external);
        let mut by_internal = changed.renumbered(&self.lists.by_internal);
        by_external.extend(new().map(external));
        by_internal.extend(internal(false).chain(internal(true)));
        // Stable: it merges what is sorted already.
        by_external.sort();
        by_internal.sort();
        let by_port = ports_of(by_external.iter().map(|(_, number)| &entries[*number as usize]));
        Lists { generations, by_external, by_internal, by_port }
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

    /// The SNAT addresses of the route to a destination, from a container of a zone.
    pub(crate) fn sources_for(
        &self,
        (zone, container): (Zone, Address),
        destination: Address,
    ) -> Option<&SourceSet> {
        let (_, sources) = self.source.sources.iter().find(|(known, _)| *known == zone)?;
        sources.find(container.ip(), destination.ip())
    }

    /// The SNAT address for a destination outside.
    pub(crate) fn source_for(
        &self,
        from: (Zone, Address),
        destination: Address,
    ) -> Option<Address> {
        match self.sources_for(from, destination) {
            Some(set) => set.choose(destination.ip()).map(Address::from),
            None => self.external_for(destination),
        }
    }

    /// The address that a packet from a container of a zone gets by the route to a destination outside.
    #[must_use]
    pub fn source_to(
        &self,
        (zone, container): (Zone, IpAddr),
        destination: IpAddr,
    ) -> Option<IpAddr> {
        self.source_for((zone, container.into()), destination.into()).map(Address::ip)
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
            generation: self.lists.generations[number],
        })
    }

    /// A publication names the port, at whatever address.
    pub(crate) fn names_port(&self, transport: Transport, port: u16) -> bool {
        let ranges = &self.lists.by_port;
        let after =
            ranges.partition_point(|(known, first, _)| (*known, *first) <= (transport, port));
        let last = after.checked_sub(1).map(|at| ranges[at]);
        last.is_some_and(|(known, _, last)| known == transport && port <= last)
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
                let address = Address::from(address);
                address == external || address == any_like(external)
            });
            (is_here && entry.ports.contains(&port))
                .then_some((port, self.lists.generations[number]))
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
        let end = self.lists.by_internal.partition_point(|(start, _)| *start <= wanted);
        self.lists.by_internal[..end].iter().rev().take_while(move |((known, start), _)| {
            *known == transport && (start.zone, start.address) == (internal.zone, internal.address)
        })
    }

    /// Entries that a later policy removed or changed.
    pub(crate) fn revoked_by<'a>(&'a self, later: &'a Self) -> impl Iterator<Item = &'a Published> {
        let is_any = later.revoked_epoch > self.epoch;
        is_any.then(|| self.not_in(later, 0..self.source.published.len())).into_iter().flatten()
    }

    /// Entries with these numbers that another policy does not have as they are.
    fn not_in<'a>(
        &'a self,
        other: &'a Self,
        numbers: Range<usize>,
    ) -> impl Iterator<Item = &'a Published> {
        let mut at = numbers.start;
        let mut is_in = move |number: usize, entry: &Published| {
            let found = other.number_of(entry, at);
            at = found.map_or(at, |found| found + 1);
            found.is_some_and(|found| {
                other.source.published[found] == *entry
                    && other.lists.generations[found] == self.lists.generations[number]
            })
        };
        let entries = numbers.clone().zip(&self.source.published[numbers]);
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
        is_alike.then_some(self.lists.generations[number])
    }

    /// The entry with the same transport, address and first port.
    fn starting_as(&self, entry: &Published) -> Option<usize> {
        let start = (entry.transport, entry.address.map(Address::from), *entry.ports.start());
        let idx = self.lists.by_external.partition_point(|(other, _)| *other < start);
        let (found, number) = self.lists.by_external.get(idx)?;
        (*found == start).then_some(*number as usize)
    }

    fn published(&self, transport: Transport, external: Address, port: u16) -> Option<usize> {
        let within = |number: &usize| self.source.published[*number].ports.contains(&port);
        let at =
            |address| latest(&self.lists.by_external, (transport, address, port)).filter(within);
        let anywhere = || at(Some(any_like(external))).or_else(|| at(None));
        at(Some(external)).or_else(|| anywhere().filter(|_| self.is_external(external)))
    }
}

impl PartialEq for CompiledPolicy {
    /// Policies of one chain with the same epoch are one policy.
    fn eq(&self, other: &Self) -> bool {
        self.epoch == other.epoch
    }
}

impl Eq for CompiledPolicy {}

/// The ports of all entries, most of which come sorted.
fn ports_of<'a>(entries: impl Iterator<Item = &'a Published>) -> Vec<(Transport, u16, u16)> {
    let range = |entry: &Published| (entry.transport, *entry.ports.start(), *entry.ports.end());
    let mut ranges: Vec<_> = entries.map(range).collect();
    ranges.sort();
    ranges.dedup_by(|(transport, first, last), (before, _, end)| {
        let overlaps = transport == before && *first <= *end;
        if overlaps {
            *end = *last.max(end);
        }
        overlaps
    });
    ranges
}

/// The address that stands for all of the host's with the family of another one.
fn any_like(address: Address) -> Address {
    match address.is_v4() {
        true => IpAddr::V4(Ipv4Addr::UNSPECIFIED).into(),
        false => IpAddr::V6(Ipv6Addr::UNSPECIFIED).into(),
    }
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
