//! A container that takes all ports that it can get.

use std::net::IpAddr;
use std::time::Duration;

use testkit::{FAR4, FAR6, Flow, Process, Remote, wait_for};

use crate::harness::{Container, Host};

/// As few as may be.
const RANGE: &str = "20000-20063";

/// Accepts nothing: the kernel does, as many as wait: `ADDR PORT`.
const LISTEN: &str = "\
import socket, sys, time
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
s = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family, backlog=200)
time.sleep(60)
";

/// Opens connections until one fails, and holds them: `ADDR PORT FILE`; writes how many there are and why the next
/// failed into the file.
const HOLD: &str = "\
import errno, os, socket, sys, time
held, why = [], 'none failed'
for _ in range(100):
    try:
        held.append(socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5))
    except OSError as error:
        why = errno.errorcode.get(error.errno, str(error))
        break
with open(sys.argv[3] + '.new', 'w') as file:
    file.write(f'{len(held)} {why}')
os.rename(sys.argv[3] + '.new', sys.argv[3])
time.sleep(60)
";

/// Takes all TCP ports for the container that it can have; gives who holds them, how many, and what it was told then.
#[track_caller]
fn take_all(
    (host, remote, a): (&Host, &Remote, &Container),
    far: IpAddr,
    port: u16,
) -> ([Process; 2], u32, String) {
    let (address, port) = (far.to_string(), port.to_string());
    let listener = remote.far().spawn(&["python3", "-c", LISTEN, &address, &port]);
    wait_for("somebody listens", Duration::from_secs(10), || {
        remote.far().ok(&["ss", "-ltnH", &format!("sport = :{port}")]).contains(&port)
    });
    let file = host.path(&format!("held-{port}"));
    let path = file.display().to_string();
    let mut holder = a.spawn(&["python3", "-c", HOLD, &address, &port, &path]);
    wait_for("a connection fails", Duration::from_secs(15), || {
        assert!(holder.is_running(), "the holder ended");
        file.exists()
    });
    let said = std::fs::read_to_string(&file).expect("what was written");
    let (count, why) = said.split_once(' ').expect("a number and a reason");
    ([listener, holder], count.parse().expect("a number"), why.to_owned())
}

#[test]
fn no_port_left_is_counted_and_told_and_hurts_nobody_else() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    host.up(&["--uplink", "auto", "--snat-ports", RANGE]);
    let (a, b) = (host.container("a"), host.container("b"));
    let drops = || host.inspect("a").drops_by_reason.get("nat-no-port").copied().unwrap_or(0);
    // errno of Linux for "administratively prohibited" (RFC 1812 section 5.2.7.1, RFC 4443 section 3.1).
    for (far, port, told) in [(FAR4, 7100, "EHOSTUNREACH"), (FAR6, 7101, "EACCES")] {
        let flow = Flow::start(&a, remote.far(), far);
        let before = drops();
        let (holding, count, why) = take_all((&host, &remote, &a), far, port);
        assert_eq!(why, told, "after {count}");
        assert!((30..64).contains(&count), "{count} of 64 ports");
        assert!(drops() > before, "{:?}", host.inspect("a").drops_by_reason);
        // Whoever needs no port goes on; so do a neighbour, and the host.
        a.ping(far);
        let _tcp = remote.far().serve("tcp", far, 7000);
        let _udp = remote.far().serve("udp", far, 7000);
        for protocol in ["tcp", "udp"] {
            assert!(b.can_ask(protocol, far, 7000), "the neighbour by {protocol}");
            assert!(host.netns().can_ask(protocol, far, 7000), "the host by {protocol}");
        }
        // Of the container itself only connections to that destination have no port.
        assert!(a.can_ask("udp", far, 7000) && a.can_ask("tcp", far, 7000));
        let before = drops();
        assert!(!a.can_ask("tcp", far, port), "one more to where all its ports lead");
        assert!(drops() > before, "{:?}", host.inspect("a").drops_by_reason);
        flow.arrives();
        // Ended, they make room for others.
        drop(holding);
        let _tcp = remote.far().serve("tcp", far, port);
        wait_for("there are ports again", Duration::from_secs(5), || a.can_ask("tcp", far, port));
    }
    host.balanced();
}
