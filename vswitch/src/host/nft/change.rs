//! Changes of elements: rules that differ from the loaded ones by publications and addresses only are not loaded anew.

use vswitch_sys::{Batch, MsgType, ProtoFamily, Table};

use super::build::{V4, V6, Writer};
use super::dnat_maps::{Maps, shifted_ports};
use super::ingress_sets::{self, Elements};
use super::nat;
use super::rules::{Forward, IngressRedirect, Nat, Rules};
use crate::host::limits::SHIFTED_PORTS_SUM_MAX;

/// The messages that turn the loaded elements into those of other rules; none if more than elements differs.
pub(super) fn between(old: &Rules, new: &Rules, name: &std::ffi::CStr) -> Option<Batch> {
    if !is_alike(old, new) {
        return None;
    }
    let mut batch = Batch::new();
    // Of two elements with one key the former goes first.
    for (rules, other, kind) in [(old, new, MsgType::Del), (new, old, MsgType::Add)] {
        let table = Table::new(name, ProtoFamily::NetDev);
        if let (Some(redirect), Some(other)) = (&rules.redirect, &other.redirect)
            && has_sets(redirect)
        {
            put_ingress(&mut batch, &table, (redirect, other), kind);
        }
        for (family, v6) in [(ProtoFamily::Ipv4, false), (ProtoFamily::Ipv6, true)] {
            let table = Table::new(name, family);
            if nat::is_needed(rules, v6) {
                put_nat(&mut batch, &table, (&rules.nat, &other.nat), kind, v6);
            }
        }
    }
    Some(batch)
}

fn put_ingress(
    batch: &mut Batch,
    table: &Table,
    (one, other): (&IngressRedirect, &IngressRedirect),
    kind: MsgType,
) {
    let mut writer = Writer::new(batch, table, 0);
    let (published, _) = differing(&one.published, &other.published);
    for layout in [&V4, &V6] {
        let v6 = layout.is_v6();
        let local = one.local(v6).difference(&other.local(v6)).copied().collect();
        let sets = ingress_sets::sets(&mut writer, layout, &Elements { local, published });
        for set in [&sets.local, &sets.ports, &sets.at_address] {
            set.put_elements(writer.batch, kind);
        }
    }
}

fn put_nat(batch: &mut Batch, table: &Table, (one, other): (&Nat, &Nat), kind: MsgType, v6: bool) {
    let (forwards, _): (&[Forward], _) = differing(&one.forwards, &other.forwards);
    let mut writer = Writer::new(batch, table, 0);
    let maps = Maps::new(&mut writer, forwards, v6);
    maps.all().into_iter().for_each(|map| map.put_elements(writer.batch, kind));
}

/// The parts of two lists between what they begin and end with in common.
fn differing<'a, T: PartialEq>(one: &'a [T], other: &'a [T]) -> (&'a [T], &'a [T]) {
    let start = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let (one, other) = (&one[start..], &other[start..]);
    let end = one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count();
    (&one[..one.len() - end], &other[..other.len() - end])
}

/// Whether both have the same tables, chains, rules and sets.
fn is_alike(old: &Rules, new: &Rules) -> bool {
    let is_redirect_alike = match (&old.redirect, &new.redirect) {
        (Some(old), Some(new)) => {
            (&old.links, &old.subnets, &old.snat_ports, &old.portless, &old.snat_blocks)
                == (&new.links, &new.subnets, &new.snat_ports, &new.portless, &new.snat_blocks)
                && [false, true].iter().all(|&v6| {
                    old.has_single_addresses(v6) == new.has_single_addresses(v6)
                        && old.has_all_addresses(v6) == new.has_all_addresses(v6)
                })
        }
        (old, new) => old.is_none() && new.is_none(),
    };
    let is_nat_alike = old.nat.masquerade == new.nat.masquerade
        && old.nat.gateways == new.nat.gateways
        && old.nat.for_others == new.nat.for_others
        && old.nat.switched == new.nat.switched
        && [false, true].iter().all(|&v6| nat::is_needed(old, v6) == nat::is_needed(new, v6))
        // Whose ports have elements depends on all of them.
        && [old, new].iter().all(|it| shifted_ports(&it.nat.forwards) <= SHIFTED_PORTS_SUM_MAX);
    let names = |rules: &Rules| (rules.bridge.clone(), rules.devices.clone());
    names(old) == names(new) && old.allowed == new.allowed && is_redirect_alike && is_nat_alike
}

/// Whether the table has sets: those of a redirection without a NIC are not there.
fn has_sets(redirect: &IngressRedirect) -> bool {
    redirect.devices() > 0
}

#[cfg(test)]
mod tests {
    use super::differing;

    #[test]
    fn lists_differ_between_their_common_ends() {
        let empty: &[i32] = &[];
        assert_eq!(differing(&[1, 2, 3], &[1, 2, 3]), (empty, empty));
        assert_eq!(differing(&[1, 2], &[1, 2, 3]), (empty, &[3][..]));
        assert_eq!(differing(&[1, 2, 3], &[1, 3]), (&[2][..], empty));
        assert_eq!(differing(&[1, 1, 1], &[1, 1]), (&[1][..], empty));
        assert_eq!(differing(&[1, 2, 3, 4], &[1, 5, 6, 4]), (&[2, 3][..], &[5, 6][..]));
    }
}
