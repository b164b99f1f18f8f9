//! Processes that do not run for a while.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{READY_MAX, wait_for};

/// Stops a process. No thread of it runs when this returns: on a busy host some run on for milliseconds after the signal.
#[track_caller]
pub fn freeze(pid: u32) {
    signal(pid, Signal::SIGSTOP);
    wait_for(&format!("{pid} has stopped"), READY_MAX, || has_stopped(pid));
}

/// Lets it go on.
#[track_caller]
pub fn thaw(pid: u32) {
    signal(pid, Signal::SIGCONT);
}

#[track_caller]
fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.cast_signed()), signal).unwrap_or_else(|e| panic!("kill {pid}: {e}"));
}

/// Whether all threads have: proc_pid_stat(5), the state after the name in brackets.
fn has_stopped(pid: u32) -> bool {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
    let stats =
        tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    stats
        .into_iter()
        .all(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::Process;

    #[test]
    fn a_process_of_several_threads_stops_and_goes_on() {
        let script = "import threading\ndef work():\n    while True: pass\n\
            for _ in range(4): threading.Thread(target=work).start()";
        let mut command = Command::new("python3");
        let process = Process::spawn(command.args(["-c", script]).stdin(Stdio::null()));
        let (pid, task) = (process.pid(), format!("/proc/{}/task", process.pid()));
        wait_for("it has threads", READY_MAX, || {
            fs::read_dir(&task).is_ok_and(|tasks| tasks.count() == 5)
        });
        assert!(!has_stopped(pid));
        freeze(pid);
        assert!(has_stopped(pid));
        thaw(pid);
        wait_for("it goes on", READY_MAX, || !has_stopped(pid));
    }
}
