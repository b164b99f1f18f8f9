//! Export and import of connections, for a restart without loss.
//!
//! The format: [`MAGIC`], [`VERSION`], the number of connections (4 bytes, little-endian), and a record of
//! each ([`crate::record`]), oldest first. Times are idle times, so the clocks of both tables may differ.
//! Not exported: counters of the table, ports at rest, pinholes. Owners are slots of ports: the importer
//! must have the same slots, and as many workers.

use std::collections::{HashMap, HashSet};

use super::Nat;
use super::port_request::PoolKey;
use crate::address::Address;
use crate::limits::EXTERNAL_ADDRS_MAX;
use crate::record::{MappedEndpoint, RECORD_LEN, Record};
use crate::state::CoarseTime;
use crate::table::external_addrs;
use crate::table::external_addrs::{ExternalEndpoint, Origin};
use crate::table::flow::{Flow, FlowFlags};
use crate::table::link::Link;
use crate::time::Time;
use crate::tuple::Transport;

/// The first bytes of an export.
const MAGIC: [u8; 7] = *b"vswnat\0";

/// The version of the format.
const VERSION: u8 = 1;

const HEADER_LEN: usize = MAGIC.len() + 1 + size_of::<u32>();

/// An import error; the table is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The table has connections.
    #[error("the table is in use: {0} connections")]
    InUse(usize),
    /// Other data.
    #[error("not an export of a NAT table")]
    Magic,
    /// The format of another release.
    #[error("export of version {0}, not {VERSION}")]
    Version(u8),
    /// The length differs from the header's.
    #[error("export of {found} bytes, not {expected}")]
    Length {
        /// Bytes by the header.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// More connections, mappings or external addresses than the table can hold.
    #[error("{0} more than the table can hold")]
    TooMany(&'static str),
    /// An invalid record.
    #[error("connection {number}: {what}")]
    Record {
        /// Its number in the export.
        number: usize,
        /// The field.
        what: &'static str,
    },
}

/// The result of an import, in connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Imported.
    pub kept: usize,
    /// Skipped: the policy, or the ports that this worker has claimed, forbid them.
    pub skipped: usize,
}

impl Nat {
    /// Encodes all live connections for [`Nat::import`].
    #[must_use]
    pub fn export(&self) -> Vec<u8> {
        let mut flows: Vec<&Flow> = self.flows.iter().filter(|flow| !self.is_over(flow)).collect();
        flows.sort_by_key(|flow| flow.seen);
        let mut out = Vec::with_capacity(HEADER_LEN + flows.len() * RECORD_LEN);
        out.extend_from_slice(&MAGIC);
        out.push(VERSION);
        out.extend_from_slice(&(flows.len() as u32).to_le_bytes());
        flows.iter().for_each(|flow| self.record(flow).encode(&mut out));
        out
    }

    /// Imports the connections of another table into an empty one that has adopted its policy.
    /// `now` should exceed the longest timeout, or idle connections live longer.
    ///
    /// # Errors
    /// [`ImportError`]; nothing is imported.
    pub fn import(&mut self, now: Time, bytes: &[u8]) -> Result<Imported, ImportError> {
        if !self.is_empty() {
            return Err(ImportError::InUse(self.len()));
        }
        let all = decode(bytes)?;
        let total = all.len();
        let records: Vec<Record> = all.into_iter().filter(|it| self.allows(it)).collect();
        self.check_capacity(&records)?;
        self.advance(now);
        // Reclaim old slots first: the sweep would free ports of the new connections.
        self.reclaim(&mut { usize::MAX });
        for record in &records {
            self.restore(record);
        }
        let published: Vec<u32> =
            self.flows.numbers().filter(|it| self.is_unpublished(*it)).collect();
        published.iter().for_each(|number| self.end(*number));
        self.note_gone();
        Ok(Imported { kept: self.len(), skipped: total - self.len() })
    }

    fn record(&self, flow: &Flow) -> Record {
        use crate::direction::Direction::{Original, Reply};
        Record {
            peers: flow.peers,
            externals: flow.aliases.map(|addr_idx| self.externals.address(addr_idx)),
            ports: flow.ports,
            zones: flow.zones,
            owner: flow.owner,
            peer_owner: flow.peer_owner,
            transport: flow.transport(),
            state: flow.state,
            flags: flow.flags,
            idle: self.now.since(CoarseTime(flow.seen)),
            tcp_peers: flow.tcp_peers,
            bytes: flow.bytes,
            frames: [flow.frames(Original), flow.frames(Reply)],
        }
    }

    /// The policy and the port slice still cover the record's external addresses and ports.
    fn allows(&self, record: &Record) -> bool {
        let mut external = record.externals.iter().flatten();
        let mapped = record.mapped().into_iter().flatten().map(|mapped| mapped.port);
        external.all(|address| !address.is_v4() || self.policy.is_external(*address))
            && mapped
                .chain(record.shared_port())
                .all(|port| self.has_claimed(record.transport, port))
    }

    fn is_unpublished(&self, number: u32) -> bool {
        let flow = self.flows.at(number);
        !self.flows.is_free(number)
            && flow.flags.has(FlowFlags::PUBLISHED)
            && !self.is_still_published(flow)
    }

