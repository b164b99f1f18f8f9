//! The TCP torture over a veth pair: plain TCP passes it, and holds little for a reader that does not read.
#![forbid(unsafe_code)]

use std::time::Duration;

use testkit::{Mix, Netns, Torture, Unread, join, torture_process, unread_process};

const ARGS: [&str; 4] = ["--exact", "torture_end", "--ignored", "--nocapture"];

#[test]
#[ignore = "a process of another test"]
fn torture_end() {
    torture_process();
    unread_process();
}

fn pair() -> [Netns; 2] {
    let pair = [Netns::new("server"), Netns::new("client")];
    join(&pair[0], "eth0", &pair[1], "eth0");
    for (netns, last) in pair.iter().zip([1, 2]) {
        netns.run_lines(&[
            &format!("ip addr add 10.99.0.{last}/24 dev eth0"),
            &format!("ip addr add fd99::{last}/64 dev eth0 nodad"),
        ]);
    }
    pair
}

fn torture(pair: &[Netns; 2], connections: u64) -> Torture<'_> {
    Torture {
        server: &pair[0],
        client: &pair[1],
        v4: [10, 99, 0, 1].into(),
        v6: "fd99::1".parse().expect("an address"),
        args: &ARGS,
        wrapper: &[],
        seed: std::env::var("TORTURE_SEED").map_or(1, |seed| seed.parse().expect("a seed")),
        mix: Mix::All,
        connections: std::env::var("TORTURE_CONNECTIONS")
            .map_or(connections, |count| count.parse().expect("a count")),
        stuck_after: Duration::from_secs(10),
        is_strict: true,
        limit: Duration::from_secs(300),
    }
}

#[test]
fn plain_tcp_passes() {
    let pair = pair();
    let torture = torture(&pair, 1500);
    let tally = torture.run();
    eprintln!("{tally}");
    tally.assert_right(torture.connections);
}

#[test]
fn short_connections_pass() {
    let pair = pair();
    let torture = Torture { mix: Mix::Short, ..torture(&pair, 4000) };
    let tally = torture.run();
    eprintln!("{tally}");
    tally.assert_right(torture.connections);
}

#[test]
fn the_rest_is_a_prefix_when_an_end_is_killed() {
    let pair = pair();
    let tally = torture(&pair, 4000).run_with_deaths(4);
    eprintln!("{tally}");
    assert!(tally.corrupt.is_empty() && tally.stuck.is_empty(), "{tally:#?}");
    assert!(tally.errors.is_empty() && tally.right > 0, "{tally:#?}");
}

#[test]
fn the_rest_is_a_prefix_when_all_of_a_namespace_is_killed() {
    let pair = pair();
    let tally = torture(&pair, 40_000).run_until_killed(Duration::from_secs(2), || {
        pair[0].ok(&["ip", "link", "del", "eth0"]);
    });
    eprintln!("{tally}");
    assert!(tally.corrupt.is_empty() && tally.stuck.is_empty(), "{tally:#?}");
    assert!(tally.errors.is_empty() && tally.right > 0, "{tally:#?}");
}

#[test]
fn a_sender_stops_when_nobody_reads() {
    let [reader, sender] = pair();
    for address in ["10.99.0.1", "fd99::1"] {
        for piece in [64 << 10, 100] {
            let held = Unread::measure(&reader, &sender, address.parse().unwrap(), piece, &ARGS);
            eprintln!("{address}, {piece} bytes at a time: {held:?}");
            // What the default of `tcp_rmem` and `tcp_wmem` allows, and what is between them.
            assert!(held.sent > 10_000 && held.sent < 16 << 20, "{held:?}");
            assert!(held.memory() >= held.sent / 2 && held.memory() < 24 << 20, "{held:?}");
        }
    }
}
