//! Recovery of a switch that was killed: what lives comes back, whatever the kernel has yet to clear away.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Netns, Process, wait_for};
use vswitch_api::port::PortState;

use crate::harness::Host;

/// Longer than a switch waited that did not know what it waits for.
const STAYS_S: &str = "6";

/// Two tries of a kept record, on a busy machine.
const RETRIED_MAX: Duration = Duration::from_secs(30);

/// Keeps a TAP that nobody holds for some seconds, as of a killed switch whose interfaces the kernel has yet to remove.
const LEFT_OVER: &str = "\
import fcntl, os, struct, subprocess, sys, time
name, mac, seconds = sys.argv[1:]
tun = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH22x', name.encode(), 0x1002))
subprocess.run(['ip', 'link', 'set', name, 'address', mac], check=True)
fcntl.ioctl(tun, 0x400454cb, 1)
os.close(tun)
print('held', flush=True)
time.sleep(float(seconds))
subprocess.run(['ip', 'link', 'del', name], check=True)
";

/// Holds a TAP of that name, as another switch does.
const HELD: &str = "\
import fcntl, os, struct, sys, time
tun = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH22x', sys.argv[1].encode(), 0x1002))
time.sleep(600)
";

/// As [`LEFT_OVER`] in that namespace.
#[track_caller]
fn left_over(netns: &Netns, name: &str, mac: &str) -> Process {
    wait_for("the kernel clears the name away", Duration::from_secs(20), || {
        !netns.links().iter().any(|link| link == name)
    });
    let process = netns.spawn(&["python3", "-c", LEFT_OVER, name, mac, STAYS_S]);
    wait_for("the TAP is held", Duration::from_secs(20), || {
        netns.links().iter().any(|link| link == name) && netns.mac(name) == mac
    });
    process
}

/// A daemon that is dead, whose socket and lock the kernel has yet to close: another process has them for some seconds.
const DEAD: &str = "
import fcntl, os, socket, sys, time
path, state, stays = sys.argv[1], sys.argv[2], float(sys.argv[3])
os.makedirs(state, exist_ok=True)
lock = open(state + '/lock', 'w')
fcntl.flock(lock, fcntl.LOCK_EX)
lock.write('%d\\n' % os.getpid())
lock.flush()
api = socket.socket(socket.AF_UNIX)
api.bind(path)
api.listen()
if os.fork() == 0:
    os.closerange(0, 3)
    time.sleep(stays)
";

fn document_path(host: &Host) -> PathBuf {
    host.state_dir().join("state.json")
}

#[track_caller]
fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a document")).expect("JSON")
}

/// Names of the copies of the document.
fn copies(host: &Host) -> Vec<PathBuf> {
    let files = std::fs::read_dir(host.state_dir()).expect("the state directory").flatten();
    let paths = files.map(|file| file.path());
    paths.filter(|path| path.to_string_lossy().contains("backup")).collect()
}

/// The bridge, the uplink's TAP and a container's interface of the killed switch are still going; another container
/// has somebody else's interface in the place of its own.
#[test]
fn what_a_killed_switch_left_is_waited_for_and_nothing_that_lives_is_dropped() {
    let mut host = Host::with_switch();
    let (a, b) = (host.container("a"), host.container_with("b", &["-p", "8080:80"]));
    host.ok(&["fdb", "add", "02:00:00:00:77:01", "--port", "b"]);
    let (bridge, uplink) = (host.netns().mac("br0"), host.netns().mac("up-br0"));
    let before = [a.detail().port.mac.to_string(), b.detail().port.mac.to_string()];
    host.kill();
    let _bridge = left_over(host.netns(), "br0", &bridge);
    let _uplink = left_over(host.netns(), "up-br0", &uplink);
    wait_for("b's is gone", Duration::from_secs(20), || b.links().is_empty());
    b.ok(&["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other0"]);
    let _eth0 = left_over(&a, "eth0", &before[0]);
    let start = Instant::now();
    host.up_detached(&["--uplink", "auto"]);
    assert!(start.elapsed() > Duration::from_secs(2), "it waited");
    let log = std::fs::read_to_string(host.state_dir().join("vswitch.log")).expect("a log");
    let lines = log.lines().filter(|line| line.contains("left-over interface")).count();
    assert!((1..=12).contains(&lines), "not at every look:\n{log}");
    // The one works, the other is shown with its reason, and has lost nothing.
    assert_eq!(host.inspect("a").port.mac.to_string(), before[0]);
    a.ping_soon(a.gateway(), Duration::from_secs(5));
    let kept = host.inspect("b").port;
    assert_eq!((kept.state, kept.publish.len()), (PortState::Fault, 1), "{kept:?}");
    assert!(kept.fault.is_some_and(|it| it.contains("eth0")));
    assert!(host.ok(&["inspect", "b"]).contains("fault: "));
    let joined = host.vswitch(&["run", "--network", "container:b", "--", "true"]);
    assert!(joined.status.success() && joined.stderr.contains("out of order"), "{joined}");
    assert_eq!(read(&document_path(&host))["attachments"].as_array().map(Vec::len), Some(2));
    let taken = host.namespace("taken");
    let other = ["attach", "--netns", taken.name(), "--name", "other", "--ip"];
    let address = b.v4().to_string();
    host.fails(&[&other[..], &[&address]].concat(), &[1], &address);
    b.ok(&["ip", "link", "del", "eth0"]);
    wait_for("b is attached again", RETRIED_MAX, || host.inspect("b").port.state == PortState::Up);
    assert_eq!(host.inspect("b").port.mac.to_string(), before[1]);
    b.ping_soon(b.gateway(), Duration::from_secs(5));
    assert!(host.ok(&["fdb"]).contains("02:00:00:00:77:01"), "its static entry is kept");
    assert!(copies(&host).is_empty(), "nothing was lost");
}

