//! Export and import of learnt entries, for a restart without relearning.
//!
//! ```text
//! 0   4  magic "vfdb"
//! 4   2  version, 1
//! 6   2  zero
//! 8   4  number of rows
//! 12     rows of 16 bytes: MAC address << 16 | VLAN (8), network (2), destination (2), age in seconds (4)
//! ```
//!
//! Numbers are big-endian. Static entries are not exported, since control sets them. Destinations are
//! slots of ports: the importer must have the same slots.

use super::{Bucket, Destination, Entry, Fdb, Key, Learnt, NetworkIndex, Snapshot};
use crate::datapath::limits::FDB_SLOTS;

const MAGIC: &[u8; 4] = b"vfdb";
const VERSION: u16 = 1;
const HEADER: usize = 12;
const ROW: usize = 16;

/// Why bytes are no FDB. Nothing was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FdbImportError {
    /// Another format.
    #[error("this is no exported FDB: it does not begin with \"vfdb\"")]
    Magic,
    /// A version of the format that this switch does not read.
    #[error("FDB format version {0} is unknown; this switch reads version {VERSION}")]
    Version(u16),
    /// The length does not fit the number of rows, or there are more rows than a table holds.
    #[error("an FDB of {rows} rows cannot have {bytes} bytes")]
    Length {
        /// Rows that the header promises.
        rows: u32,
        /// Bytes in all.
        bytes: usize,
    },
    /// A row that no switch has exported.
    #[error("FDB row {0} has no unicast MAC address, VLAN or destination")]
    Row(usize),
}

impl Fdb {
    /// Learnt entries with their age at `now_s`, for [`Fdb::import`].
    #[must_use]
    pub fn export(&self, now_s: u32) -> Vec<u8> {
        let learnt = || self.buckets.iter().flat_map(Bucket::entries).filter(|it| !it.is_static());
        let rows = learnt().count();
        let mut bytes = Vec::with_capacity(HEADER + rows * ROW);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_be_bytes());
        bytes.extend([0; 2]);
        bytes.extend((rows as u32).to_be_bytes());
        for entry in learnt() {
            bytes.extend(entry.key.address.to_be_bytes());
            bytes.extend(entry.key.network.0.to_be_bytes());
            bytes.extend(entry.destination.to_bits().to_be_bytes());
            bytes.extend(entry.age_s(now_s).to_be_bytes());
        }
        bytes
    }

    /// Learns exported entries as of `now_s`, as from another worker: destinations that the snapshot
    /// lacks are left out, and nothing newer is replaced.
    ///
    /// # Errors
    /// When the bytes are no export of a version that this switch reads; nothing is learnt then.
    pub fn import(
        &mut self,
        bytes: &[u8],
        now_s: u32,
        snapshot: &Snapshot,
    ) -> Result<(), FdbImportError> {
        for (learnt, age_s) in parse(bytes)? {
            self.learn_in(snapshot, learnt, now_s.saturating_sub(age_s));
        }
        Ok(())
    }
}

fn parse(bytes: &[u8]) -> Result<Vec<(Learnt, u32)>, FdbImportError> {
    let Some((header, rows)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(FdbImportError::Magic);
    };
    let [a, b, c, d, high, low, _, _, count @ ..] = *header;
    if [a, b, c, d] != *MAGIC {
        return Err(FdbImportError::Magic);
    }
    let (version, count) = (u16::from_be_bytes([high, low]), u32::from_be_bytes(count));
    if version != VERSION {
        return Err(FdbImportError::Version(version));
    }
    let (chunks, rest) = rows.as_chunks::<ROW>();
    if !rest.is_empty() || chunks.len() != count as usize || chunks.len() > FDB_SLOTS {
        return Err(FdbImportError::Length { rows: count, bytes: bytes.len() });
    }
    let rows = chunks.iter().enumerate();
    rows.map(|(at, row)| parse_row(row).ok_or(FdbImportError::Row(at))).collect()
}

