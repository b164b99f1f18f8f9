//! Without its guards cut-through has the faults that the tests beside this one look for: they can see them.

use std::time::Duration;

use testkit::{Torture, Unread};

use super::torture::{ARGS, torture};
use super::{UP, pair_with_guards};

#[test]
fn the_torture_sees_that_sends_overtake_each_other() {
    let (host, server, client) = pair_with_guards("ring,refresh", &UP);
    let stuck_after = Duration::from_secs(3);
    let tally = Torture { stuck_after, ..torture(&server, &client, 600) }.run();
    let counters = host.stats().cut_through;
    eprintln!("{tally}; {counters:?}");
    assert!(counters.sends > 50, "{counters:?}");
    assert!(!tally.corrupt.is_empty(), "{tally}");
}

/// A connection over a veth pair is stopped after some megabytes at most.
#[test]
fn the_memory_of_a_reader_that_does_not_read_grows() {
    let (host, server, client) = pair_with_guards("order,ring,refresh", &UP);
    for address in [server.v4(), server.v6()] {
        let held = Unread::measure(&server, &client, address, 64 << 10, &ARGS);
        eprintln!("{address}: {held:?}; {:?}", host.stats().cut_through);
        assert!(held.sent > 64 << 20, "{address}: {held:?}");
    }
}
