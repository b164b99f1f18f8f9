//! Frames of IGMP, MLD and their groups.

use fastpath::limits::VNET_LEN;
use wire::MacAddr;

use super::GROUP;
use crate::datapath::tests::sim::{Random, frame, mac};

/// An IPv4 frame for a group, with a protocol and a payload.
pub(super) fn ipv4(from: u16, group: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let dst = MacAddr([1, 0, 0x5e, group[1] & 0x7f, group[2], group[3]]);
    let mut bytes = frame(dst, mac(from), &[]);
    bytes[24..26].copy_from_slice(&[8, 0]);
    bytes.extend([0x45, 0, 0, 20 + payload.len() as u8, 0, 0, 0, 0, 1, protocol, 0, 0]);
    bytes.extend([10, 99, 0, from as u8]);
    bytes.extend(group);
    bytes.extend(payload);
    bytes
}

pub(super) fn data(from: u16, group: [u8; 4]) -> Vec<u8> {
    ipv4(from, group, 253, &[7; 30])
}

pub(super) fn igmp(from: u16, to: [u8; 4], kind: u8, group: [u8; 4]) -> Vec<u8> {
    ipv4(from, to, 2, &[&[kind, 0, 0, 0][..], &group].concat())
}

pub(super) fn report(from: u16) -> Vec<u8> {
    igmp(from, GROUP, 0x16, GROUP)
}

pub(super) fn leave(from: u16) -> Vec<u8> {
    igmp(from, [224, 0, 0, 2], 0x17, GROUP)
}

/// IGMPv3 with one record a group: a kind, and a source where it has one.
pub(super) fn igmp_v3(
    from: u16,
    kind: u8,
    groups: impl ExactSizeIterator<Item = [u8; 4]>,
) -> Vec<u8> {
    let mut message = vec![0x22, 0, 0, 0, 0, 0];
    message.extend((groups.len() as u16).to_be_bytes());
    for group in groups {
        let sources = u8::from([1, 5, 6].contains(&kind));
        message.extend([kind, 0, 0, sources]);
        message.extend(group);
        message.extend(vec![9; 4 * usize::from(sources)]);
    }
    let mut bytes = ipv4(from, [224, 0, 0, 22], 2, &[]);
    let len = (20 + message.len()) as u16;
    bytes[VNET_LEN + 16..VNET_LEN + 18].copy_from_slice(&len.to_be_bytes());
    bytes.extend(message);
    bytes
}

pub(super) fn query(from: u16) -> Vec<u8> {
    igmp(from, [224, 0, 0, 1], 0x11, [0; 4])
}

/// MLDv2, in which a host joins a group.
pub(super) fn mld_report(from: u16, group: u8) -> Vec<u8> {
    mld_record(from, 4, group)
}

pub(super) fn mld_record(from: u16, kind: u8, group: u8) -> Vec<u8> {
    let mut bytes = frame(MacAddr([0x33, 0x33, 0, 0, 0, 0x16]), mac(from), &[]);
    bytes[24..26].copy_from_slice(&[0x86, 0xdd]);
    bytes.extend([0x60, 0, 0, 0, 0, 36, 0, 1]);
    bytes.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, from as u8]);
    bytes.extend([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16]);
    bytes.extend([58, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0, 0, 0, 0, 1, kind, 0, 0, 0]);
    bytes.extend([0xff, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, group]);
    bytes
}

pub(super) fn data6(from: u16, scope: u8, group: u8) -> Vec<u8> {
    let mut bytes = frame(MacAddr([0x33, 0x33, 0, 0, 0, group]), mac(from), &[]);
    bytes[24..26].copy_from_slice(&[0x86, 0xdd]);
    bytes.extend([0x60, 0, 0, 0, 0, 0, 59, 1]);
    bytes.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, from as u8]);
    bytes.extend([0xff, 0x10 | scope, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, group]);
    bytes
}

/// Reports, questions and data of a few groups, for the storm.
pub(in crate::datapath::tests) fn random(random: &mut Random, from: u16) -> Vec<u8> {
    let group = [239, 1, 2, random.below(3) as u8];
    match random.below(8) {
        0..=2 => igmp(from, group, 0x16, group),
        3 => query(from),
        4 => igmp(from, [224, 0, 0, 2], 0x17, group),
        _ => data(from, group),
    }
}

pub(super) fn tagged(mut bytes: Vec<u8>, vlan: u8) -> Vec<u8> {
    bytes.splice(VNET_LEN + 12..VNET_LEN + 12, [0x81, 0, 0, vlan]);
    bytes
}
