//! VLANs: what comes in on a tag, where it goes, and what tag it leaves with.

use fastpath::limits::VNET_LEN;
use wire::MacAddr;

use super::sim::{Random, Sim, frame, mac};
use crate::datapath::*;

/// TPID and TCI.
type Tag = (u16, u16);

const C_TAG: u16 = 0x8100;
const S_TAG: u16 = 0x88a8;

/// A frame with tags, the outer one first.
fn tagged(dst: MacAddr, src: MacAddr, tags: &[Tag], payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame(dst, src, payload);
    for (tpid, tci) in tags.iter().rev() {
        let tag = [tpid.to_be_bytes(), tci.to_be_bytes()].concat();
        bytes.splice(VNET_LEN + 12..VNET_LEN + 12, tag);
    }
    bytes
}

fn broadcast(from: u16, tags: &[Tag]) -> Vec<u8> {
    tagged(MacAddr::BROADCAST, mac(from), tags, &[from as u8; 50])
}

fn access(vlan: u16) -> PortVlans {
    PortVlans::access(vlan)
}

fn trunk(vlans: &[u16], native: Option<u16>) -> PortVlans {
    PortVlans::trunk(vlans.iter().copied(), native)
}

/// One port an entry.
fn sim(ports: &[PortVlans]) -> Sim {
    let mut sim = Sim::new(ports.len() as u16);
    for (port, vlans) in ports.iter().enumerate() {
        sim.set(port as u16, |conf| conf.vlans = vlans.clone());
    }
    sim
}

/// What each port gets of a frame that port 0 sends.
fn sent(sim: &mut Sim, frame: &[u8], ports: u16) -> Vec<Vec<Vec<u8>>> {
    sim.inject(0, frame.to_vec());
    sim.run();
    (0..ports).map(|port| sim.sent(port)).collect()
}

#[test]
fn access_ports_of_a_vlan_are_among_themselves() {
    let mut sim = sim(&[access(10), access(10), access(20), access(0)]);
    sim.inject(0, broadcast(0, &[]));
    sim.inject(2, broadcast(2, &[]));
    sim.inject(3, broadcast(3, &[]));
    sim.run();
    assert_eq!(sim.sent_counts(), [0, 1, 0, 0]);
    // The same address on two VLANs: each learns for itself.
    sim.inject(1, frame(MacAddr::BROADCAST, mac(9), &[]));
    sim.inject(2, frame(MacAddr::BROADCAST, mac(9), &[]));
    sim.run();
    sim.sent_counts();
    sim.inject(0, frame(mac(9), mac(0), &[]));
    sim.run();
    assert_eq!(sim.sent_counts(), [0, 1, 0, 0], "learnt on VLAN 10, not moved by VLAN 20");
    sim.check();
}

#[test]
fn a_trunk_gets_tags_and_an_access_port_none() {
    let ports = [access(10), access(10), trunk(&[10, 20], None), trunk(&[20], None)];
    let mut sim = sim(&ports);
    let plain = broadcast(0, &[]);
    let expected = [vec![], vec![plain.clone()], vec![broadcast(0, &[(C_TAG, 10)])], vec![]];
    assert_eq!(sent(&mut sim, &plain, 4), expected);
    // Back, by unicast, with a priority: the tag goes.
    sim.inject(2, tagged(mac(0), mac(2), &[(C_TAG, 0xa00a)], &[1; 50]));
    sim.run();
    assert_eq!(sim.sent(0), [frame(mac(0), mac(2), &[1; 50])]);
    // And by unicast to the trunk.
    sim.inject(0, frame(mac(2), mac(0), &[2; 50]));
    sim.run();
    assert_eq!(sim.sent(2), [tagged(mac(2), mac(0), &[(C_TAG, 10)], &[2; 50])]);
    assert_eq!(sim.sent_counts(), [0; 4]);
    sim.check();
}

#[test]
fn between_trunks_a_frame_stays_as_it_is() {
    let mut sim = sim(&[trunk(&[10, 20], None), trunk(&[10], None), trunk(&[20], None)]);
    for tags in [&[(C_TAG, 0xe00a)][..], &[(S_TAG, 0x300a), (C_TAG, 0x5014)], &[(S_TAG, 10)]] {
        let frame = broadcast(0, tags);
        assert_eq!(sent(&mut sim, &frame, 3), [vec![], vec![frame.clone()], vec![]]);
    }
    sim.check();
}