/// `down` after a kill removes the tables, though the kernel has yet to remove the uplink's TAP. That of a program that
/// runs is no left-over: the next start says so instead of waiting a minute.
#[test]
fn a_tap_that_goes_is_told_from_one_that_stays() {
    let mut host = Host::new();
    host.up(&["--uplink", "auto"]);
    let mac = host.netns().mac("up-br0");
    assert!(host.netns().ok(&["nft", "list", "tables"]).contains("vswitch"));
    host.kill();
    let _goes = left_over(host.netns(), "up-br0", &mac);
    host.ok(&["down"]);
    assert!(!host.netns().ok(&["nft", "list", "tables"]).contains("vswitch"));
    wait_for("the TAP is gone", Duration::from_secs(20), || {
        !host.netns().links().iter().any(|link| link == "up-br0")
    });
    let _stays = host.netns().spawn(&["python3", "-c", HELD, "up-br0"]);
    wait_for("the TAP is held", Duration::from_secs(20), || {
        host.netns().links().iter().any(|link| link == "up-br0")
    });
    let start = Instant::now();
    let output = host.vswitch(&["up", "--bridge", "br0", "--uplink", "auto"]);
    assert!(output.code() == 1 && output.stderr.contains("is of python3 (process"), "{output}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

/// A FIFO in the place of the document, then records that were edited to what cannot be.
#[test]
fn records_that_make_no_sense_are_copied_before_they_go() {
    let mut host = Host::new();
    std::fs::create_dir(host.state_dir()).expect("the state directory");
    let path = document_path(&host);
    host.netns().ok(&["mkfifo", &path.display().to_string()]);
    host.fails(&["up", "--bridge", "br0"], &[1], "not a regular file");
    std::fs::remove_file(&path).expect("remove the FIFO");
    host.up(&["--uplink", "none"]);
    let (a, _b) = (host.container("a"), host.container("b"));
    host.down();
    let mut document = read(&path);
    let mut further = document["attachments"][0].clone();
    further["name"] = json!("same-address");
    further["ifname"] = json!("eth7");
    document["attachments"].as_array_mut().expect("records").push(further);
    document["networks"][0]["reserved"] = json!(["192.0.2.77"]);
    document["statics"] = json!([
        { "network": "br0", "mac": "02:00:00:00:00:77", "vlan": 0, "port": "nobody" }
    ]);
    std::fs::write(&path, document.to_string()).expect("write the document");
    let output = host.vswitch(&["up", "--bridge", "br0", "--uplink", "none", "--detach"]);
    assert!(output.status.success(), "{output}");
    let [copy] = &copies(&host)[..] else { panic!("no copy: {output}") };
    assert!(output.stderr.contains(&copy.display().to_string()), "{output}");
    assert_eq!(read(copy), document);
    let log = std::fs::read_to_string(host.state_dir().join("vswitch.log")).expect("a log");
    for lost in ["same-address", "192.0.2.77", "02:00:00:00:00:77"] {
        assert!(
            log.lines().any(|line| line.contains("make no sense") && line.contains(lost)),
            "{log}"
        );
    }
    assert_eq!(host.ls().len(), 2);
    a.ping_soon(a.gateway(), Duration::from_secs(5));
    host.ok(&["down"]);
    // What makes sense needs no copy.
    host.up(&["--uplink", "none"]);
    assert_eq!(copies(&host).len(), 1);
}

/// `up` right after a kill: by hand, and in the background.
#[test]
fn a_start_waits_for_the_socket_and_the_lock_of_a_daemon_that_is_dead() {
    for in_background in [false, true] {
        let mut host = Host::new();
        let (socket, state) = (host.path("sock"), host.state_dir());
        let (socket, state) = (socket.display().to_string(), state.display().to_string());
        let dead = ["python3", "-c", DEAD, &socket, &state, "2"];
        host.netns().ok(&dead);
        let start = Instant::now();
        match in_background {
            false => host.up(&[]),
            true => host.up_detached(&[]),
        }
        assert!(start.elapsed() > Duration::from_secs(1), "it waited: {:?}", start.elapsed());
        host.down();
    }
}

/// The same with a daemon that has containers, and nothing between the signal and the start. One that lives is told at once.
#[test]
fn a_daemon_that_is_being_killed_is_waited_for_and_one_that_lives_is_not() {
    let mut host = Host::with_switch();
    let containers: Vec<_> = (0..8).map(|n| host.container(&format!("c{n}"))).collect();
    for _ in 0..5 {
        let former = host.kill_unseen();
        host.up(&[]);
        former.finish(Duration::from_secs(5));
        for container in &containers {
            container.ping_soon(container.gateway(), Duration::from_secs(20));
        }
    }
    for args in [&["up"][..], &["up", "--detach"]] {
        let start = Instant::now();
        host.fails(args, &[1], "another daemon serves");
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    }
}
