//! Completion in real shells, which ask a real daemon.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::{Output, run};

use crate::harness::Host;

/// Types a line into an interactive shell on a terminal, as `SHELL SETUP LINE`; prints what it shows.
const TYPE: &str = r#"
import os, pty, select, sys, time
shell, setup, line = sys.argv[1].split(), sys.argv[2], sys.argv[3].replace('\\t', '\t')
pid, fd = pty.fork()
if pid == 0:
    os.execvp(shell[0], shell)
seen = b''
def until(word, limit):
    global seen
    end, seen = time.monotonic() + limit, b''
    while word not in seen and time.monotonic() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try: seen += os.read(fd, 65536)
            except OSError: return
os.write(fd, (setup + '; echo ready$((40 + 2))\n').encode())
until(b'ready42', 15)
for key in line:
    for _ in range(5):
        os.write(fd, key.encode())
        time.sleep(0.005)
        if key != '\t': break
        # Again if it beeps: on a busy machine the daemon may not have answered in time.
        until(b'\a', 1.5)
        if b'\a' not in seen: break
os.write(fd, b'\n')
os.write(fd, b'echo done$((40 + 2))\n')
until(b'done42', 10)
sys.stdout.buffer.write(seen)
"#;

/// A switch with three containers, and a folder for PATH with `vswitch` in it.
fn scene() -> (Host, Vec<crate::harness::Container>, PathBuf) {
    let host = Host::with_switch();
    let containers = vec![
        host.container_with("web-1", &["-p", "8080:80", "-p", "8443:443"]),
        host.container("web-2"),
        host.container("database"),
    ];
    let bin = host.path("bin");
    std::fs::create_dir(&bin).expect("a folder");
    std::os::unix::fs::symlink(host.program(), bin.join("vswitch")).expect("a link");
    (host, containers, bin)
}

/// Runs a program with `vswitch` in its PATH, in a folder with files that nobody asks for.
fn shell(host: &Host, bin: &Path, args: &[&str]) -> Output {
    let folder = host.path("folder");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("web-file"), "").expect("a file");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(args[0]);
    command.args(&args[1..]).current_dir(folder).env("PATH", path).env("TERM", "xterm");
    command.env("HOME", bin).env_remove("VSWITCH_SOCKET");
    run(&mut command, b"", Duration::from_secs(60))
}