fn parse_row(row: &[u8; ROW]) -> Option<(Learnt, u32)> {
    let (address, rest) = row.split_first_chunk::<8>()?;
    let &[n0, n1, d0, d1, ref age @ ..] = rest else { return None };
    let network = NetworkIndex(u16::from_be_bytes([n0, n1]));
    let key = Key { address: u64::from_be_bytes(*address), network };
    let destination = Destination::from_bits(u16::from_be_bytes([d0, d1]));
    let is_unicast = key.address >> 16 != 0 && !key.is_multicast() && key.address & 0xf000 == 0;
    let is_known =
        destination.port().is_none_or(|port| fastpath::PortIndex::new(port.get()).is_some());
    let age_s = u32::from_be_bytes(age.try_into().ok()?);
    (is_unicast && is_known && age_s != Entry::STATIC)
        .then_some((Learnt { key, destination }, age_s))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::datapath::fdb::tests::{AGEING_S, MANY, key, learnt, snapshot_of_ports};

    fn filled(rows: &[(u64, u16, u32)], now_s: u32) -> Fdb {
        let mut fdb = Fdb::new(1);
        for &(n, port, age_s) in rows {
            fdb.learn(learnt(n, port), now_s - age_s, AGEING_S, MANY);
        }
        fdb
    }

    proptest! {
        #[test]
        fn an_import_knows_what_the_export_knew(
            rows in proptest::collection::vec((0u64..5_000, 0u16..8, 0u32..400), 0..200),
            later in 0u32..1_000_000,
        ) {
            let (old, snapshot) = (filled(&rows, 1_000), snapshot_of_ports(8));
            let mut new = Fdb::new(2);
            let now_s = 1_000 + later;
            prop_assert_eq!(new.import(&old.export(1_000), now_s, &snapshot), Ok(()));
            for &(n, ..) in &rows {
                let expected = old.lookup(key(n), 1_000, AGEING_S);
                prop_assert_eq!(new.lookup(key(n), now_s, AGEING_S), expected);
            }
        }

        #[test]
        fn damaged_bytes_are_refused_and_change_nothing(
            at: prop::sample::Index,
            cut in 0usize..40,
            byte: u8,
        ) {
            let mut bytes = filled(&[(1, 1, 0), (2, 2, 5)], 1_000).export(1_000);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(bytes.len() - cut.min(bytes.len()));
            let (mut fdb, snapshot) = (filled(&[(7, 3, 0)], 1_000), snapshot_of_ports(8));
            if fdb.import(&bytes, 1_000, &snapshot).is_err() {
                prop_assert_eq!(fdb.len(), 1);
            }
            prop_assert_eq!(fdb.lookup(key(7), 1_000, AGEING_S), Some(fastpath::PortIndex(3).into()));
        }
    }

    #[test]
    fn each_kind_of_damage_has_its_error() {
        let good = filled(&[(1, 1, 0)], 1_000).export(1_000);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        let cases = [
            (Vec::new(), FdbImportError::Magic),
            (with(0, b'x'), FdbImportError::Magic),
            (with(5, 9), FdbImportError::Version(9)),
            (with(11, 2), FdbImportError::Length { rows: 2, bytes: 28 }),
            (good[..27].to_vec(), FdbImportError::Length { rows: 1, bytes: 27 }),
            (with(12, 1), FdbImportError::Row(0)),
            (with(18, 0xf0), FdbImportError::Row(0)),
            (with(22, 0x7f), FdbImportError::Row(0)),
        ];
        let snapshot = snapshot_of_ports(8);
        for (bytes, error) in cases {
            let mut fdb = Fdb::new(1);
            assert_eq!(fdb.import(&bytes, 1_000, &snapshot), Err(error));
            assert!(fdb.is_empty());
        }
    }

    #[test]
    fn newer_entries_and_unknown_ports_stay_as_they_are() {
        let bytes = filled(&[(1, 1, 50), (2, 7, 0)], 1_000).export(1_000);
        let (mut fdb, snapshot) = (filled(&[(1, 2, 0)], 1_000), snapshot_of_ports(4));
        assert_eq!(fdb.import(&bytes, 1_000, &snapshot), Ok(()));
        assert_eq!(fdb.lookup(key(1), 1_000, AGEING_S), Some(fastpath::PortIndex(2).into()));
        assert_eq!(fdb.lookup(key(2), 1_000, AGEING_S), None, "port 7 is not there");
    }
}
