//! What the programs remember of connections ends with these.

use std::time::Duration;

use testkit::{Process, freeze, thaw, wait_for};

use super::{PORT, SOON, Setup};
use crate::harness::{Container, Host};

/// Opens connections, exchanges numbers in each, and closes them when the folder has a file `close`; makes the files
/// `exchanged` and `closed` then: `CGROUP ADDRESS PORT CONNECTIONS EXCHANGES FOLDER`.
const CLIENT: &str = "\
import os, socket, sys, time
cgroup, address, port, connections, exchanges, folder = sys.argv[1:]
open(cgroup + '/cgroup.procs', 'w').write('0')
peers = [socket.create_connection((address, int(port)), timeout=20) for _ in range(int(connections))]
for number in range(int(exchanges)):
    for peer in peers:
        peer.sendall(bytes([number]))
    for peer in peers:
        assert peer.recv(64) == bytes([number])
open(folder + '/exchanged', 'w').close()
while not os.path.exists(folder + '/close'):
    time.sleep(0.05)
for peer in peers:
    peer.close()
open(folder + '/closed', 'w').close()
time.sleep(600)
";

/// Time of all exchanges on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// A server, and a client with so many connections to it.
struct Connections {
    /// Before the setup, whose cgroup has to be empty in the end.
    _ends: [(Container, Process); 2],
    setup: Setup,
}

impl Connections {
    #[track_caller]
    fn open(setup: Setup, connections: u32, exchanges: u32) -> Self {
        let (server, client) = (setup.host.container("server"), setup.host.container("client"));
        let echo = setup.echo(&server);
        let folder = setup.host.path(".").display().to_string();
        let (address, [connections, exchanges]) =
            (server.v4().to_string(), [connections, exchanges].map(|it| it.to_string()));
        let ask = client.spawn(&[
            "python3",
            "-c",
            CLIENT,
            setup.cgroup.path(),
            &address,
            PORT,
            &connections,
            &exchanges,
            &folder,
        ]);
        let exchanged = setup.host.path("exchanged");
        wait_for("the client has exchanged all", LONG, || exchanged.exists());
        Self { _ends: [(server, echo), (client, ask)], setup }
    }

    #[track_caller]
    fn close(&self) {
        let host = &self.setup.host;
        std::fs::write(host.path("close"), "").expect("a file");
        wait_for("the client has closed all", SOON, || host.path("closed").exists());
    }

    #[track_caller]
    fn wait_until_empty(&self) {
        for table in ["sockets", "connections"] {
            let cgroup = &self.setup.cgroup;
            wait_for(&format!("no {table}"), SOON, || cgroup.entries(table) == 0);
        }
    }
}

fn joined(host: &Host) -> u64 {
    host.stats().cut_through.connections
}

#[test]
fn short_connections_are_in_no_table() {
    let all = Connections::open(Setup::new(), 200, 4);
    assert_eq!(all.setup.cgroup.entries("connections"), 0);
    all.close();
    assert_eq!(joined(&all.setup.host), 0);
    all.wait_until_empty();
}

#[test]
fn connections_that_end_leave_the_tables_also_when_the_switch_could_not_be_told_of_all() {
    // A ring of 170 events.
    let setup = Setup::with_guards("order,bound,refresh", &["--cut-through"]);
    let all = Connections::open(setup, 300, 30);
    let host = &all.setup.host;
    wait_for("all are cut through", SOON, || joined(host) == 300);
    freeze(host.daemon_pid());
    all.close();
    let sockets = all.setup.cgroup.entries("sockets");
    thaw(host.daemon_pid());
    // More than the ring has room for; a busy machine may have woken some readers before, which leave.
    assert!(sockets > 170, "{sockets}");
    all.wait_until_empty();
    assert_eq!(host.stats().cut_through.left, 300);
}
