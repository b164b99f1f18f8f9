//! How much a change writes: counted in the batch, without a kernel.

use std::ffi::CString;

use vswitch_sys::Batch;
use vswitch_sys::table::Flags;

use super::*;
use crate::host::nft::write::{change, whole};

/// Numbers of messages by kind, and of elements.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    tables: usize,
    sets: usize,
    rules: usize,
    elements: usize,
}

fn number(bytes: &[u8]) -> usize {
    usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]))
}

/// Attributes of a message or of another attribute: kind and content.
fn attributes(mut bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let mut all = Vec::new();
    while bytes.len() >= 4 {
        let (len, kind) = (number(bytes), number(&bytes[2..]) & 0x3fff);
        all.push((kind, &bytes[4..len]));
        bytes = &bytes[len.next_multiple_of(4).min(bytes.len())..];
    }
    all
}

fn count(batch: Batch) -> Counted {
    /// `NFTA_SET_ELEM_LIST_ELEMENTS`.
    const ELEMENTS: usize = 3;
    let batch = batch.finalize();
    let bytes = batch.iter().collect::<Vec<&[u8]>>().concat();
    let (mut counted, mut left) = (Counted::default(), &bytes[..]);
    while left.len() >= 16 {
        let len = u32::from_ne_bytes(left[..4].try_into().unwrap()) as usize;
        let payload = &left[20.min(len)..len];
        match number(&left[4..]) & 0xff {
            // `NFT_MSG_NEWTABLE`, `NEWRULE` and `DELRULE`, `NEWSET`, `NEWSETELEM` and `DELSETELEM`.
            0 => counted.tables += 1,
            6 | 8 => counted.rules += 1,
            9 => counted.sets += 1,
            12 | 14 => {
                let lists = attributes(payload).into_iter().filter(|(kind, _)| *kind == ELEMENTS);
                counted.elements += lists.map(|(_, list)| attributes(list).len()).sum::<usize>();
            }
            _ => {}
        }
        left = &left[len.next_multiple_of(4).min(left.len())..];
    }
    counted
}

fn changed(old: &Rules, new: &Rules) -> Counted {
    let name = CString::from(c"vswitch-br0");
    let with = (Flags::Owner, &name);
    let (_, written) = whole(old, with, true);
    count(change((old, &written), new, (with, true)).0)
}

fn only_elements(elements: usize) -> Counted {
    Counted { elements, ..Counted::default() }
}

/// Ten thousand publications by sixteen uplinks, at all addresses.
fn rules(forwards: impl Iterator<Item = u16>) -> Rules {
    let all: Forwards = forwards.map(several::forward).collect();
    let link = |n: u32| RedirectLink {
        device: Some((format!("eth{n}"), n + 10)),
        tap: (format!("up{n}-br0"), n + 50),
    };
    let redirect = IngressRedirect {
        portless: [(FAR4.into(), 47)].into(),
        links: (0..16).map(link).collect(),
        local4: (0..16).map(|n| Ipv4Addr::new(192, 0, 2, n)).collect(),
        local6: vec![HOST6],
        subnets: vec!["10.99.0.0/16".parse().unwrap()],
        snat_ports: 20_000..=29_999,
        snat_blocks: [TCP_BLOCK, UDP_BLOCK].into(),
        published: all.clone(),
    };
    let nat = Nat { forwards: all, for_others: [true; 2], ..Nat::default() };
    let devices = vec!["br0".to_owned()];
    Rules { bridge: "br0".into(), devices, allowed: Vec::new(), redirect: Some(redirect), nat }
}

const MANY: std::ops::Range<u16> = 30_000..40_000;

/// One element for each family at the NICs, and one in each map of the kernel's NAT.
#[test]
fn a_publication_is_four_elements_whatever_else_is_published() {
    let (many, more) = (rules(MANY), rules(MANY.chain([50_000])));
    assert_eq!(changed(&many, &more), only_elements(4));
    assert_eq!(changed(&more, &many), only_elements(4));
    let without_one = rules(MANY.filter(|port| *port != 35_000));
    assert_eq!(changed(&many, &without_one), only_elements(4));
}

#[test]
fn a_remote_without_ports_and_an_address_are_an_element_each() {
    let former = rules(MANY);
    let mut new = former.clone();
    let redirect = new.redirect.as_mut().unwrap();
    redirect.portless = [(FAR4.into(), 50), (FAR6.into(), 47)].into();
    assert_eq!(changed(&former, &new), only_elements(3), "two come, and one goes");
    let mut new = former.clone();
    new.redirect.as_mut().unwrap().local6.push(FAR6);
    assert_eq!(changed(&former, &new), only_elements(1));
}

/// The rules of the table, not its ten thousand elements; of the others the name of the device.
#[test]
fn another_list_of_uplinks_writes_no_set_again() {
    let former = rules(MANY);
    let mut new = former.clone();
    new.redirect.as_mut().unwrap().links.pop();
    let counted = changed(&former, &new);
    assert_eq!((counted.tables, counted.sets), (0, 0), "{counted:?}");
    assert!((10..200).contains(&counted.rules), "{counted:?}");
    assert_eq!(counted.elements, 1, "its TAP");
}