/// What bash offers for a line.
fn bash(host: &Host, bin: &Path, line: &str) -> Vec<String> {
    let socket = host.path("sock").display().to_string();
    let script = r#"
        source <(vswitch completions bash)
        COMP_LINE=$1 COMP_POINT=${#1}
        # Bash gives the function the current word after the last of its own word breaks.
        word=${1##*[[:space:]:=]}
        _vswitch vswitch "$word" previous
        ((${#COMPREPLY[@]})) && printf '%s\n' "${COMPREPLY[@]}"
        exit 0
    "#;
    let line = line.replace("SOCKET", &socket);
    let output = shell(host, bin, &["bash", "-c", script, "bash", &line]);
    output.ok().lines().map(str::to_owned).collect()
}

#[test]
fn bash_knows_names_ports_and_values() {
    let (host, _containers, bin) = scene();
    let bash = |line: &str| bash(&host, &bin, line);
    assert_eq!(bash("vswitch --socket SOCKET detach w"), ["web-1", "web-2"]);
    assert_eq!(bash("vswitch --socket SOCKET inspect d"), ["database"]);
    assert_eq!(bash("sudo vswitch --socket SOCKET detach d"), ["database"]);
    assert_eq!(bash("vswitch --socket SOCKET network inspect b"), ["br0"]);
    assert_eq!(bash("vswitch --socket SOCKET attach --network b"), ["br0"]);
    assert_eq!(bash("vswitch --socket SOCKET fdb --port data"), ["database"]);
    assert_eq!(bash("vswitch --socket SOCKET port show b"), ["br0"]);
    // Words with a colon, which bash cuts.
    let published = bash("vswitch --socket SOCKET unpublish web-1 ");
    assert!(published.contains(&"8080:80/tcp".to_owned()), "{published:?}");
    assert_eq!(bash("vswitch --socket SOCKET unpublish web-1 8080:"), ["80/tcp"]);
    assert_eq!(bash("vswitch --socket SOCKET run --network container:d"), ["database"]);
    assert_eq!(bash("vswitch --socket SOCKET ls --filter name=web-2"), ["web-2"]);
    assert_eq!(bash("vswitch --socket SOCKET ls -o w"), ["wide"]);
    assert_eq!(bash("vswitch up --idle s"), ["spin", "sleep"]);
    assert_eq!(bash("vswitch up --uplink k"), ["kernel"]);
    assert_eq!(bash("vswitch netw"), ["network"]);
    // Other names of a command are offered where nothing else begins so.
    assert_eq!(bash("vswitch l"), ["ls", "logs"]);
    assert_eq!(bash("vswitch li"), ["list"]);
    assert_eq!(bash("vswitch network r"), ["rm"]);
}

#[test]
fn bash_knows_words_columns_and_programs() {
    let (host, _containers, bin) = scene();
    let bash = |line: &str| bash(&host, &bin, line);
    assert_eq!(bash("vswitch ls --filter state="), ["up", "loop-blocked", "waiting", "fault"]);
    assert_eq!(bash("vswitch network ls --filter dangling=t"), ["true"]);
    assert_eq!(bash("vswitch ls -o columns=name,ip"), ["name,ipv4", "name,ipv6"]);
    assert_eq!(bash("vswitch attach --configure s"), ["static"]);
    assert_eq!(bash("vswitch man network pr"), ["prune"]);
    assert_eq!(bash("vswitch man att"), ["attach"]);
    assert_eq!(bash("vswitch --socket SOCKET dns query data"), ["database"]);
    assert_eq!(bash("vswitch dns query a --type M"), ["MX"]);
    assert_eq!(bash("vswitch --socket SOCKET port show web-1@"), ["web-1@br0"]);
    assert_eq!(bash("vswitch --socket SOCKET run --network name=b"), ["br0"]);
    let macs = bash("vswitch --socket SOCKET fdb del ");
    assert!(macs.iter().any(|mac| mac.matches(':').count() == 5), "{macs:?}");
    // A program first, and then its files.
    assert_eq!(bash("vswitch run -- vswi"), ["vswitch"]);
    assert_eq!(bash("vswitch run -- cat web-f"), ["web-file"]);
}

#[test]
fn no_files_where_a_name_is_wanted_even_without_a_daemon() {
    let (mut host, _containers, bin) = scene();
    assert!(!bash(&host, &bin, "vswitch --socket SOCKET detach ").contains(&"web-file".into()));
    host.down();
    let offered = bash(&host, &bin, "vswitch --socket SOCKET inspect ");
    assert!(offered.iter().all(|word| word.starts_with('-')), "{offered:?}");
    assert_eq!(bash(&host, &bin, "vswitch --socket SOCKET inspect w"), [""; 0]);
}

#[test]
fn namespaces_are_offered_by_name() {
    let (host, containers, bin) = scene();
    let name = containers[0].name();
    let offered = bash(&host, &bin, &format!("vswitch attach --netns {name}"));
    assert_eq!(offered, [name]);
    assert_eq!(bash(&host, &bin, "vswitch attach --netns /proc/self/ns/ne"), ["/proc/self/ns/net"]);
}

/// On a terminal, by the key that people press.
fn typed(host: &Host, bin: &Path, shell_line: &str, setup: &str) -> String {
    let line = format!("vswitch --socket {} inspect data\\t", host.path("sock").display());
    shell(host, bin, &["python3", "-c", TYPE, shell_line, setup, &line]).ok()
}

#[test]
fn bash_on_a_terminal() {
    let (host, containers, bin) = scene();
    let setup = "source <(vswitch completions bash)";
    let shown = typed(&host, &bin, "bash --norc --noprofile -i", setup);
    assert!(shown.contains(&containers[2].detail().port.mac.to_string()), "{shown}");
}

#[test]
fn zsh_on_a_terminal() {
    let (host, containers, bin) = scene();
    let setup = "autoload -Uz compinit && compinit -u -D; source <(vswitch completions zsh)";
    let shown = typed(&host, &bin, "zsh -f -i", setup);
    assert!(shown.contains(&containers[2].detail().port.mac.to_string()), "{shown}");
}

/// As installed: the file is read with the first completion, and answers it.
#[test]
fn zsh_by_a_file() {
    let (host, containers, bin) = scene();
    let setup = "mkdir $HOME/functions; vswitch completions zsh > $HOME/functions/_vswitch; \
        fpath=($HOME/functions $fpath); autoload -Uz compinit && compinit -u -D";
    let shown = typed(&host, &bin, "zsh -f -i", setup);
    assert!(shown.contains(&containers[2].detail().port.mac.to_string()), "{shown}");
}

#[test]
fn fish_offers_names() {
    let (host, _containers, bin) = scene();
    let line = format!("vswitch --socket {} detach w", host.path("sock").display());
    let script = format!("vswitch completions fish | source; complete -C {line:?}");
    let offered = shell(&host, &bin, &["fish", "--no-config", "-c", &script]).ok();
    let names: Vec<_> = offered.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(names, ["web-1", "web-2"], "{offered}");
}
