//! Queries to nftables and their answers: `linux/netlink.h`, `linux/netfilter/nf_tables.h`.

use nftnl::ProtoFamily;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
/// `NFNL_SUBSYS_NFTABLES << 8`, with which message types begin.
const NFTABLES: u16 = 10 << 8;
const NEWTABLE: u16 = 0;
const GETTABLE: u16 = 1;
const NEWCHAIN: u16 = 3;
const GETCHAIN: u16 = 4;
const GETRULE: u16 = 7;
const NEWGEN: u16 = 15;
const GETGEN: u16 = 16;
const NEWRULE: u16 = 6;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `NFTA_TABLE_NAME` and `NFTA_TABLE_FLAGS`.
const TABLE_NAME: u16 = 1;
const TABLE_FLAGS: u16 = 2;
/// `NFTA_CHAIN_NAME`, `NFTA_CHAIN_HOOK`, `NFTA_HOOK_DEVS` in it, and `NFTA_DEVICE_NAME` in that.
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const HOOK_DEVICES: u16 = 4;
const DEVICE_NAME: u16 = 1;
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
    /// A chain.
    Chain {
        /// Its table.
        table: Vec<u8>,
        /// Its name.
        name: Vec<u8>,
        /// The devices at whose ingress it is.
        devices: Vec<Vec<u8>>,
    },
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

/// Asks for all chains of a family.
#[must_use]
pub fn ask_chains(family: ProtoFamily, seq: u32) -> Vec<u8> {
    question(GETCHAIN, family, NLM_F_DUMP, seq)
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
        kind if kind == NFTABLES | NEWCHAIN => Answer::Chain {
            table: text(attribute(message, 1)?),
            name: text(attribute(message, CHAIN_NAME)?),
            devices: devices(message),
        },
        kind if kind == NFTABLES | NEWRULE => Answer::Rule(text(attribute(message, 1)?)),
        kind if kind == NFTABLES | NEWTABLE => {
            let name = attribute(message, TABLE_NAME)?;
            let flags = attribute(message, TABLE_FLAGS)?;
            let flags = u32::from_be_bytes(flags.try_into().ok()?);
            Answer::Table {
                family: *message.get(HEADER)?,
                name: text(name),
                is_owned: flags & OWNED != 0,
            }
        }
        _ => Answer::Other,
    })
}

/// The devices of a chain; none if it has no hook, or one of another family.
fn devices(message: &[u8]) -> Vec<Vec<u8>> {
    let hook = attribute(message, CHAIN_HOOK).unwrap_or_default();
    let all = attributes(hook).find(|(kind, _)| *kind == HOOK_DEVICES);
    let names = attributes(all.map_or(&[], |(_, devices)| devices));
    names.filter(|(kind, _)| *kind == DEVICE_NAME).map(|(_, name)| text(name)).collect()
}

/// A text, without the zero byte that ends it.
fn text(value: &[u8]) -> Vec<u8> {
    value.strip_suffix(&[0]).unwrap_or(value).to_vec()
}

/// The value of the first attribute of a kind.
pub(crate) fn attribute(message: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(message.get(HEADERS..)?).find(|(is, _)| *is == kind).map(|(_, value)| value)
}

/// Kinds and values of attributes, up to one that is cut off.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        let value = rest.get(4..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        // The upper bits say that it is nested, or in network byte order.
        Some((kind & 0x3fff, value))
    })
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
