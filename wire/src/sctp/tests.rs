use std::vec::Vec;

use super::*;

const DATA: u8 = 0;
const INIT_ACK: u8 = 2;
const COOKIE_ECHO: u8 = 10;

fn packet(tag: u32, chunks: &[(u8, &[u8])]) -> Vec<u8> {
    let mut packet = Vec::from([0x12, 0x34, 0x56, 0x78]);
    packet.extend(tag.to_be_bytes());
    packet.extend([0; 4]);
    for (kind, value) in chunks {
        packet.extend([*kind, 0, 0, 4 + value.len() as u8]);
        packet.extend(*value);
        packet.resize(packet.len().next_multiple_of(4), 0);
    }
    packet
}

/// The answer's tag and chunk.
fn answer(tag: u32, chunks: &[(u8, &[u8])]) -> Option<(u32, [u8; 4])> {
    let answer = out_of_the_blue(&packet(tag, chunks))?;
    assert_eq!(answer[..4], [0x56, 0x78, 0x12, 0x34], "the ports");
    let mut unsigned = answer;
    unsigned[8..12].fill(0);
    assert_eq!(answer[8..12], crc32c(&unsigned).to_le_bytes());
    let tag = u32::from_be_bytes(answer[4..8].try_into().unwrap());
    Some((tag, answer[12..].try_into().unwrap()))
}

#[test]
fn rfc9260_8_4_packets_out_of_the_blue_are_aborted() {
    let init = [0, 0, 0, 77, 0, 0, 16, 0, 0, 1, 0, 1, 0, 0, 0, 9];
    assert_eq!(answer(0, &[(INIT, &init)]), Some((77, [ABORT, 0, 0, 4])), "the tag of the INIT");
    for kind in [DATA, INIT_ACK, COOKIE_ECHO] {
        assert_eq!(answer(99, &[(kind, &[1, 2, 3])]), Some((99, [ABORT, REFLECTED, 0, 4])));
    }
    let complete = [SHUTDOWN_COMPLETE, REFLECTED, 0, 4];
    assert_eq!(answer(99, &[(SHUTDOWN_ACK, &[])]), Some((99, complete)));
    for kind in [ABORT, ERROR, COOKIE_ACK, SHUTDOWN_COMPLETE] {
        assert_eq!(answer(99, &[(kind, &[])]), None);
    }
    assert_eq!(answer(99, &[(DATA, &[1, 2, 3]), (ABORT, &[])]), None, "it ends already");
    assert_eq!(answer(99, &[(INIT, &init)]), None, "a tag that an INIT never has");
}

#[test]
fn what_is_cut_off_gets_no_answer() {
    let whole = packet(0, &[(INIT, &[0, 0, 0, 77])]);
    for len in 0..whole.len() {
        assert_eq!(out_of_the_blue(&whole[..len]), None, "{len}");
    }
    let mut endless = packet(7, &[(DATA, &[])]);
    endless[15] = 0;
    assert!(out_of_the_blue(&endless).is_some());
}
