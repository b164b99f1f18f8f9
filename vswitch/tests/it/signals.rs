//! Signals to a program that runs a command in a sandbox, as `vswitch run` does.
//!
//! The program is this test program again, started as its test [`sandbox_process`]. The test harness
//! has threads that a signal would kill, so the process starts with the signals blocked, and only the
//! thread of the sandbox takes them.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use testkit::wait_for;
use vswitch::isolate::{Mode, Sandbox, exit_code};

const SIGNALS: [Signal; 6] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// Options of env(1). A shell script ignores Ctrl-C in its background jobs, nohup(1) ignores a hang-up, and
/// so would the tests.
const SIGNAL_STATE: [&str; 2] =
    ["--default-signal=TERM,INT,HUP,QUIT,USR1,USR2", "--block-signal=TERM,INT,HUP,QUIT,USR1,USR2"];

const SANDBOX_ARGS: [&str; 4] = ["--exact", "signals::sandbox_process", "--ignored", "--nocapture"];

#[test]
#[ignore = "the sandbox of the other tests"]
fn sandbox_process() {
    let Ok(script) = std::env::var("VSWITCH_TEST_SCRIPT") else { return };
    SIGNALS.into_iter().collect::<SigSet>().thread_unblock().unwrap();
    let sandbox = Sandbox::new(Mode::New).unwrap();
    let status = sandbox.run("sh", &[OsString::from("-c"), script.into()]).unwrap();
    std::process::exit(exit_code(status).into());
}

fn run_in_child(script: &str, wrapper: &[&str]) -> Child {
    Command::new("env")
        .args(SIGNAL_STATE)
        .args(wrapper)
        .arg(std::env::current_exe().unwrap())
        .args(SANDBOX_ARGS)
        .env("VSWITCH_TEST_SCRIPT", script)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn wait(child: &mut Child) -> ExitStatus {
    let mut ended = None;
    wait_for("it ends", Duration::from_secs(10), || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    ended.unwrap()
}

#[test]
fn signals_sent_to_the_parent_reach_the_command_once() {
    let directory = tempfile::tempdir().unwrap();
    for signal in SIGNALS {
        let log = directory.path().join(signal.as_str());
        let name = signal.as_str().trim_start_matches("SIG");
        let script = format!(
            "trap 'echo got >> {log}' {name}; echo ready >> {log}; \
             while [ $(wc -l < {log}) -lt 2 ]; do sleep 0.05; done; sleep 0.3; exit 9",
            log = log.display()
        );
        let mut child = run_in_child(&script, &[]);
        wait_for("it is ready", Duration::from_secs(10), || log.exists());
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        let status = wait(&mut child);
        assert_eq!(status.code(), Some(9), "{signal}: {status:?}");
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "ready\ngot\n", "{signal}");
    }
}

#[test]
fn a_command_that_dies_of_a_signal_shows_in_the_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let ready = directory.path().join("ready");
    let mut child = run_in_child(&format!("echo > {}; exec sleep 60", ready.display()), &[]);
    wait_for("it is ready", Duration::from_secs(10), || ready.exists());
    std::thread::sleep(Duration::from_millis(100));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(wait(&mut child).code(), Some(143));
}

/// Ctrl-C at a terminal goes to the whole foreground process group: the command gets it once, and the
/// parent survives it.
#[test]
fn ctrl_c_reaches_the_command_once_and_the_parent_survives() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let script = format!(
        "trap 'echo got >> {log}' INT; echo ready >> {log}; \
         while [ $(wc -l < {log}) -lt 2 ]; do sleep 0.05; done; sleep 0.3; exit 9",
        log = log.display()
    );
    // script(1) gives the program a terminal, and types what it reads. Without `exec` a shell that stays
    // in between (dash does, bash does not) would die of the Ctrl-C itself.
    let program = std::env::current_exe().unwrap();
    let (state, args) = (SIGNAL_STATE.join(" "), SANDBOX_ARGS.join(" "));
    let program = format!("exec env {state} {} {args}", program.display());
    let mut child = Command::new("script")
        .args(["-q", "-e", "-c", &program, "/dev/null"])
        .env("VSWITCH_TEST_SCRIPT", script)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("it is ready", Duration::from_secs(10), || log.exists());
    std::thread::sleep(Duration::from_millis(100));
    let mut keyboard = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut keyboard, b"\x03").unwrap();
    let status = wait(&mut child);
    assert_eq!(status.code(), Some(9), "{:?}", status.signal());
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "ready\ngot\n");
}

/// What is ignored by the caller stays ignored by the command.
#[test]
fn nohup_holds() {
    let directory = tempfile::tempdir().unwrap();
    let ready = directory.path().join("ready");
    let script = format!("echo > {}; sleep 0.5; exit 3", ready.display());
    let mut child = run_in_child(&script, &["nohup"]);
    wait_for("it is ready", Duration::from_secs(10), || ready.exists());
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGHUP).unwrap();
    assert_eq!(wait(&mut child).code(), Some(3));
}