    fn check_capacity(&self, records: &[Record]) -> Result<(), ImportError> {
        let externals: HashSet<_> = records.iter().flat_map(|it| it.externals).flatten().collect();
        let mapped: HashSet<_> = records
            .iter()
            .flat_map(|it| {
                it.mapped().into_iter().flatten().map(|end| (it.transport, end.external, end.port))
            })
            .collect();
        match () {
            () if records.len() > self.flows.capacity() => Err(ImportError::TooMany("connections")),
            () if mapped.len() > self.mappings.capacity() => Err(ImportError::TooMany("mappings")),
            () if externals.len() > EXTERNAL_ADDRS_MAX => {
                Err(ImportError::TooMany("external addresses"))
            }
            () => Ok(()),
        }
    }

    /// Inserts a checked record.
    fn restore(&mut self, record: &Record) {
        let [client, server] = record.mapped();
        let [original, reply] = record.keys();
        let ends = [
            self.restore_endpoint(record, record.externals[0], reply.ports.dst(), client),
            self.restore_endpoint(record, record.externals[1], original.ports.dst(), server),
        ];
        if let (Some(port), Some(client)) = (record.shared_port(), ends[0]) {
            let ports = self.port_pool(record.transport, client.addr_idx);
            ports.claim(port);
            ports.share(port);
        }
        let is_hairpin = record.flags.has(FlowFlags::HAIRPIN);
        let owners = [Some(record.owner), is_hairpin.then_some(record.peer_owner)];
        for owner in owners.into_iter().flatten() {
            self.owners.get_or_add(owner.id());
        }
        let mut flow = Flow {
            peers: record.peers,
            aliases: ends.map(|end| end.map_or(external_addrs::NONE, |end| end.addr_idx)),
            ports: record.ports,
            zones: record.zones,
            state: record.state,
            flags: record.flags,
            seen: self.now.0.saturating_sub(record.idle),
            owner: record.owner,
            peer_owner: record.peer_owner,
            created_epoch: self.revoked.epoch,
            tcp_peers: record.tcp_peers,
            bytes: record.bytes,
            frames_low: [0; 2],
            frames_high: [0; 2],
            wheel_link: Link::NONE,
            owner_link: Link::NONE,
        };
        flow.set_frames(record.frames);
        self.link(flow, [original, reply]);
    }

    /// Restores a peer's external endpoint and mapping, and counts the connection as their user.
    fn restore_endpoint(
        &mut self,
        record: &Record,
        external: Option<Address>,
        port: u16,
        mapped: Option<MappedEndpoint>,
    ) -> Option<ExternalEndpoint> {
        let addr_idx = self.externals.number(external?)?;
        self.externals.hold(addr_idx);
        let mapping = mapped.map(|mapped| {
            let (transport, internal) = (record.transport, mapped.internal);
            let known = self.mappings.find(&self.secrets, transport, internal, addr_idx, |_| true);
            let number = known.unwrap_or_else(|| {
                self.owners.get_or_add(mapped.owner);
                self.port_pool(transport, addr_idx).claim(port);
                let pool = PoolKey { owner: mapped.owner, transport, addr_idx };
                self.add_mapping(pool, internal, port)
            });
            self.mappings.at_mut(number).users += 1;
            number
        });
        let origin = mapping.map_or(Origin::Published, Origin::Mapped);
        Some(ExternalEndpoint { addr_idx, port, origin })
    }
}

/// Decodes all records and checks them against each other.
fn decode(bytes: &[u8]) -> Result<Vec<Record>, ImportError> {
    let (magic, rest) = bytes.split_first_chunk().ok_or(ImportError::Magic)?;
    if *magic != MAGIC {
        return Err(ImportError::Magic);
    }
    let short = ImportError::Length { expected: HEADER_LEN, found: bytes.len() };
    let (&version, rest) = rest.split_first().ok_or(short)?;
    if version != VERSION {
        return Err(ImportError::Version(version));
    }
    let (count, rest) = rest.split_first_chunk().ok_or(short)?;
    let expected = HEADER_LEN + u32::from_le_bytes(*count) as usize * RECORD_LEN;
    if expected != bytes.len() {
        return Err(ImportError::Length { expected, found: bytes.len() });
    }
    let (records, _) = rest.as_chunks::<RECORD_LEN>();
    let mut seen = Seen::default();
    let decode = |(number, bytes)| {
        let checked = Record::decode(bytes).and_then(|record| seen.add(&record).map(|()| record));
        checked.map_err(|what| ImportError::Record { number, what })
    };
    records.iter().enumerate().map(decode).collect()
}

/// Keys and mappings of the records decoded so far.
#[derive(Default)]
struct Seen {
    keys: HashSet<crate::table::hash::Key>,
    by_external: HashMap<(Transport, Address, u16), MappedEndpoint>,
    by_internal: HashMap<(Transport, crate::zone::InternalEndpoint, Address), u16>,
}

impl Seen {
    /// Adds a record that contradicts none before.
    fn add(&mut self, record: &Record) -> Result<(), &'static str> {
        if !record.keys().into_iter().all(|key| self.keys.insert(key)) {
            return Err("addresses and ports of another connection");
        }
        for mapped in record.mapped().into_iter().flatten() {
            let MappedEndpoint { internal, external, port, .. } = mapped;
            let of_port = self.by_external.entry((record.transport, external, port));
            let of_endpoint = self.by_internal.entry((record.transport, internal, external));
            if *of_port.or_insert(mapped) != mapped || *of_endpoint.or_insert(port) != port {
                return Err("mapping of another endpoint");
            }
        }
        Ok(())
    }
}
