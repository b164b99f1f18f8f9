//! Multicast group membership: IGMP (RFC 2236, RFC 3376) and MLD (RFC 2710, RFC 3810).
//!
//! A snooping switch (RFC 4541) reads joins and leaves as MAC addresses of groups. Sources are ignored: a
//! listener to one source listens to the group, and a leave of one source may be the last.

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::bytes::{array, be16};
use crate::checksum;
use crate::error::{Error, check_len};
use crate::ethernet::{self, EtherType};
use crate::mac::MacAddr;
use crate::protocol::Protocol;

#[cfg(test)]
mod tests;

/// All systems on the link.
pub const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);

/// Bytes of an IGMPv3 general query from the Ethernet header on.
pub const IGMP_QUERY_LEN: usize = ethernet::HEADER_LEN + 24 + 12;

/// Bytes of an MLDv2 general query from the Ethernet header on.
pub const MLD_QUERY_LEN: usize = ethernet::HEADER_LEN + 40 + 8 + 28;

/// Seconds for listeners to answer a general query (RFC 3376 section 8.3).
pub const QUERY_RESPONSE_S: u8 = 10;

const IGMP_QUERY: u8 = 0x11;
const IGMP_V1_REPORT: u8 = 0x12;
const IGMP_V2_REPORT: u8 = 0x16;
const IGMP_LEAVE: u8 = 0x17;
const IGMP_V3_REPORT: u8 = 0x22;
const MLD_QUERY: u8 = 130;
const MLD_V1_REPORT: u8 = 131;
const MLD_DONE: u8 = 132;
const MLD_V2_REPORT: u8 = 143;

/// Header of an IGMP message, and of an MLD message without the group.
const HEADER_LEN: usize = 8;

/// A membership message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A router's query.
    Query,
    /// Reports of joins and leaves.
    Report(Records<'a>),
}

/// A report about one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The group's MAC address.
    pub group: MacAddr,
    /// The sender listens. After a leave, others may listen, or the sender to a group with the same MAC
    /// address or to further sources.
    pub listens: bool,
}

impl<'a> Message<'a> {
    /// Reads an IGMP message, from its type byte to the end of the packet.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Field`] for another type.
    pub fn igmp(bytes: &'a [u8]) -> Result<Self, Error> {
        check_len("IGMP", HEADER_LEN, bytes.len())?;
        match bytes[0] {
            IGMP_QUERY => Ok(Self::Query),
            kind @ (IGMP_V1_REPORT | IGMP_V2_REPORT | IGMP_LEAVE) => {
                let listens = kind != IGMP_LEAVE;
                Ok(Self::Report(Records::one(ipv4_group(bytes, 4), listens)))
            }
            IGMP_V3_REPORT => Ok(Self::Report(Records::many(bytes, Ipv4Addr::BITS))),
            value => Err(Error::Field { header: "IGMP", field: "type", value: value.into() }),
        }
    }

    /// Reads an MLD message, from its ICMPv6 type byte to the end of the packet.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Field`] for another type.
    pub fn mld(bytes: &'a [u8]) -> Result<Self, Error> {
        check_len("MLD", HEADER_LEN, bytes.len())?;
        match bytes[0] {
            MLD_QUERY => Ok(Self::Query),
            kind @ (MLD_V1_REPORT | MLD_DONE) => {
                check_len("MLD", HEADER_LEN + 16, bytes.len())?;
                Ok(Self::Report(Records::one(ipv6_group(bytes, 8), kind == MLD_V1_REPORT)))
            }
            MLD_V2_REPORT => Ok(Self::Report(Records::many(bytes, Ipv6Addr::BITS))),
            value => Err(Error::Field { header: "MLD", field: "type", value: value.into() }),
        }
    }
}

/// Iterates over a report's groups, except link-local ones (224.0.0.0/24, ff02::/16), which are always
/// flooded. Stops at a truncated record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Records<'a> {
    one: Option<Record>,
    records: &'a [u8],
    /// Records left.
    left: u16,
    /// Bytes of an address.
    address_len: usize,
}

impl<'a> Records<'a> {
    fn one(group: Option<MacAddr>, listens: bool) -> Self {
        let one = group.map(|group| Record { group, listens });
        Self { one, records: &[], left: 0, address_len: 4 }
    }

    fn many(bytes: &'a [u8], address_bits: u32) -> Self {
        let address_len = address_bits as usize / 8;
        Self { one: None, records: &bytes[HEADER_LEN..], left: be16(bytes, 6..8), address_len }
    }

