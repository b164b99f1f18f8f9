//! Ends of `vswitch run`: by its terminal, by a kill, and many at once.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::{COMMAND_TIMEOUT, Process, Snapshot, wait_for};

use crate::harness::Host;

const SOON: Duration = Duration::from_secs(10);

/// Runs a command as the leader of a session with a terminal, and hangs up once a file is there: `FILE COMMAND...`.
const HANG_UP: &str = "\
import os, pty, signal, sys, time
pid, terminal = pty.fork()
if pid == 0:
    # The tests may run under nohup.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.execvp(sys.argv[2], sys.argv[2:])
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
time.sleep(0.5)
os.close(terminal)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

fn lives(pid: Pid) -> bool {
    // One that nobody has reaped yet lives no more.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|state| !state.is_empty() && !state.starts_with('Z'))
}

/// The leader alone hears of the end of its terminal; also for a command that is stopped.
#[test]
fn a_hang_up_of_the_terminal_reaches_the_command() {
    let host = Host::with_switch();
    for stop in [":", "kill -STOP $$"] {
        let (ready, heard) = (host.path("ready"), host.path("heard"));
        let script = format!(
            "trap 'touch {}; exit 5' HUP; touch {}; {stop}; while :; do sleep 0.05; done",
            heard.display(),
            ready.display()
        );
        let run = host.command(&["run", "--name", "r", "--", "sh", "-c", &script]);
        let mut command = Command::new("python3");
        command.args(["-c", HANG_UP]).arg(&ready).arg(run.get_program()).args(run.get_args());
        let output = Process::spawn(command.stdin(Stdio::null())).finish(COMMAND_TIMEOUT);
        assert_eq!(output.ok(), "5\n", "{stop}");
        assert!(heard.exists() && host.ls().is_empty(), "{stop}");
        fs::remove_file(ready).and_then(|()| fs::remove_file(heard)).expect("both are there");
    }
}

/// With all that the command has started: an orphan with a session of its own, one with namespaces of its own.
#[test]
fn a_kill_ends_the_command_and_its_attachment() {
    let host = Host::with_switch();
    let a = host.container("a");
    let before = Snapshot::take(host.netns());
    for kind in ["br0", "container:a", "host"] {
        let pids = host.path("pids");
        let _ = fs::remove_file(&pids);
        let orphan = "(env -i setsid sleep 600 & echo $! >>$0.new)";
        let further = "unshare -m -u sleep 600 & echo $! >>$0.new";
        let script = format!(
            "{orphan}; {further}; echo $$ >>$0.new; mv $0.new $0; while :; do sleep 1; done"
        );
        let file = pids.display().to_string();
        let args = ["run", "--name", "r", "--network", kind, "--", "sh", "-c", &script, &file];
        let run = Process::spawn(host.command(&args).stdin(Stdio::null()));
        wait_for("the command runs", SOON, || pids.exists());
        let started = fs::read_to_string(&pids).expect("pids");
        let started: Vec<_> =
            started.lines().map(|pid| Pid::from_raw(pid.parse().expect("a pid"))).collect();
        assert!(started.iter().all(|pid| lives(*pid)), "{kind}: {started:?}");
        // Another's, that only shares the network.
        let command = started.last().expect("the command").to_string();
        let enter = ["-t", &command, "-n", "sleep", "600"];
        let joined = match kind {
            "host" => None,
            _ => Some(Process::spawn(Command::new("nsenter").args(enter).stdin(Stdio::null()))),
        };
        if let Some(joined) = &joined {
            let netns = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
            wait_for("it has joined", SOON, || netns(&joined.pid().to_string()) == netns(&command));
        }
        // Itself alone, not its group.
        let pid = i32::try_from(run.pid()).expect("a pid");
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs");
        wait_for(kind, SOON, || !started.iter().any(|pid| lives(*pid)));
        if let Some(joined) = joined {
            let pid = i32::try_from(joined.pid()).expect("a pid");
            assert!(lives(Pid::from_raw(pid)), "{kind}: it only shares the network");
        }
        wait_for("its port goes", SOON, || host.ls().len() == 1);
        a.ok(&["true"]);
    }
    before.assert_same(&Snapshot::take(host.netns()));
}

/// What a command leaves in the background stays, as without `run`.
#[test]
fn many_short_commands_end_in_silence() {
    let host = Host::with_switch();
    let runs: Vec<_> = (0..48)
        .map(|_| {
            let mut command = host.command(&["run", "--", "true"]);
            Process::spawn(command.stdin(Stdio::null()))
        })
        .collect();
    for run in runs {
        let output = run.finish(Duration::from_secs(60));
        assert_eq!(output.code(), 0, "{output}");
        let said: Vec<_> =
            output.stderr.lines().filter(|line| !line.starts_with("attached as")).collect();
        assert!(said.is_empty(), "{said:?}");
    }
    let leave = "setsid sleep 600 >/dev/null 2>&1 </dev/null & echo $!";
    let left = host.ok(&["run", "--", "sh", "-c", leave]);
    let left = Pid::from_raw(left.trim().parse().expect("a pid"));
    assert!(lives(left), "it is left in the background");
    kill(left, Signal::SIGKILL).expect("it runs");
    assert!(host.ls().is_empty(), "{:?}", host.ls());
    assert!(!host.log().contains("WARN") && !host.log().contains("ERROR"), "{}", host.log());
}
