//! The bytes of an answer (RFC 1035, 4.1.3; RFC 2308, 2.2).

use std::net::IpAddr;

use super::plain::{CHECKING_DISABLED, HEADER_LEN, Plain, RECURSION_DESIRED};
use crate::dns::limits::{NAME_TTL_S, NEGATIVE_TTL_S, SECONDARY_S, UDP_ANSWER_MAX};
use crate::dns::names::SERVICE_ZONE;

/// An answer to a query, from one who answers for the name and would ask others.
const ANSWER: u16 = 0x8480;

/// A name that is the question's: its place in the message.
const NAME_OF_QUESTION: [u8; 2] = [0xc0, HEADER_LEN as u8];

const TYPE_A: u16 = 1;
const TYPE_SOA: u16 = 6;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;

/// The local part of the zone's contact.
const CONTACT: &[u8] = b"hostmaster";

/// An answer that grows by records.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    query: &'a Plain<'a>,
    /// As long as the answer may be.
    buffer: &'a mut [u8],
    at: usize,
    answers: u16,
    authorities: u16,
}

impl<'a> Writer<'a> {
    /// Begins with the question; nothing if there is no room.
    pub(super) fn new(query: &'a Plain<'a>, buffer: &'a mut [u8]) -> Option<Self> {
        let buffer = buffer.get_mut(..query.answer_max())?;
        let mut writer = Self { query, buffer, at: HEADER_LEN, answers: 0, authorities: 0 };
        writer.put(query.question)?;
        Some(writer)
    }

    /// Adds an address of the name.
    pub(super) fn address(&mut self, address: IpAddr) -> Option<()> {
        match address {
            IpAddr::V4(ipv4) => self.record(TYPE_A, NAME_TTL_S, &ipv4.octets())?,
            IpAddr::V6(ipv6) => self.record(TYPE_AAAA, NAME_TTL_S, &ipv6.octets())?,
        }
        self.answers += 1;
        Some(())
    }

    /// Adds the SOA record of an answer without data; the name is a zone of its own.
    pub(super) fn no_data(&mut self) -> Option<()> {
        self.record(TYPE_SOA, NEGATIVE_TTL_S, &[])?;
        let data = self.at;
        self.zone()?;
        self.label(CONTACT)?;
        self.zone()?;
        let seconds = [1, SECONDARY_S, SECONDARY_S, SECONDARY_S, NEGATIVE_TTL_S];
        seconds.iter().try_for_each(|number| self.put(&number.to_be_bytes()))?;
        let len = u16::try_from(self.at - data).ok()?;
        self.buffer[data - 2..data].copy_from_slice(&len.to_be_bytes());
        self.authorities += 1;
        Some(())
    }

    /// Completes the answer; gives its length.
    pub(super) fn finish(mut self) -> Option<usize> {
        let Plain { id, flags, edns, .. } = *self.query;
        if let Some(edns) = edns {
            let [size_high, size_low] = UDP_ANSWER_MAX.to_be_bytes();
            let [high, low] = edns.flags.to_be_bytes();
            self.put(&[0, 0, 41, size_high, size_low, 0, 0, high, low, 0, 0])?;
        }
        let flags = ANSWER | flags & (RECURSION_DESIRED | CHECKING_DISABLED);
        let counts = [flags, 1, self.answers, self.authorities, u16::from(edns.is_some())];
        let header = self.buffer.first_chunk_mut::<HEADER_LEN>()?;
        header[..2].copy_from_slice(&id);
        for (to, number) in header[2..].chunks_exact_mut(2).zip(counts) {
            to.copy_from_slice(&number.to_be_bytes());
        }
        Some(self.at)
    }

    fn record(&mut self, record_type: u16, ttl: u32, data: &[u8]) -> Option<()> {
        self.put(&NAME_OF_QUESTION)?;
        self.put(&record_type.to_be_bytes())?;
        self.put(&CLASS_IN.to_be_bytes())?;
        self.put(&ttl.to_be_bytes())?;
        self.put(&u16::try_from(data.len()).ok()?.to_be_bytes())?;
        self.put(data)
    }

    fn zone(&mut self) -> Option<()> {
        SERVICE_ZONE.split('.').try_for_each(|label| self.label(label.as_bytes()))?;
        self.put(&[0])
    }

    fn label(&mut self, label: &[u8]) -> Option<()> {
        self.put(&[u8::try_from(label.len()).ok()?])?;
        self.put(label)
    }

    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.at + bytes.len();
        self.buffer.get_mut(self.at..end)?.copy_from_slice(bytes);
        self.at = end;
        Some(())
    }
}
