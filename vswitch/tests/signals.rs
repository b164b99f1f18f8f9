//! Signals to a program that runs a command in a sandbox, as `vswitch run` does. Needs root.
//!
//! A program of its own without the test harness: the harness has threads that the signals would kill.
//! Started with `VSWITCH_TEST_SCRIPT` it is the parent, otherwise it runs the tests below.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use common::eventually;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vswitch::isolate::{Mode, Sandbox, exit_code};

const TESTS: [(&str, fn()); 4] = [
    (
        "signals_sent_to_the_parent_reach_the_command_once",
        signals_sent_to_the_parent_reach_the_command_once,
    ),
    (
        "a_command_that_dies_of_a_signal_shows_in_the_exit_code",
        a_command_that_dies_of_a_signal_shows_in_the_exit_code,
    ),
    (
        "ctrl_c_reaches_the_command_once_and_the_parent_survives",
        ctrl_c_reaches_the_command_once_and_the_parent_survives,
    ),
    ("nohup_holds", nohup_holds),
];

fn main() {
    if let Ok(script) = std::env::var("VSWITCH_TEST_SCRIPT") {
        let sandbox = Sandbox::new(Mode::New).unwrap();
        let status = sandbox.run("sh", &[OsString::from("-c"), script.into()]).unwrap();
        std::process::exit(exit_code(status).into());
    }
    assert!(nix::unistd::geteuid().is_root(), "this test needs root");
    for (name, test) in TESTS {
        test();
        println!("test {name} ... ok");
    }
}

/// Whoever runs the tests in the background of a script ignores Ctrl-C, and so would the parent.
const NOTHING_IGNORED: &str = "--default-signal=INT,QUIT";

fn run_in_child(script: &str, wrapper: &[&str]) -> std::process::Child {
    let program = std::env::current_exe().unwrap();
    Command::new("env")
        .arg(NOTHING_IGNORED)
        .args(wrapper)
        .arg(program)
        .env("VSWITCH_TEST_SCRIPT", script)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn wait(child: &mut std::process::Child) -> ExitStatus {
    let mut ended = None;
    eventually("it ends", Duration::from_secs(10), || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    ended.unwrap()
}

fn signals_sent_to_the_parent_reach_the_command_once() {
    let directory = tempfile::tempdir().unwrap();
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
    ] {
        let log = directory.path().join(signal.as_str());
        let name = signal.as_str().trim_start_matches("SIG");
        let script = format!(
            "trap 'echo got >> {log}' {name}; echo ready >> {log}; \
             while [ $(wc -l < {log}) -lt 2 ]; do sleep 0.05; done; sleep 0.3; exit 9",
            log = log.display()
        );
        let mut child = run_in_child(&script, &[]);
        eventually("it is ready", Duration::from_secs(10), || log.exists());
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        let status = wait(&mut child);
        assert_eq!(status.code(), Some(9), "{signal}: {status:?}");
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "ready\ngot\n", "{signal}");
    }
}

fn a_command_that_dies_of_a_signal_shows_in_the_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let ready = directory.path().join("ready");
    let mut child = run_in_child(&format!("echo > {}; exec sleep 60", ready.display()), &[]);
    eventually("it is ready", Duration::from_secs(10), || ready.exists());
    std::thread::sleep(Duration::from_millis(100));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(wait(&mut child).code(), Some(143));
}

/// Ctrl-C at a terminal goes to the whole foreground process group: the command gets it once, and the
/// parent survives it.
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
    let program =
        format!("exec env {NOTHING_IGNORED} {}", std::env::current_exe().unwrap().display());
    let mut child = Command::new("script")
        .args(["-q", "-e", "-c", &program, "/dev/null"])
        .env("VSWITCH_TEST_SCRIPT", script)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("it is ready", Duration::from_secs(10), || log.exists());
    std::thread::sleep(Duration::from_millis(100));
    let mut keyboard = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut keyboard, b"\x03").unwrap();
    let status = wait(&mut child);
    assert_eq!(status.code(), Some(9), "{:?}", status.signal());
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "ready\ngot\n");
}

/// What is ignored by the caller stays ignored by the command.
fn nohup_holds() {
    let directory = tempfile::tempdir().unwrap();
    let ready = directory.path().join("ready");
    let script = format!("echo > {}; sleep 0.5; exit 3", ready.display());
    let mut child = run_in_child(&script, &["nohup"]);
    eventually("it is ready", Duration::from_secs(10), || ready.exists());
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGHUP).unwrap();
    assert_eq!(wait(&mut child).code(), Some(3));
}
