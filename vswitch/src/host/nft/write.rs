//! The batches: all tables, what differs of them, or blocks of SNAT ports.

use std::ffi::CString;

use vswitch_sys::set::Set;
use vswitch_sys::table::{Flagged, Flags};
use vswitch_sys::{Batch, MsgType, ProtoFamily, Table};

use super::build::{Writer, Written};
use super::change::{self, Part};
use super::ingress_sets::{SNAT_PORTS, SNAT_PORTS_FIELDS, add_blocks};
use super::rules::{PortBlock, Rules};
use super::{nat, netdev};

pub(super) const FAMILIES: [ProtoFamily; 3] =
    [ProtoFamily::NetDev, ProtoFamily::Ipv4, ProtoFamily::Ipv6];

/// Deletes a table, existing or not: adds it first.
pub(super) fn clear(batch: &mut Batch, table: &Table, flags: Flags) {
    batch.add(&Flagged { table, flags }, MsgType::Add);
    batch.add(&Flagged { table, flags }, MsgType::Del);
}

/// All tables anew.
pub(super) fn whole(
    rules: &Rules,
    (flags, name): (Flags, &CString),
    has_timeouts: bool,
) -> (Batch, [Written; 3]) {
    let mut batch = Batch::new();
    let mut sets = 0;
    let written = FAMILIES.map(|family| {
        let table = Table::new(name, family);
        write_table(&mut batch, &table, rules, (flags, has_timeouts), &mut sets)
    });
    (batch, written)
}

/// Writes a table anew, or deletes it if no rule is in it.
fn write_table(
    batch: &mut Batch,
    table: &Table,
    rules: &Rules,
    (flags, has_timeouts): (Flags, bool),
    sets: &mut u32,
) -> Written {
    clear(batch, table, flags);
    let family = table.get_family();
    if family != ProtoFamily::NetDev && !nat::is_needed(rules, family == ProtoFamily::Ipv6) {
        return Written::default();
    }
    batch.add(&Flagged { table, flags }, MsgType::Add);
    let mut writer = Writer::new(batch, table, *sets);
    writer.has_timeouts = has_timeouts;
    write_rules(&mut writer, rules, family);
    *sets = writer.sets();
    writer.written
}

/// Writes the rules of a table, and if it is new its sets.
fn write_rules(writer: &mut Writer<'_>, rules: &Rules, family: ProtoFamily) {
    if family != ProtoFamily::NetDev {
        return nat::tables(writer, rules, family == ProtoFamily::Ipv6);
    }
    netdev::devices(writer, &rules.devices);
    if let Some(redirect) = &rules.redirect {
        netdev::uplink(writer, redirect);
    }
}

/// What turns loaded tables into those of other rules.
pub(super) fn change(
    (loaded, former): (&Rules, &[Written; 3]),
    rules: &Rules,
    ((flags, name), has_timeouts): ((Flags, &CString), bool),
) -> (Batch, [Written; 3]) {
    let (mut batch, mut sets) = (Batch::new(), 0);
    let mut written = former.clone();
    for (family, written) in FAMILIES.into_iter().zip(&mut written) {
        let table = Table::new(name, family);
        let part = change::part(loaded, rules, family);
        if part == Part::Whole {
            let with = (flags, has_timeouts);
            *written = write_table(&mut batch, &table, rules, with, &mut sets);
            continue;
        }
        if part == Part::Rules {
            change::flush(&mut batch, &table, written);
            let mut writer = Writer::new(&mut batch, &table, sets);
            (writer.has_timeouts, writer.is_whole) = (has_timeouts, false);
            write_rules(&mut writer, rules, family);
            sets = writer.sets();
            let now = writer.written;
            change::remove_former(&mut batch, &table, written, &now);
            *written = now;
        }
        if part >= Part::Elements {
            change::put_elements(&mut batch, &table, (loaded, rules));
        }
    }
    (batch, written)
}

/// Adds elements to the set of SNAT ports that the kernel has, and deletes others.
pub(super) fn write_blocks(name: &CString, added: &[&PortBlock], removed: &[&PortBlock]) -> Batch {
    let mut batch = Batch::new();
    let table = Table::new(name, ProtoFamily::NetDev);
    for (blocks, change) in [(added, MsgType::Add), (removed, MsgType::Del)] {
        let mut set = Set::new(SNAT_PORTS, 1, &table, &SNAT_PORTS_FIELDS);
        add_blocks(&mut set, blocks.iter().copied());
        set.put_elements(&mut batch, change);
    }
    batch
}
