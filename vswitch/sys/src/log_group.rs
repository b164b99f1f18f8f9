//! Log groups: a netlink socket gets copies of the packets that rules log (`linux/netfilter/nfnetlink_log.h`).
//!
//! A group belongs to the socket that bound it, and goes with it. A packet for a group that nobody has bound is copied
//! nowhere.

use crate::query::{self, write_attribute as attribute};

/// `NFNL_SUBSYS_ULOG << 8`, `NFULNL_MSG_PACKET` and `NFULNL_MSG_CONFIG`.
const ULOG: u16 = 4 << 8;
const PACKET: u16 = 0;
const CONFIG: u16 = 1;
/// Attributes of a configuration (`NFULA_CFG_*`).
const COMMAND: u16 = 1;
const MODE: u16 = 2;
const BUFFER_LEN: u16 = 3;
const THRESHOLD: u16 = 5;
/// `NFULNL_CFG_CMD_BIND` and `NFULNL_COPY_PACKET`.
const BIND: u8 = 1;
const COPY_PACKET: u8 = 2;
/// `NFULA_PAYLOAD`.
const PAYLOAD: u16 = 9;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const FLAGS: u16 = 0x1 | 0x4;
/// `nlmsghdr` and `nfgenmsg`.
const HEADERS: usize = 20;

/// Binds a group: the first of the two requests, each of which the kernel acknowledges.
#[must_use]
pub fn bind(group: u16, seq: u32) -> Vec<u8> {
    config(group, seq, &attribute(COMMAND, &[BIND]))
}

/// Has each packet sent at once, its first `len` bytes, in messages of at most `message_len` bytes: the second request.
#[must_use]
pub fn copy_packets(group: u16, seq: u32, (len, message_len): (u32, u32)) -> Vec<u8> {
    let [a, b, c, d] = len.to_be_bytes();
    let attributes = [
        attribute(MODE, &[a, b, c, d, COPY_PACKET, 0]),
        attribute(BUFFER_LEN, &message_len.to_be_bytes()),
        attribute(THRESHOLD, &1_u32.to_be_bytes()),
    ];
    config(group, seq, &attributes.concat())
}

fn config(group: u16, seq: u32, attributes: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADERS + attributes.len());
    message.extend(((HEADERS + attributes.len()) as u32).to_ne_bytes());
    message.extend((ULOG | CONFIG).to_ne_bytes());
    message.extend(FLAGS.to_ne_bytes());
    message.extend(seq.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    message.extend([0, 0]);
    message.extend(group.to_be_bytes());
    message.extend(attributes);
    message
}

/// The packet of a message, from its IP header on; `None` if the message is another one, or cut off.
#[must_use]
pub fn packet(message: &[u8]) -> Option<&[u8]> {
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    if kind != ULOG | PACKET {
        return None;
    }
    query::attribute(message, PAYLOAD)
}