#[test]
fn the_native_vlan_of_a_trunk_has_no_tag() {
    let ports =
        [trunk(&[10, 20], Some(10)), access(10), trunk(&[10], None), trunk(&[10], Some(10))];
    let mut sim = sim(&ports);
    let (plain, with_tag) = (broadcast(0, &[]), broadcast(0, &[(C_TAG, 10)]));
    for frame in [&plain, &with_tag] {
        let expected = [vec![], vec![plain.clone()], vec![with_tag.clone()], vec![plain.clone()]];
        assert_eq!(sent(&mut sim, frame, 4), expected);
    }
    // With two tags it keeps both on a native VLAN: the inner one would lead to another VLAN.
    let double = broadcast(0, &[(C_TAG, 10), (C_TAG, 20)]);
    let popped = broadcast(0, &[(C_TAG, 20)]);
    let expected = [vec![], vec![popped], vec![double.clone()], vec![double.clone()]];
    assert_eq!(sent(&mut sim, &double, 4), expected);
    sim.check();
}

#[test]
fn a_trunk_may_carry_the_untagged_domain_too() {
    let mut sim = sim(&[trunk(&[10], Some(0)), access(0), access(10)]);
    let plain = broadcast(0, &[]);
    assert_eq!(sent(&mut sim, &plain, 3), [vec![], vec![plain.clone()], vec![]]);
    let tagged = broadcast(0, &[(C_TAG, 10)]);
    assert_eq!(sent(&mut sim, &tagged, 3), [vec![], vec![], vec![plain]]);
    sim.check();
}

#[test]
fn a_priority_tag_is_no_vlan_and_its_priority_is_kept() {
    let mut sim = sim(&[access(10), access(10), trunk(&[10], None), trunk(&[10], Some(10))]);
    let priority = broadcast(0, &[(C_TAG, 0xa000)]);
    let expected = [
        vec![],
        vec![priority.clone()],
        vec![broadcast(0, &[(C_TAG, 0xa00a)])],
        vec![priority.clone()],
    ];
    assert_eq!(sent(&mut sim, &priority, 4), expected);
    sim.check();
}

#[test]
fn offsets_of_the_offload_header_move_with_the_tag() {
    let offload =
        |csum_start: u8, hdr_len: u8| [1, 1, hdr_len, 0, 0xa8, 5, csum_start, 0, 16, 0, 0, 0];
    let gso = |tags: &[Tag], header: [u8; 12]| {
        let mut bytes = tagged(MacAddr::BROADCAST, mac(0), tags, &[0x5a; 60_000]);
        bytes[..VNET_LEN].copy_from_slice(&header);
        bytes
    };
    let ports = [access(10), access(10), trunk(&[10], None)];
    let (plain, with_tag) = (gso(&[], offload(34, 66)), gso(&[(C_TAG, 10)], offload(38, 70)));
    let mut up = sim(&ports);
    let expected = [vec![], vec![plain.clone()], vec![with_tag.clone()]];
    assert_eq!(sent(&mut up, &plain, 3), expected);
    let mut down = sim(&[trunk(&[10], None), access(10), access(10)]);
    assert_eq!(sent(&mut down, &with_tag, 3), [vec![], vec![plain.clone()], vec![plain]]);
    up.check();
    down.check();
}

#[test]
fn what_is_on_no_vlan_of_the_port_is_dropped_with_its_reason() {
    let cases: [(PortVlans, &[Tag], DropReason); 9] = [
        (access(0), &[(C_TAG, 10)], DropReason::VlanTagged),
        (access(10), &[(C_TAG, 10)], DropReason::VlanTagged),
        (access(10), &[(S_TAG, 10)], DropReason::VlanTagged),
        (access(10), &[(C_TAG, 0), (C_TAG, 10)], DropReason::VlanTagged),
        (trunk(&[10], Some(10)), &[(C_TAG, 0), (C_TAG, 20)], DropReason::VlanTagged),
        (trunk(&[10], None), &[], DropReason::VlanNotAllowed),
        (trunk(&[10], None), &[(C_TAG, 0xe000)], DropReason::VlanNotAllowed),
        (trunk(&[10], None), &[(C_TAG, 11)], DropReason::VlanNotAllowed),
        (trunk(&[10], None), &[(C_TAG, 4095)], DropReason::VlanNotAllowed),
    ];
    for (vlans, tags, reason) in cases {
        let mut sim = sim(&[vlans, access(0), trunk(&[10, 11, 20, 4094], Some(10))]);
        sim.inject(0, broadcast(0, tags));
        sim.run();
        assert_eq!(sim.drops(0, reason), 1, "{tags:?} {}", reason.name());
        assert_eq!(sim.sent_counts(), [0; 3], "{tags:?}");
        sim.check();
    }
}

