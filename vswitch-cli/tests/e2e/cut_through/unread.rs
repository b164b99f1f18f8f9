//! A sender against a reader that does not read stops, as it does over a veth pair.

use testkit::{Netns, Unread, join};

use super::pair;
use super::torture::ARGS;

/// Sizes of the sender's pieces: small ones cost more memory than they have bytes.
const PIECES: [usize; 2] = [64 << 10, 100];

#[test]
fn a_sender_stops_when_nobody_reads() {
    let plain = [Netns::new("plain-a"), Netns::new("plain-b")];
    join(&plain[0], "eth0", &plain[1], "eth0");
    for (netns, last) in plain.iter().zip([1, 2]) {
        let (v4, v6) = (format!("10.99.0.{last}/24"), format!("fd99::{last}/64"));
        netns.run_lines(&[
            &format!("ip addr add {v4} dev eth0"),
            &format!("ip addr add {v6} dev eth0 nodad"),
        ]);
    }
    let (_host, a, b) = pair(&[]);
    let plain_addresses = ["10.99.0.1", "fd99::1"].map(|it| it.parse().expect("an address"));
    // TCP grows its buffers as the moment has it, so the largest of all counts.
    let plain_of = |address, piece| Unread::measure(&plain[0], &plain[1], address, piece, &ARGS);
    let allowed: Vec<Unread> =
        plain_addresses.iter().flat_map(|&at| PIECES.map(|piece| plain_of(at, piece))).collect();
    let sent = allowed.iter().map(|it| it.sent).max().unwrap_or(0);
    let memory = allowed.iter().map(Unread::memory).max().unwrap_or(0);
    for address in [a.v4(), a.v6()] {
        for piece in PIECES {
            let held = Unread::measure(&a, &b, address, piece, &ARGS);
            eprintln!("{address}, {piece} bytes at a time: {held:?}, by veth {sent} and {memory}");
            let is_bounded = held.sent <= 2 * sent && held.memory() <= 2 * memory;
            assert!(is_bounded, "{address}, {piece}: {held:?}, by veth {allowed:?}");
        }
    }
}
