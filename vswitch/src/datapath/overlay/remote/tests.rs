use super::*;

fn mac(number: u64) -> MacAddr {
    MacAddr::from_u64(0x0200_0000_0000 | number)
}

#[test]
fn a_change_leaves_the_table_before_as_it_was() {
    let mut table = RemoteTable::default();
    for number in 0..10_000 {
        table.insert(Remote { mac: mac(number), vtep: VtepIndex(number as u16) });
    }
    let before = table.clone();
    table.insert(Remote { mac: mac(1), vtep: VtepIndex(99) });
    table.remove(mac(2));
    assert_eq!(before.by_mac(mac(1)), Some(VtepIndex(1)));
    assert_eq!(before.by_mac(mac(2)), Some(VtepIndex(2)));
    assert_eq!(table.by_mac(mac(1)), Some(VtepIndex(99)));
    assert_eq!(table.by_mac(mac(2)), None);
    assert_ne!(table, before);
    assert_eq!(table.iter().count(), 9_999);
    table.insert(Remote { mac: mac(1), vtep: VtepIndex(1) });
    table.insert(Remote { mac: mac(2), vtep: VtepIndex(2) });
    assert_eq!(table, before, "tables are equal by what they hold");
}

#[test]
fn addresses_of_both_families_are_told_apart() {
    let mut table = RemoteTable::default();
    let (v4, v6) = ("10.50.0.7".parse().expect("v4"), "fd00::7".parse().expect("v6"));
    table.insert_ip(v4, mac(4));
    table.insert_ip(v6, mac(6));
    assert_eq!((table.by_ip(v4), table.by_ip(v6)), (Some(mac(4)), Some(mac(6))));
    table.remove_ip(v4);
    assert_eq!((table.by_ip(v4), table.by_ip(v6)), (None, Some(mac(6))));
}
