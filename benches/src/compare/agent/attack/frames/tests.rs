use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use wire::{MacAddr, arp};

use super::{ATTACK_FRAME_MAX, Attack, DST, Frames, SRC};

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 4]);
const FROM: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 4);
const VICTIM: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 3);

fn frames(kind: Attack, count: usize) -> Vec<Vec<u8>> {
    let mut frames = Frames::new(kind, MAC, FROM, VICTIM).expect("frames");
    (0..count).map(|_| frames.next().to_vec()).collect()
}

#[test]
fn a_flooder_is_ever_somebody_else() {
    let sources: BTreeSet<_> =
        frames(Attack::MacFlood, 20_000).into_iter().map(|frame| frame[SRC].to_vec()).collect();
    assert!(sources.len() > 19_000, "{} sources", sources.len());
    // Unicast, locally administered.
    assert!(sources.iter().all(|mac| mac[0] == 2));
}

#[test]
fn a_storm_is_of_whole_frames_to_everybody_that_a_guard_lets_pass() {
    for frame in frames(Attack::BroadcastStorm, 3) {
        // 64 bytes with the check sequence.
        assert_eq!(frame.len(), 60);
        assert_eq!(frame[DST], [0xff; 6]);
        assert_eq!(frame[SRC], MAC.0);
        assert_eq!(frame[12..14], [8, 0]);
        assert_eq!(frame[26..30], FROM.octets());
        assert_eq!(wire::checksum::checksum(&frame[14..34]), 0, "IPv4 header");
    }
}

#[test]
fn garbage_is_of_all_lengths_and_kinds() {
    let frames = frames(Attack::Garbage, 20_000);
    let lens: BTreeSet<_> = frames.iter().map(Vec::len).collect();
    assert_eq!(lens.first(), Some(&14));
    assert_eq!(lens.last(), Some(&ATTACK_FRAME_MAX));
    let share = |is: fn(&Vec<u8>) -> bool| {
        frames.iter().filter(|frame| is(frame)).count() as f64 / frames.len() as f64
    };
    assert!((0.05..0.15).contains(&share(|f| f[12..14] == [0x08, 0x00])), "IPv4");
    assert!((0.05..0.15).contains(&share(|f| f[12..14] == [0x81, 0x00])), "tagged");
    assert!((0.4..0.6).contains(&share(|f| f[DST] == [0xff; 6])), "to everybody");
    assert!(frames.iter().all(|frame| frame[SRC] == MAC.0));
}

#[test]
fn a_spoofer_claims_the_address_of_its_victim() {
    let frame = frames(Attack::ArpSpoof, 2).pop().expect("two");
    let packet = arp::Packet::new_checked(&frame[14..]).expect("ARP");
    assert_eq!((packet.sender_mac(), packet.sender_ip()), (MAC, VICTIM));
}
