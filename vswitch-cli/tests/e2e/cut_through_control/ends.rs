//! Ends: detach, `down`, and a switch that is killed.

use nix::sys::signal::Signal;
use testkit::wait_for;
use vswitch_api::cut_through::CutThroughState;

use super::{ASK, PORT, SOON, Setup, goes_on};

/// Reads often enough to become a reader, and then no more: `CGROUP PORT`.
const TIRED: &str = "\
import socket, sys, time
open(sys.argv[1] + '/cgroup.procs', 'w').write('0')
listener = socket.create_server(('::', int(sys.argv[2])), family=socket.AF_INET6, dualstack_ipv6=True)
peer = listener.accept()[0]
peer.settimeout(3600)
for _ in range(64):
    peer.sendall(peer.recv(65536))
time.sleep(600)
";

#[test]
fn a_detach_sends_its_connections_back_to_the_switch() {
    let setup = Setup::new();
    let (client, _server, _running) = setup.joined();
    setup.host.ok(&["detach", "server"]);
    assert_eq!(setup.connections().len(), 0);
    assert_eq!(setup.status().state, CutThroughState::On);
    // Another pair is served as before.
    let next = setup.host.container("next");
    let _echo = setup.echo(&next);
    let _ask = setup.ask(&client, &next.v4().to_string(), PORT);
    setup.wait_for_connections(1);
}

#[test]
fn a_network_that_goes_takes_its_connections_along_and_the_programs_stay_until_down() {
    let mut setup = Setup::with(&[]);
    setup.host.ok(&["network", "create", "--cut-through", "blue"]);
    let on = |name: &str| setup.host.container_with(name, &["--network", "blue"]);
    let (client, server) = (on("a"), on("b"));
    let echo = setup.echo(&server);
    let ask = setup.ask(&client, &server.v4().to_string(), PORT);
    setup.wait_for_connections(1);
    setup.host.ok(&["network", "rm", "--force", "blue"]);
    assert_eq!((setup.connections().len(), setup.cgroup.programs()), (0, 1));
    for process in [ask, echo] {
        process.signal(Signal::SIGKILL);
    }
    setup.host.down();
    assert_eq!(setup.cgroup.programs(), 0);
}

#[test]
fn a_switch_that_comes_back_takes_its_connections_over() {
    let mut setup = Setup::new();
    let (client, server, [mut ask, echo]) = setup.joined();
    let before = setup.connections();
    setup.host.kill();
    goes_on(&mut ask);
    assert_eq!(setup.cgroup.programs(), 1);
    setup.up(&["--cut-through"]);
    assert_eq!(setup.cgroup.programs(), 1, "the former program is replaced");
    let after = setup.connections();
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].client.address, before[0].client.address);
    assert!(after[0].client.bytes >= before[0].client.bytes);
    assert_eq!(after[0].server.container, "server");
    goes_on(&mut ask);
    let _second = setup.ask(&client, &server.v6().to_string(), PORT);
    setup.wait_for_connections(2);
    setup.host.down();
    assert_eq!(setup.cgroup.programs(), 0);
    drop((ask, echo));
}

#[test]
fn down_after_a_kill_takes_the_programs_away_and_so_does_a_start_without_cut_through() {
    let mut setup = Setup::new();
    let running = setup.joined();
    setup.host.kill();
    let said = setup.host.ok(&["down"]);
    assert!(said.contains("the programs of cut-through"), "{said}");
    assert_eq!(setup.cgroup.programs(), 0);
    drop(running);
    setup.up(&["--cut-through"]);
    assert_eq!(setup.cgroup.programs(), 1);
    setup.host.kill();
    setup.host.up(&[]);
    wait_for("the programs are gone", SOON, || setup.cgroup.programs() == 0);
    assert_eq!(setup.status().state, CutThroughState::NotAsked);
}

#[test]
fn down_says_that_bytes_are_unread_and_can_be_run_again() {
    let setup = Setup::new();
    let (client, server) = (setup.host.container("client"), setup.host.container("server"));
    let tired = server.spawn(&["python3", "-c", TIRED, setup.cgroup.path(), PORT]);
    wait_for("it listens", SOON, || {
        !server.ok(&["ss", "-ltnH", &format!("sport = :{PORT}")]).is_empty()
    });
    let address = server.v4().to_string();
    let ask = client.spawn(&["python3", "-c", ASK, setup.cgroup.path(), &address, PORT]);
    setup.wait_for_connections(1);
    // The client's last question stays unread: the server has read its 64.
    wait_for("the server has answered for the last time", SOON, || {
        let before = setup.connections()[0].client.bytes;
        std::thread::sleep(std::time::Duration::from_millis(300));
        setup.connections()[0].client.bytes == before
    });
    let down = setup.host.vswitch(&["down"]);
    assert!(down.status.success() && down.stderr.contains("unread"), "{down}");
    assert_eq!(setup.cgroup.programs(), 1);
    // Without a daemon, too.
    let late = setup.host.vswitch(&["down"]);
    assert!(format!("{late}").contains("unread"), "{late}");
    assert_eq!(setup.cgroup.programs(), 1);
    for process in [tired, ask] {
        process.signal(Signal::SIGKILL);
        process.finish(SOON);
    }
    let again = setup.host.ok(&["down"]);
    assert!(again.contains("the programs of cut-through"), "{again}");
    assert_eq!(setup.cgroup.programs(), 0);
}
