//! A full disk: a change that cannot be written does not happen, and is not undone by the next `up`.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use testkit::{Process, READY_MAX, wait_for};

use crate::harness::Host;

/// A mount namespace whose file system of the state directory has some pages only.
struct SmallDisk {
    process: Process,
    folder: PathBuf,
}

impl SmallDisk {
    fn new(host: &Host) -> Self {
        let state = host.state_dir();
        fs::create_dir_all(&state).expect("the state directory");
        let script = format!(
            "mount -t tmpfs -o size=256k none {0} && touch {0}/ready && exec sleep 600",
            state.display()
        );
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "slave", "sh", "-c", &script])
            .stdin(Stdio::null());
        let process = Process::spawn(&mut command);
        let root = format!("/proc/{}/root", process.pid());
        let folder = PathBuf::from(root + &state.display().to_string());
        wait_for("the small disk", READY_MAX, || folder.join("ready").exists());
        Self { process, folder }
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.folder.join("fill")).expect("a file");
        while file.write_all(&[7; 4096]).is_ok() {}
    }

    fn free_space(&self) {
        fs::remove_file(self.folder.join("fill")).expect("the file goes");
    }

    fn document(&self) -> Value {
        let text = fs::read(self.folder.join("state.json")).expect("a document");
        serde_json::from_slice(&text).expect("JSON")
    }
}

/// What users see, without counters.
fn shown(host: &Host) -> Vec<String> {
    let ports = host
        .ls()
        .into_iter()
        .map(|port| format!("{} {} {:?} {:?}", port.name, port.network, port.ipv4, port.state));
    let others = [host.ok(&["publish", "ls"]), host.ok(&["network", "ls", "-q"])];
    ports.chain(others).collect()
}

#[test]
fn a_change_that_cannot_be_written_does_not_happen() {
    let mut host = Host::new();
    let disk = SmallDisk::new(&host);
    let within = disk.process.pid().to_string();
    host.up_in_mounts_of(&within, &["--uplink", "auto"]);
    for network in ["blue", "green"] {
        host.ok(&["network", "create", network]);
    }
    let a = host.container_with("a", &["-p", "8080:80"]);
    let (b, c) = (host.container("b"), host.container("c"));
    host.ok(&["network", "connect", "blue", "a"]);
    let new = host.namespace("n");
    let (before, document) = (shown(&host), disk.document());
    disk.fill();
    for change in [
        &["detach", "a"][..],
        &["detach", "b"],
        &["network", "disconnect", "br0", "a"],
        &["network", "connect", "blue", "b"],
        &["publish", "b", "8081:80"],
        &["unpublish", "a", "8080:80"],
        &["rename", "a", "z"],
        &["attach", "--netns", new.name(), "--name", "n"],
        &["network", "create", "red"],
        &["network", "rm", "green"],
        &["network", "rm", "--force", "blue"],
        &["port", "set", "b", "--rate-in", "10M"],
    ] {
        host.fails(change, &[1], "make room");
        assert_eq!(shown(&host), before, "{change:?}");
    }
    // All works as before.
    a.ping(b.v4());
    host.netns().ping(a.v6());
    assert_eq!(disk.document(), document);
    // The end of a container is a fact, and written later.
    c.ok(&["ip", "link", "del", "eth0"]);
    wait_for("the port is gone", READY_MAX, || host.ls().len() == 3);
    disk.free_space();
    wait_for("it is written", READY_MAX, || disk.document() != document);
    wait_for("and said", READY_MAX, || host.log().contains("written again"));
    let before = shown(&host);
    host.kill();
    host.up_in_mounts_of(&within, &["--uplink", "auto"]);
    assert_eq!(shown(&host), before);
    a.ping_soon(b.v4(), Duration::from_secs(5));
    host.ok(&["detach", "a"]);
}