    /// The next record's change, if any (RFC 3376 section 4.2.12).
    fn record(&mut self) -> Option<Option<Record>> {
        self.left = self.left.checked_sub(1)?;
        let fixed_len = 4 + self.address_len;
        let record = self.records.get(..fixed_len)?;
        let (kind, aux_words, sources) = (record[0], usize::from(record[1]), be16(record, 2..4));
        let group = match self.address_len {
            4 => ipv4_group(record, 4),
            _ => ipv6_group(record, 4),
        };
        let len = fixed_len + usize::from(sources) * self.address_len + aux_words * 4;
        self.records = self.records.get(len..)?;
        // MODE_IS and CHANGE_TO: INCLUDE without sources leaves, EXCLUDE joins. ALLOW adds sources; BLOCK
        // removes some, so a listener to single sources leaves.
        let listens = match kind {
            1 | 5 if sources == 0 => None,
            1 | 2 | 4 | 5 => Some(true),
            3 => Some(sources > 0),
            6 => Some(false),
            _ => None,
        };
        Some(group.zip(listens).map(|(group, listens)| Record { group, listens }))
    }
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if let Some(record) = self.one.take() {
            return Some(record);
        }
        loop {
            if let Some(record) = self.record()? {
                return Some(record);
            }
        }
    }
}

fn ipv4_group(bytes: &[u8], at: usize) -> Option<MacAddr> {
    let group = Ipv4Addr::from(array::<4>(bytes, at..at + 4));
    let is_of_the_link = group.octets()[..3] == [224, 0, 0];
    (!is_of_the_link).then(|| MacAddr::from_ipv4_multicast(group))
}

fn ipv6_group(bytes: &[u8], at: usize) -> Option<MacAddr> {
    let group = Ipv6Addr::from(array::<16>(bytes, at..at + 16));
    // The scope (RFC 4291 section 2.7): 1 is the node's own, 2 the link's.
    let is_of_the_link = group.octets()[1] & 0xf <= 2;
    (!is_of_the_link).then(|| MacAddr::from_ipv6_multicast(group))
}

/// An IGMPv3 general query from 0.0.0.0, as RFC 4541 section 2.1.1 allows a switch, with the router alert
/// option. Listeners answer within `response_s` seconds, 12 at most.
pub fn igmp_query(mac: MacAddr, response_s: u8, interval_s: u8) -> [u8; IGMP_QUERY_LEN] {
    let mut frame = [0; IGMP_QUERY_LEN];
    put_link(&mut frame, mac, MacAddr::from_ipv4_multicast(ALL_SYSTEMS), EtherType::IPV4);
    let ip = &mut frame[ethernet::HEADER_LEN..];
    let total_len = ip.len() as u8;
    ip[..12].copy_from_slice(&[0x46, 0xc0, 0, total_len, 0, 0, 0, 0, 1, 2, 0, 0]);
    ip[16..20].copy_from_slice(&ALL_SYSTEMS.octets());
    ip[20..24].copy_from_slice(&[0x94, 4, 0, 0]);
    let header_sum = checksum::checksum(&ip[..24]);
    ip[10..12].copy_from_slice(&header_sum.to_be_bytes());
    let query = &mut ip[24..];
    query[..2].copy_from_slice(&[IGMP_QUERY, response_s.min(12) * 10]);
    query[8..10].copy_from_slice(&[ROBUSTNESS, interval_s]);
    let sum = checksum::checksum(query);
    query[2..4].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// An MLDv2 general query from the link-local address of `mac` (RFC 3810 section 5.1.14), with the router
/// alert option. Listeners answer within `response_s` seconds, 32 at most.
pub fn mld_query(mac: MacAddr, response_s: u8, interval_s: u8) -> [u8; MLD_QUERY_LEN] {
    let all_nodes = crate::ndp::ALL_NODES;
    let [a, b, c, d, e, f] = mac.0;
    let source = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f];
    let mut frame = [0; MLD_QUERY_LEN];
    put_link(&mut frame, mac, MacAddr::from_ipv6_multicast(all_nodes), EtherType::IPV6);
    let ip = &mut frame[ethernet::HEADER_LEN..];
    let payload_len = (ip.len() - 40) as u8;
    ip[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, payload_len, Protocol::HOP_BY_HOP.0, 1]);
    ip[8..24].copy_from_slice(&source);
    ip[24..40].copy_from_slice(&all_nodes.octets());
    ip[40..48].copy_from_slice(&[Protocol::ICMPV6.0, 0, 5, 2, 0, 0, 1, 0]);
    let query = &mut ip[48..];
    let response_ms = u16::from(response_s.min(32)) * 1000;
    query[0] = MLD_QUERY;
    query[4..6].copy_from_slice(&response_ms.to_be_bytes());
    query[24..26].copy_from_slice(&[ROBUSTNESS, interval_s]);
    let pseudo =
        checksum::pseudo_v6(source.into(), all_nodes, Protocol::ICMPV6, query.len() as u32);
    let sum = checksum::transport(pseudo, query);
    query[2..4].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// The querier's robustness variable (RFC 3376 section 8.1).
const ROBUSTNESS: u8 = 2;

fn put_link(frame: &mut [u8], src: MacAddr, dst: MacAddr, ethertype: EtherType) {
    frame[..6].copy_from_slice(&dst.0);
    frame[6..12].copy_from_slice(&src.0);
    frame[12..14].copy_from_slice(&ethertype.0.to_be_bytes());
}
