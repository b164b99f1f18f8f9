//! What a load writes: of each table the elements that differ, or the rules, or all.
//!
//! | difference | written |
//! |---|---|
//! | publications, addresses, ports, remotes without ports, devices | these elements |
//! | rules or chains, as for another list of uplinks | all rules of that table, and the elements that differ |
//! | the table is not there yet | the table |
//! | a NIC goes that exists, and the kernel cannot take it out of the chain ([`super::hooks`]) | the `netdev` table |
//!
//! A chain that stays keeps its hook, so that no frame passes between the former rules and the new ones.

use std::ffi::CStr;

use vswitch_sys::{Batch, Chain, MsgType, ProtoFamily, Rule, Table};

use super::build::{Writer, Written, ingress_of, text};
use super::dnat_maps::Maps;
use super::forwards::Differing;
use super::ingress_sets::{Elements, Sets};
use super::nat::{self, Devices};
use super::netdev;
use super::rules::Rules;
use crate::host::limits::SHIFTED_PORTS_SUM_MAX;

/// What a load writes of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Nothing,
    Elements,
    /// Rules and chains, and the elements that differ.
    Rules,
    Whole,
}

/// What a change of rules needs of a table.
pub(super) fn part(old: &Rules, new: &Rules, family: ProtoFamily) -> Part {
    if family == ProtoFamily::NetDev {
        part_of_ingress(old, new)
    } else {
        part_of_nat(old, new, family)
    }
}

fn part_of_ingress(old: &Rules, new: &Rules) -> Part {
    let (Some(one), Some(other)) = (&old.redirect, &new.redirect) else {
        return match old.redirect == new.redirect {
            true if old.devices == new.devices => Part::Nothing,
            true => Part::Rules,
            false => Part::Whole,
        };
    };
    let kinds = [false, true]
        .map(|v6| one.published.kinds().of_family(v6) == other.published.kinds().of_family(v6));
    let has_same_rules = old.devices == new.devices
        && (&one.links, &one.subnets, &one.snat_ports)
            == (&other.links, &other.subnets, &other.snat_ports)
        && kinds == [true; 2];
    match has_same_rules {
        true if one == other => Part::Nothing,
        true => Part::Elements,
        false => Part::Rules,
    }
}

fn part_of_nat(old: &Rules, new: &Rules, family: ProtoFamily) -> Part {
    let v6 = family == ProtoFamily::Ipv6;
    match [old, new].map(|rules| nat::is_needed(rules, v6)) {
        [false, false] => return Part::Nothing,
        [true, true] => {}
        _ => return Part::Whole,
    }
    // Whose ports have elements depends on all of them.
    if [old, new].iter().any(|it| it.nat.forwards.kinds().shifted > SHIFTED_PORTS_SUM_MAX) {
        return if old.nat.forwards == new.nat.forwards { Part::Rules } else { Part::Whole };
    }
    let n = usize::from(v6);
    let has_same_rules = old.nat.masquerade == new.nat.masquerade
        && old.nat.gateways == new.nat.gateways
        && old.nat.for_others[n] == new.nat.for_others[n]
        && old.nat.relayed[n] == new.nat.relayed[n]
        && old.nat.tracks_host[n] == new.nat.tracks_host[n]
        && (old.nat.masquerade.is_empty() || old.devices == new.devices)
        && old.allowed == new.allowed;
    let has_same_elements = old.nat.forwards == new.nat.forwards && old.names() == new.names();
    match has_same_rules {
        true if has_same_elements => Part::Nothing,
        true => Part::Elements,
        false => Part::Rules,
    }
}

/// Writes the elements of a table that differ.
pub(super) fn put_elements(batch: &mut Batch, table: &Table, (old, new): (&Rules, &Rules)) {
    // Of two elements with one key the former goes first.
    for (rules, other, kind) in [(old, new, MsgType::Del), (new, old, MsgType::Add)] {
        let mut writer = Writer::new(batch, table, 0);
        match table.get_family() {
            ProtoFamily::NetDev => {
                let (Some(one), Some(other)) = (&rules.redirect, &other.redirect) else { continue };
                let published = Differing::between(&one.published, &other.published).former;
                let sets = Sets::new(&mut writer, &Elements::beside(one, other, published));
                sets.all().for_each(|set| set.put_elements(writer.batch, kind));
            }
            family => {
                let v6 = family == ProtoFamily::Ipv6;
                let Differing { former: forwards, .. } =
                    Differing::between(&rules.nat.forwards, &other.nat.forwards);
                let maps = Maps::new(&mut writer, forwards, v6);
                let devices = Devices::new(&mut writer, &rules.names().beside(&other.names()));
                for set in maps.all().into_iter().chain(devices.all()) {
                    set.put_elements(writer.batch, kind);
                }
            }
        }
    }
}

/// Whether the chain of all NICs stays, and leaves some that the kernel has it at.
pub(super) fn loses_devices(former: &Written, rules: &Rules) -> bool {
    let links = rules.redirect.iter().flat_map(|it| &it.links);
    let now: Vec<_> = links.filter_map(|link| Some(text(&link.device.as_ref()?.0))).collect();
    let was = former.chains.iter().find(|it| *it.name == *netdev::UPLINK);
    !now.is_empty() && was.is_some_and(|was| was.devices.iter().any(|it| !now.contains(it)))
}

/// Removes all rules of chains that the kernel has.
pub(super) fn flush(batch: &mut Batch, table: &Table, former: &Written) {
    for it in &former.chains {
        let chain = Chain::new(&it.name, table);
        batch.add(&Rule::new(&chain), MsgType::Del);
    }
}

/// Removes chains, and devices of chains, that are not written any more.
pub(super) fn remove_former(batch: &mut Batch, table: &Table, former: &Written, now: &Written) {
    for was in &former.chains {
        let Some(is) = now.chains.iter().find(|it| it.name == was.name) else {
            let name: &CStr = &was.name;
            batch.add(&Chain::new(name, table), MsgType::Del);
            continue;
        };
        let gone: Vec<_> =
            was.devices.iter().filter(|it| !is.devices.contains(it)).cloned().collect();
        if !gone.is_empty() {
            let chain = ingress_of(table, &was.name, (netdev::PRIORITY, &gone));
            batch.add(&chain, MsgType::Del);
        }
    }
}
