//! Protocols without ports, such as GRE and ESP, from a container to the world, as raw packets.

use testkit::{FAR4, FAR6, READY_MAX, Remote, wait_for};

use crate::harness::{Container, Host};

/// Answers packets of a protocol: `ADDR PROTOCOL`.
const ANSWER: &str = "\
import socket, sys
address, protocol = sys.argv[1], int(sys.argv[2])
v6 = ':' in address
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, protocol)
s.bind((address, 0))
print('ready', flush=True)
while True:
    data, peer = s.recvfrom(2000)
    s.sendto(b'answer to ' + peer[0].encode(), (peer[0], 0))
";

/// Sends a packet of a protocol and prints the answer: `ADDR PROTOCOL SECONDS`.
const ASK: &str = "\
import socket, sys
address, protocol = sys.argv[1], int(sys.argv[2])
v6 = ':' in address
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, protocol)
s.settimeout(float(sys.argv[3]))
s.sendto(b'question', (address, 0))
data = s.recv(2000)
print((data if v6 else data[20:]).decode())
";

#[test]
fn protocols_without_ports_reach_the_world_and_their_answers_come_back() {
    let (host, remote, a) = Host::with_remote();
    let b = host.container("b");
    for (far, protocol, own) in [(FAR4, "47", "192.0.2.1"), (FAR6, "50", "2001:db8::1")] {
        let far = far.to_string();
        let _service = remote.far().spawn(&["python3", "-c", ANSWER, &far, protocol]);
        wait_for("the service listens", READY_MAX, || {
            let sockets = remote.far().ok(&["ss", "-wanH"]);
            sockets.lines().any(|it| it.contains(&far) && it.contains(&format!(":{protocol} ")))
        });
        // The first packet leaves once its answer comes to the switch.
        let output = a.exec(&["python3", "-c", ASK, &far, protocol, "3"]);
        assert_eq!(output.stdout.trim(), format!("answer to {own}"), "{output}");
        let ask = ["python3", "-c", ASK, &far, protocol, "0.5"];
        // Another container with the same remote is refused, with a reason.
        assert!(!b.exec(&ask).status.success());
    }
    assert!(refused(&host, "b") > 0);
    the_hosts_own_come_first(&host, &remote, (&a, &b));
    host.balanced();
}

fn refused(host: &Host, name: &str) -> u64 {
    host.inspect(name).drops_by_reason.get("nat-protocol-in-use").copied().unwrap_or(0)
}

/// By entries of connection tracking alone: the programs of the host have ended, so that no raw socket is seen.
fn the_hosts_own_come_first(host: &Host, remote: &Remote, (a, b): (&Container, &Container)) {
    // The host first.
    let far = FAR4.to_string();
    let _service = remote.far().spawn(&["python3", "-c", ANSWER, &far, "50"]);
    let ask = ["python3", "-c", ASK, &far, "50", "0.5"];
    wait_for("an answer for the host", READY_MAX, || {
        host.net().netns().exec(&ask).status.success()
    });
    let before = refused(host, "b");
    wait_for("a refusal", READY_MAX, || {
        assert!(!b.exec(&ask).status.success(), "the host's answers came to a container");
        refused(host, "b") > before
    });
    assert!(host.net().netns().exec(&ask).status.success(), "a container took the host's answers");
    // A container first: it has answers already.
    let far = FAR6.to_string();
    let _service = remote.far().spawn(&["python3", "-c", ANSWER, &far, "50"]);
    let ask = ["python3", "-c", ASK, &far, "50", "0.5"];
    wait_for("an answer", READY_MAX, || a.exec(&ask).status.success());
    wait_for("an answer for the host", READY_MAX, || {
        host.net().netns().exec(&ask).status.success()
    });
    wait_for("a refusal", READY_MAX, || {
        assert!(!a.exec(&ask).status.success(), "the host's answers came to a container");
        refused(host, "a") > 0
    });
    assert!(host.net().netns().exec(&ask).status.success());
}
