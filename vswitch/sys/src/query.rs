//! Queries to nftables and their answers: `linux/netlink.h`, `linux/netfilter/nf_tables.h`.

use nftnl::ProtoFamily;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
/// `NFNL_SUBSYS_NFTABLES << 8`, with which message types begin.
const NFTABLES: u16 = 10 << 8;
const NEWTABLE: u16 = 0;
const GETTABLE: u16 = 1;
const GETRULE: u16 = 7;
const NEWGEN: u16 = 15;
const GETGEN: u16 = 16;
const NEWRULE: u16 = 6;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `NFTA_TABLE_NAME` and `NFTA_TABLE_FLAGS`.
const TABLE_NAME: u16 = 1;
const TABLE_FLAGS: u16 = 2;
/// `NFT_TABLE_F_OWNER`.
const OWNED: u32 = 0x2;
/// `nlmsghdr` and `nfgenmsg`.
const HEADER: usize = 16;
const HEADERS: usize = 20;

/// A message from the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The request of this number is done, or failed with this error number.
    Ack {
        /// Number of the request.
        seq: u32,
        /// 0, or the error number.
        errno: i32,
    },
    /// The end of a list.
    Done,
    /// The number of the generation.
    Generation(u32),
    /// A rule, of this table.
    Rule(Vec<u8>),
    /// A table.
    Table {
        /// Its family, an `NFPROTO_` number.
        family: u8,
        /// Its name.
        name: Vec<u8>,
        /// Whether a process owns it that lives.
        is_owned: bool,
    },
    /// Something that was not asked for.
    Other,
}

/// Asks for the number of the present generation of all rules, which grows with each change by whomever.
#[must_use]
pub fn ask_generation(seq: u32) -> Vec<u8> {
    question(GETGEN, ProtoFamily::Unspec, 0, seq)
}

/// Asks for all rules of a family.
#[must_use]
pub fn ask_rules(family: ProtoFamily, seq: u32) -> Vec<u8> {
    question(GETRULE, family, NLM_F_DUMP, seq)
}

/// Asks for all tables of all families.
#[must_use]
pub fn ask_tables(seq: u32) -> Vec<u8> {
    question(GETTABLE, ProtoFamily::Unspec, NLM_F_DUMP, seq)
}

fn question(kind: u16, family: ProtoFamily, flags: u16, seq: u32) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADERS);
    message.extend((HEADERS as u32).to_ne_bytes());
    message.extend((NFTABLES | kind).to_ne_bytes());
    message.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    message.extend(seq.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    message.extend([family as u16 as u8, 0, 0, 0]);
    message
}

/// The messages of a datagram, without what is cut off.
pub fn messages(mut datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let len = u32::from_ne_bytes(datagram.get(..4)?.try_into().ok()?) as usize;
        let message = datagram.get(..len).filter(|_| len >= HEADER)?;
        datagram = datagram.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// Reads a message; `None` if it is cut off.
#[must_use]
pub fn read(message: &[u8]) -> Option<Answer> {
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    let seq = u32::from_ne_bytes(message.get(8..12)?.try_into().ok()?);
    Some(match kind {
        NLMSG_ERROR => {
            let code = i32::from_ne_bytes(message.get(HEADER..HEADERS)?.try_into().ok()?);
            Answer::Ack { seq, errno: code.saturating_neg() }
        }
        NLMSG_DONE => Answer::Done,
        kind if kind == NFTABLES | NEWGEN => {
            let id = attribute(message, 1)?;
            Answer::Generation(u32::from_be_bytes(id.try_into().ok()?))
        }
        kind if kind == NFTABLES | NEWRULE => {
            let table = attribute(message, 1)?;
            Answer::Rule(table.strip_suffix(&[0]).unwrap_or(table).to_vec())
        }
        kind if kind == NFTABLES | NEWTABLE => {
            let name = attribute(message, TABLE_NAME)?;
            let flags = attribute(message, TABLE_FLAGS)?;
            let flags = u32::from_be_bytes(flags.try_into().ok()?);
            Answer::Table {
                family: *message.get(HEADER)?,
                name: name.strip_suffix(&[0]).unwrap_or(name).to_vec(),
                is_owned: flags & OWNED != 0,
            }
        }
        _ => Answer::Other,
    })
}

/// The value of the first attribute of a kind.
pub(crate) fn attribute(message: &[u8], kind: u16) -> Option<&[u8]> {
    let mut rest = message.get(HEADERS..)?;
    loop {
        let len = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let is = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        let value = rest.get(4..len)?;
        // The upper bits say that it is nested, or in network byte order.
        if is & 0x3fff == kind {
            return Some(value);
        }
        rest = rest.get(len.next_multiple_of(4)..)?;
    }
}

/// A netlink attribute, filled up to four bytes.
pub(crate) fn write_attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + value.len().next_multiple_of(4));
    bytes.extend((4 + value.len() as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
