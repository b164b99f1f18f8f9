//! A router that is replaced without a word: another MAC address has its addresses.

use std::time::{Duration, Instant};

use testkit::{FAR4, FAR6};

use crate::harness::Host;

/// The kernel's own forwarding takes six to eight seconds; a busy machine needs more.
const FOUND_MAX: Duration = Duration::from_secs(13);

#[test]
fn a_router_with_another_mac_address_is_found_within_seconds() {
    let (host, _remote, a) = Host::with_remote();
    for far in [FAR4, FAR6] {
        a.ping(far);
    }
    // Nothing is announced, and the former address is nobody's.
    host.lan().run_lines(&["ip link set nic1 address 02:00:00:00:77:77"]);
    let begun = Instant::now();
    for far in [FAR4, FAR6] {
        a.ping_soon(far, FOUND_MAX);
    }
    let took = begun.elapsed();
    println!("found after {took:?}");
    assert!(took < FOUND_MAX, "{took:?}");
    host.balanced();
}
