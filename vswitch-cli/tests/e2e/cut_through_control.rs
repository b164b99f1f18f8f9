//! Control of cut-through: who asks for it, what is shown of it, and what is left of it.
//!
//! Each test has a cgroup of its own, so that it counts its own programs only.

mod ends;
mod shown;
mod small_buffers;
mod tables;

use std::time::Duration;

use serde_json::Value;
use testkit::{Netns, Process, wait_for};
use vswitch_api::cut_through::{CutThroughConnection, CutThroughState, CutThroughStatus};

use crate::harness::{Cgroup, Container, Host};

/// A busy machine included.
const SOON: Duration = Duration::from_secs(20);
/// Python can splice, and the programs of these tests do not.
const GUARDS: &str = "order,bound,ring,refresh";
const PORT: &str = "7000";

/// Sends back what comes, on any number of connections: `CGROUP PORT`.
const ECHO: &str = "\
import os, socket, sys, threading
open(sys.argv[1] + '/cgroup.procs', 'w').write('0')
def serve(peer):
    peer.settimeout(3600)
    while data := peer.recv(65536):
        peer.sendall(data)
listener = socket.create_server(('::', int(sys.argv[2])), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
";

/// Exchanges a number again and again, and ends where the answer is another one: `CGROUP ADDRESS PORT`.
const ASK: &str = "\
import os, socket, sys, time
open(sys.argv[1] + '/cgroup.procs', 'w').write('0')
peer = socket.create_connection((sys.argv[2], int(sys.argv[3])))
peer.settimeout(3600)
number = 0
while True:
    number += 1
    asked = number.to_bytes(8, 'big') * 16
    peer.sendall(asked)
    heard = b''
    while len(heard) < len(asked):
        heard += peer.recv(65536)
    assert heard == asked, (number, heard)
    time.sleep(0.001 if number < 200 else 0.05)
";

/// A host whose switch asks for cut-through in all networks.
struct Setup {
    /// Before the cgroup, which has to be empty in the end.
    host: Host,
    cgroup: Cgroup,
}

impl Setup {
    #[track_caller]
    fn new() -> Self {
        Self::with(&["--cut-through"])
    }

    /// A switch with these options.
    #[track_caller]
    fn with(args: &[&str]) -> Self {
        Self::with_guards(GUARDS, args)
    }

    /// The same, with other guards.
    #[track_caller]
    fn with_guards(guards: &str, args: &[&str]) -> Self {
        let mut setup = Self { host: Host::new(), cgroup: Cgroup::new() };
        setup.up_with_guards(guards, args);
        setup
    }

    #[track_caller]
    fn up(&mut self, args: &[&str]) {
        self.up_with_guards(GUARDS, args);
    }

    #[track_caller]
    fn up_with_guards(&mut self, guards: &str, args: &[&str]) {
        let own = ["--cut-through-cgroup", self.cgroup.path()];
        self.host.up_with_guards(guards, &[&own[..], args].concat());
    }

    fn status(&self) -> CutThroughStatus {
        self.host.status().cut_through
    }

    #[track_caller]
    fn connections(&self) -> Vec<CutThroughConnection> {
        serde_json::from_value(self.host.json(&["cut-through"])).expect("connections")
    }

    /// A server that sends back what comes.
    #[track_caller]
    fn echo(&self, netns: &Netns) -> Process {
        let server = netns.spawn(&["python3", "-c", ECHO, self.cgroup.path(), PORT]);
        wait_for("it listens", SOON, || {
            !netns.ok(&["ss", "-ltnH", &format!("sport = :{PORT}")]).is_empty()
        });
        server
    }

    /// A client that exchanges numbers for ever.
    #[track_caller]
    fn ask(&self, netns: &Netns, address: &str, port: &str) -> Process {
        netns.spawn(&["python3", "-c", ASK, self.cgroup.path(), address, port])
    }

    /// Waits until so many connections carry data past the switch.
    #[track_caller]
    fn wait_for_connections(&self, count: usize) {
        wait_for(&format!("{count} connections are cut through"), SOON, || {
            let all = self.connections();
            let carries = |it: &&CutThroughConnection| it.client.bytes > 0 && it.server.bytes > 0;
            all.len() == count && all.iter().filter(carries).count() == count
        });
    }

    /// A pair of containers with a connection between them that is cut through: client, server and their processes.
    #[track_caller]
    fn joined(&self) -> (Container, Container, [Process; 2]) {
        let (client, server) = (self.host.container("client"), self.host.container("server"));
        let echo = self.echo(&server);
        let ask = self.ask(&client, &server.v4().to_string(), PORT);
        self.wait_for_connections(1);
        (client, server, [ask, echo])
    }
}

/// Whether a client goes on: another exchange counts bytes.
#[track_caller]
fn goes_on(ask: &mut Process) {
    std::thread::sleep(Duration::from_secs(1));
    assert!(ask.is_running(), "the client has ended");
}

fn doctor_row(host: &Host) -> Value {
    let text = host.vswitch(&["--format", "json", "doctor"]).stdout;
    let rows: Vec<Value> = serde_json::from_str(&text).expect("rows");
    rows.into_iter().find(|row| row["check"] == "cut_through").expect("a row")
}

#[test]
fn nothing_is_loaded_until_a_network_asks() {
    let setup = Setup::with(&[]);
    assert_eq!(setup.status(), CutThroughStatus::default());
    assert_eq!(
        (setup.cgroup.programs(), doctor_row(&setup.host)["status"].as_str()),
        (0, Some("ok"))
    );
    assert!(setup.host.ok(&["status"]).contains("not asked for"));
    let created = setup.host.json(&["network", "create", "--cut-through", "blue"]);
    assert_eq!(created["cut_through"], true);
    assert_eq!(setup.host.json(&["network", "inspect", "br0"])["cut_through"], false);
    let on = setup.status();
    assert_eq!(
        (on.state, on.cgroup.as_deref()),
        (CutThroughState::On, Some(setup.cgroup.path())),
        "{on:?}"
    );
    assert_eq!(setup.cgroup.programs(), 1);
}

#[test]
fn a_cgroup_that_is_none_switches_it_off_and_the_switch_works() {
    let host = Host::with_switch_args(&["--cut-through", "--cut-through-cgroup", "/proc"]);
    let status = host.status().cut_through;
    assert_eq!(status.state, CutThroughState::Off);
    assert!(status.reason.is_some_and(|reason| reason.contains("/proc")));
    let (a, b) = (host.container("a"), host.container("b"));
    a.ping(b.v4());
    assert_eq!(host.json(&["cut-through"]), serde_json::json!([]));
    assert!(host.ok(&["status"]).contains("off: "));
    assert_eq!(doctor_row(&host)["status"], "warn");
    let list = host.vswitch(&["cut-through"]);
    assert!(list.stderr.contains("/proc"), "{list}");
}

#[test]
fn a_network_asks_for_itself_and_another_declines_also_after_a_restart() {
    let mut setup = Setup::new();
    setup.host.ok(&["network", "create", "--cut-through=false", "plain"]);
    let asks = |setup: &Setup, name: &str| {
        setup.host.json(&["network", "inspect", name])["cut_through"].as_bool()
    };
    assert_eq!((asks(&setup, "br0"), asks(&setup, "plain")), (Some(true), Some(false)));
    setup.host.down();
    assert_eq!(setup.cgroup.programs(), 0);
    setup.up(&["--cut-through"]);
    assert_eq!((asks(&setup, "br0"), asks(&setup, "plain")), (Some(true), Some(false)));
    let on = |name: &str| setup.host.container_with(name, &["--network", "plain"]);
    let (client, server) = (on("a"), on("b"));
    let _echo = setup.echo(&server);
    let mut ask = setup.ask(&client, &server.v4().to_string(), PORT);
    // A pair of the other network is joined meanwhile: the programs work.
    let (_client, _server, _running) = setup.joined();
    goes_on(&mut ask);
    assert_eq!(setup.connections().len(), 1);
    assert_eq!(setup.host.inspect("a").cut_through, None);
}
