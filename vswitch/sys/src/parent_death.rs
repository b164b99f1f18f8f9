//! A program that dies with the thread that has started it (`PR_SET_PDEATHSIG` of prctl(2)).

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// Lets the kernel kill the program when the thread that spawns it ends. Its own children do not inherit that, and a
/// set-user-ID program loses it.
pub fn kill_with_parent(command: &mut Command) {
    let parent = Pid::from_raw(std::process::id().cast_signed());
    let arm = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have ended before the call.
        match getppid() == parent {
            true => Ok(()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    };
    // SAFETY: between fork and exec the closure makes two system calls, which are safe there (signal-safety(7)). It
    // takes no lock and allocates nothing: both of its errors are plain numbers.
    unsafe { command.pre_exec(arm) };
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_program_ends_with_the_thread_that_has_started_it() {
        let spawn = || {
            let mut command = Command::new("sleep");
            kill_with_parent(&mut command);
            command.arg("60").stdin(Stdio::null()).spawn().unwrap()
        };
        let mut child = std::thread::spawn(spawn).join().unwrap();
        let status = child.wait().unwrap();
        assert!(status.code().is_none(), "{status}");
    }
}
