//! Signals to threads that wait: calls that are interrupted start again (`SA_RESTART`), and nobody sees them.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::Signal;
use signal_hook::consts::SIGUSR1;

use super::rng::Rng;

/// Time between two signals of a process.
const EVERY: Duration = Duration::from_micros(400);

/// The threads of a process that get signals.
#[derive(Debug, Default)]
pub(super) struct Signals(Mutex<Vec<Pthread>>);

/// The calling thread gets signals as long as it has this.
#[derive(Debug)]
pub(super) struct Target<'a>(&'a Signals);

impl Signals {
    /// Sends signals for ever.
    pub(super) fn run(&self, seed: u64) -> std::io::Result<()> {
        // The flag has no use, its handler has.
        signal_hook::flag::register(SIGUSR1, Arc::new(AtomicBool::new(false)))?;
        let rng = &mut Rng::new(seed);
        loop {
            std::thread::sleep(EVERY);
            // Locked, so that the thread does not end meanwhile.
            let threads = self.0.lock().expect("no thread panics");
            if !threads.is_empty() {
                pthread_kill(rng.pick(&threads), Signal::SIGUSR1)?;
            }
        }
    }

    pub(super) fn target(&self) -> Target<'_> {
        self.0.lock().expect("no thread panics").push(pthread_self());
        Target(self)
    }
}

impl Drop for Target<'_> {
    fn drop(&mut self) {
        let own = pthread_self();
        self.0.0.lock().expect("no thread panics").retain(|thread| *thread != own);
    }
}