#[test]
fn a_port_that_left_a_vlan_gets_nothing_of_it() {
    let mut sim = sim(&[access(10), access(10), access(10)]);
    sim.inject(1, broadcast(1, &[]));
    sim.run();
    sim.sent_counts();
    sim.set(1, |conf| conf.vlans = access(20));
    sim.inject(0, frame(mac(1), mac(0), &[]));
    sim.run();
    assert_eq!(sim.sent_counts(), [0, 0, 1], "known from before, and flooded to who is left");
    sim.check();
}

#[test]
fn without_a_buffer_for_the_copy_one_part_of_a_flood_is_a_counted_drop() {
    let mut sim = sim(&[access(10), access(10), trunk(&[10], None)]);
    let hoard = sim.hoard(1);
    let plain = broadcast(0, &[]);
    assert_eq!(sent(&mut sim, &plain, 3), [vec![], vec![plain.clone()], vec![]]);
    assert_eq!(sim.drops(0, DropReason::NoBuffer), 1);
    sim.give_back(hoard);
    sim.check();
}

/// The VLAN of a frame with these tags that comes in.
fn model_in(vlans: &Model, tags: &[Tag]) -> Option<u16> {
    let outer = tags.first().map(|&(_, tci)| tci & 0xfff);
    match (vlans, outer) {
        (_, Some(0)) if tags.len() == 2 => None,
        (&Model::Access(vlan), None | Some(0)) => Some(vlan),
        (Model::Access(_), _) => None,
        (&Model::Trunk(_, native), None | Some(0)) => native,
        (Model::Trunk(allowed, _), Some(vlan)) => allowed.contains(&vlan).then_some(vlan),
    }
}

/// The tags that it leaves with.
fn model_out(vlans: &Model, vlan: u16, tags: &[Tag]) -> Option<Vec<Tag>> {
    let own_tag = tags.first().is_some_and(|&(_, tci)| tci & 0xfff != 0);
    let untagged = if own_tag { tags[1..].to_vec() } else { tags.to_vec() };
    let mut with_tag = tags.to_vec();
    match with_tag.first_mut() {
        Some((_, tci)) => *tci |= vlan,
        None => with_tag = vec![(C_TAG, vlan)],
    }
    match vlans {
        Model::Access(own) => (*own == vlan).then_some(untagged),
        Model::Trunk(allowed, native) if *native == Some(vlan) => {
            let keeps = tags.len() == 2 && allowed.contains(&vlan);
            Some(if keeps { with_tag } else { untagged })
        }
        Model::Trunk(allowed, _) => allowed.contains(&vlan).then_some(with_tag),
    }
}

#[derive(Debug)]
enum Model {
    Access(u16),
    Trunk(Vec<u16>, Option<u16>),
}

impl Model {
    /// Few VLANs, so that ports meet.
    fn random(random: &mut Random) -> Self {
        if random.below(2) == 0 {
            return Self::Access(random.below(4) as u16);
        }
        let allowed: Vec<u16> = (1..4).filter(|_| random.below(2) == 0).collect();
        let native = match random.below(3) {
            0 => Some(0),
            1 => allowed.first().copied(),
            _ => None,
        };
        Self::Trunk(allowed, native)
    }

    fn vlans(&self) -> PortVlans {
        match self {
            Self::Access(vlan) => access(*vlan),
            Self::Trunk(allowed, native) => trunk(allowed, *native),
        }
    }
}

/// Every port gets exactly the bytes that the model says, for many switches and frames.
#[test]
fn random_vlans_agree_with_the_model() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let ports: Vec<Model> =
            (0..2 + random.below(6)).map(|_| Model::random(&mut random)).collect();
        let vlans: Vec<PortVlans> = ports.iter().map(Model::vlans).collect();
        let mut sim = sim(&vlans);
        for _ in 0..20 {
            let tag = |random: &mut Random| {
                let tpid = if random.below(3) == 0 { S_TAG } else { C_TAG };
                (tpid, (random.below(8) as u16) << 13 | random.below(5) as u16)
            };
            let tags: Vec<_> = (0..random.below(3)).map(|_| tag(&mut random)).collect();
            let bytes = broadcast(0, &tags);
            let vlan = model_in(&ports[0], &tags);
            let expected: Vec<Vec<Vec<u8>>> = (0..)
                .zip(&ports)
                .map(|(port, model)| {
                    let tags = vlan.filter(|_| port != 0).and_then(|v| model_out(model, v, &tags));
                    tags.iter().map(|tags| broadcast(0, tags)).collect()
                })
                .collect();
            let got = sent(&mut sim, &bytes, ports.len() as u16);
            assert_eq!(got, expected, "seed {seed}: {ports:?} {tags:?}");
        }
        sim.check();
    }
}
