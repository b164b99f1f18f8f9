//! A router that is replaced without a word: another MAC address has its addresses.

use std::time::{Duration, Instant};

use testkit::{FAR4, FAR6};

use crate::harness::Host;

/// Datagrams from behind the router to a published port: what comes in says nothing of the way out.
const INBOUND: &str = "
import socket, time
both = [(socket.AF_INET, '192.0.2.1'), (socket.AF_INET6, '2001:db8::1')]
both = [(socket.socket(family, socket.SOCK_DGRAM), host) for family, host in both]
while True:
    for sender, host in both:
        sender.sendto(b'in', (host, 9000))
    time.sleep(0.2)
";

/// The kernel's own forwarding takes six to eight seconds; a busy machine needs more.
const FOUND_MAX: Duration = Duration::from_secs(13);

#[test]
fn a_router_with_another_mac_address_is_found_within_seconds() {
    let (host, remote, a) = Host::with_remote();
    for far in [FAR4, FAR6] {
        a.ping(far);
    }
    host.ok(&["publish", "a", "9000:9000/udp"]);
    let inbound = remote.far().spawn(&["python3", "-c", INBOUND]);
    // Nothing is announced, and the former address is nobody's.
    host.lan().run_lines(&["ip link set nic1 address 02:00:00:00:77:77"]);
    let begun = Instant::now();
    for far in [FAR4, FAR6] {
        a.ping_soon(far, FOUND_MAX);
    }
    let took = begun.elapsed();
    println!("found after {took:?}");
    assert!(took < FOUND_MAX, "{took:?}");
    drop(inbound);
    host.balanced();
}
