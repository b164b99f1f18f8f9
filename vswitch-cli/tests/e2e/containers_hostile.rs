//! `vswitch attach --container` with the socket of another user, whose program lies, floods and hangs: no engine
//! does this.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testkit::{Process, READY_MAX, wait_for};
use vswitch_api::port::PortState;

use crate::harness::Host;

/// The end of a switch, which waits 3 s for requests; an engine may take ten seconds to answer.
const END_MAX: Duration = Duration::from_secs(7);

/// `nobody`.
const USER: u32 = 65534;

/// Answers for a container with the file of its name, logs what it is asked for, and floods who wants events.
const ENGINE: &str = r#"
import os, socket, sys, threading

def serve(stream, folder):
    url = stream.recv(65536).split()[1].decode()
    with open(folder + "/log", "a") as log:
        log.write(url + "\n")
    name = (url.split("/") + ["", ""])[2]
    if name == "hang":
        threading.Event().wait()
    status, body = "404 Not Found", b'{"message": "page not found"}'
    if url.startswith("/events"):
        status, body = "200 OK", b"junk\n" * 200000 + b"x" * 1000000
    elif name.startswith("json"):
        status, body = "200 OK", b"[]"
    elif os.path.exists(folder + "/" + name):
        status, body = "200 OK", open(folder + "/" + name, "rb").read()
    head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n"
    try:
        stream.sendall(head.encode() + body)
    except OSError:
        pass
    stream.close()

folder = sys.argv[1]
listener = socket.socket(socket.AF_UNIX)
listener.bind(folder + "/sock")
listener.listen(64)
while True:
    stream, _ = listener.accept()
    threading.Thread(target=serve, args=(stream, folder), daemon=True).start()
"#;

/// A program of the user at a socket, which says what its folder has.
struct Engine {
    folder: PathBuf,
    _program: Process,
}

impl Engine {
    #[track_caller]
    fn start(host: &Host) -> Self {
        let folder = host.path("engine");
        fs::create_dir(&folder).expect("a directory");
        // The way there, and the folder.
        fs::set_permissions(host.path("."), Permissions::from_mode(0o755)).expect("permissions");
        chown(&folder, Some(USER), Some(USER)).expect("an owner");
        let mut program = as_user(&["python3", "-c", ENGINE, &folder.display().to_string()]);
        let socket = folder.join("sock");
        wait_for("the socket", READY_MAX, || socket.exists() || !program.is_running());
        if !program.is_running() {
            panic!("{}", program.finish(READY_MAX));
        }
        Self { folder, _program: program }
    }

    fn socket(&self) -> String {
        self.folder.join("sock").display().to_string()
    }

    /// Has it say that a container runs.
    fn say(&self, name: &str, pid: u32, resolv_conf: &Path) {
        let answer = serde_json::json!({
            "Id": name, "Name": format!("/{name}"), "HostConfig": { "NetworkMode": "none" },
            "State": { "Status": "running", "Running": true, "Pid": pid, "StartedAt": "now" },
            "ResolvConfPath": resolv_conf,
        });
        fs::write(self.folder.join(name), answer.to_string()).expect("write a file");
    }

    /// How often it was asked for a container.
    fn asked(&self, name: &str) -> usize {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        log.matches(&format!("/containers/{name}/json")).count()
    }
}

/// Runs a command as the user.
#[track_caller]
fn as_user(command: &[&str]) -> Process {
    let user = USER.to_string();
    let mut as_user = Command::new("setpriv");
    // Root's may have folders that the user cannot read.
    as_user.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    as_user.args(["--reuid", &user, "--regid", &user, "--clear-groups"]).args(command);
    Process::spawn(as_user.stdin(Stdio::null()))
}

#[test]
fn a_socket_of_another_user_gets_no_power_over_files_and_namespaces_of_others() {
    let mut host = Host::new();
    host.up(&[]);
    let engine = Engine::start(&host);
    let socket = engine.socket();
    let attach = |name: &'static str| ["attach", "--container", name, "--engine", &socket];
    let at = |name: &str| engine.folder.join(name);
    let kept = "nameserver 192.0.2.1\n";
    for file in ["secret", "own-file"] {
        fs::write(at(file), kept).expect("write a file");
    }
    chown(at("own-file"), Some(USER), None).expect("an owner");
    symlink(at("secret"), at("link-file")).expect("a link");
    host.netns().ok(&["mkfifo", "-m", "666", &at("fifo-file").display().to_string()]);

    // A namespace of root's.
    let others = host.namespace("others");
    let foreign = others.spawn(&["sleep", "9999"]);
    engine.say("foreign", foreign.pid(), &at("own-file"));
    host.fails(&attach("foreign"), &[1], "network namespace of container foreign is not");

    // Its own namespace, and files that are not its own.
    let inside = as_user(&["unshare", "-Urn", "sleep", "9999"]);
    wait_for("a namespace of its own", READY_MAX, || {
        let command = fs::read(format!("/proc/{}/cmdline", inside.pid()));
        command.is_ok_and(|command| command.starts_with(b"sleep"))
    });
    for (name, file) in [("victim", "secret"), ("link", "link-file"), ("fifo", "fifo-file")] {
        engine.say(name, inside.pid(), &at(file));
        let is_kept = || fs::read_to_string(at("secret")).expect("a file") == kept;
        host.ok(&attach(name));
        assert!(is_kept(), "{name}");
        host.ok(&["detach", name]);
        assert!(is_kept(), "{name}");
    }
    engine.say("own", inside.pid(), &at("own-file"));
    host.ok(&attach("own"));
    assert!(fs::read_to_string(at("own-file")).expect("a file").contains("vswitch"));

    // Its container ends, and it answers like no engine: that is no word about the container.
    fs::remove_file(at("own")).expect("remove a file");
    let asked = engine.asked("own");
    drop(inside);
    wait_for("it waits", READY_MAX, || host.ls().iter().any(|it| it.state == PortState::Waiting));
    wait_for("the engine was asked again", READY_MAX, || engine.asked("own") > asked + 1);
    assert_eq!(host.ls().len(), 1);
    // The end of the switch waits for no answer, and gives the file back.
    let mut hanging = Process::spawn(&mut host.command(&attach("hang")));
    wait_for("the engine is asked, and hangs", READY_MAX, || engine.asked("hang") > 0);
    assert!(hanging.is_running());
    let begun = Instant::now();
    host.down();
    assert!(begun.elapsed() < END_MAX, "{:?}", begun.elapsed());
    assert!(!hanging.finish(READY_MAX).status.success());
    assert_eq!(fs::read_to_string(at("own-file")).expect("a file"), kept);
}
