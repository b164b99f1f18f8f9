//! Multicast snooping, with the kernels of containers as listeners.

use std::time::Duration;

use testkit::{Process, wait_for};

use crate::harness::{Container, Host};

/// Listens to a group until it is ended: `GROUP FILE`.
const LISTEN: &str = "\
import socket, struct, sys, time
index = socket.if_nametoindex('eth0')
if ':' in sys.argv[1]:
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    group = socket.inet_pton(socket.AF_INET6, sys.argv[1])
    s.setsockopt(41, 20, group + struct.pack('@I', index))
else:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(0, 35, socket.inet_aton(sys.argv[1]) + struct.pack('@4si', bytes(4), index))
open(sys.argv[2], 'w').write('ready')
time.sleep(300)
";

/// Sends 50 datagrams to a group: `GROUP`.
const SEND: &str = "\
import socket, sys
index = socket.if_nametoindex('eth0')
if ':' in sys.argv[1]:
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.setsockopt(41, 17, index)
else:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(50):
    s.sendto(b'to whom it may concern', (sys.argv[1], 9))
";

const GROUPS: [&str; 2] = ["239.1.2.3", "ff15::1234"];

#[track_caller]
fn listen(host: &Host, container: &Container, group: &str) -> Process {
    let file = host.path(&group.replace(':', "-"));
    let path = file.display().to_string();
    let process = container.spawn(&["python3", "-c", LISTEN, group, &path]);
    wait_for("it listens", Duration::from_secs(10), || file.exists());
    process
}

/// Receivers, of `b` and `c`, of frames that `a` sends to a group.
#[track_caller]
fn receivers(host: &Host, a: &Container, group: &str) -> [bool; 2] {
    let sent = || ["b", "c"].map(|name| host.inspect(name).port.traffic.tx_frames);
    let before = sent();
    a.ok(&["python3", "-c", SEND, group]);
    let after = sent();
    [0, 1].map(|port| after[port] >= before[port] + 50)
}

#[test]
fn a_group_goes_to_who_listens() {
    goes_to_who_listens(&Host::with_switch());
}

/// Whichever of them reads the report, and whichever the datagrams.
#[test]
fn workers_tell_each_other_who_listens() {
    goes_to_who_listens(&Host::with_switch_args(&["--workers", "2", "--uplink", "none"]));
}

#[track_caller]
fn goes_to_who_listens(host: &Host) {
    let (a, b, c) = (host.container("a"), host.container("b"), host.container("c"));
    let _listeners = GROUPS.map(|group| listen(host, &b, group));
    for group in GROUPS {
        // In its first seconds the switch floods: nobody can have told it yet.
        wait_for("the switch knows who listens", Duration::from_secs(40), || {
            let receivers = receivers(host, &a, group);
            assert!(receivers[0], "the listener gets it, whatever the switch knows");
            !receivers[1]
        });
    }
    assert_eq!(receivers(host, &a, "239.9.9.9"), [false, false]);
    assert!(host.inspect("a").drops_by_reason.get("no-listener") >= Some(&50));
    // Groups of the link reach all.
    assert_eq!(receivers(host, &a, "224.0.0.251"), [true, true]);
    let another = listen(host, &c, "239.9.9.9");
    assert_eq!(receivers(host, &a, "239.9.9.9"), [false, true]);
    // Its kernel says that it leaves; the rest of a row's time would be four minutes.
    drop(another);
    wait_for("the switch knows who has left", Duration::from_secs(20), || {
        receivers(host, &a, "239.9.9.9") == [false, false]
    });
    assert_eq!(receivers(host, &a, GROUPS[0]), [true, false]);
    host.balanced();
}

#[test]
fn snooping_can_be_switched_off() {
    let host = Host::with_switch_args(&["--multicast", "flood"]);
    let (a, _b, _c) = (host.container("a"), host.container("b"), host.container("c"));
    assert_eq!(host.json(&["network", "inspect", "br0"])["multicast"], "flood");
    std::thread::sleep(Duration::from_secs(22));
    assert_eq!(receivers(&host, &a, "239.1.2.3"), [true, true]);
    let other = Host::new();
    other.fails(&["up", "--multicast", "some"], &[2], "some");
}
