//! Signals as a program has inherited them, for one that has its own use of them and starts another program.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};

/// The mask of this thread, and what the program does at SIGCHLD.
#[derive(Debug, Clone, Copy)]
pub struct InheritedSignals {
    mask: SigSet,
    child: SigAction,
}

impl InheritedSignals {
    /// Blocks all signals of this thread, and gives SIGCHLD its default action: where it is ignored, the kernel reaps
    /// children itself, and their ids and wait statuses are lost.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn replace() -> io::Result<Self> {
        let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: the action is no handler.
        let child = unsafe { sigaction(Signal::SIGCHLD, &default) }?;
        Ok(Self { mask, child })
    }

    /// Lets a program start with them.
    pub fn restore_in(self, command: &mut Command) {
        let restore = move || {
            // SAFETY: the former action; the program that starts replaces a handler.
            unsafe { sigaction(Signal::SIGCHLD, &self.child) }?;
            self.mask.thread_set_mask()?;
            Ok(())
        };
        // SAFETY: between fork and exec the closure makes two system calls, which are safe there (signal-safety(7)). It
        // takes no lock and allocates nothing: its errors are plain numbers.
        unsafe { command.pre_exec(restore) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mask that a program has, of `/proc/PID/status`.
    fn mask_of(command: &mut Command) -> String {
        let output = command.args(["^SigBlk", "/proc/self/status"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_program_has_the_mask_of_the_caller_and_not_the_one_between() {
        let former = mask_of(&mut Command::new("grep"));
        let signals = InheritedSignals::replace().unwrap();
        let between = mask_of(&mut Command::new("grep"));
        let mut command = Command::new("grep");
        signals.restore_in(&mut command);
        assert_eq!(mask_of(&mut command), former);
        assert_ne!(between, former, "all are blocked");
        signals.mask.thread_set_mask().unwrap();
    }
}
