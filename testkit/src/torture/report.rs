//! What an end of a run tells: a line for each fault, in a file that both ends append to.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fault::Fault;
use super::shape::End;
use super::waits::Waits;

/// Faults after which an end makes no more connections: each may cost the time limit of a stuck one.
const FAULTS_MAX: u64 = 60;

/// Lines of faults that are written, at most.
const LINES_MAX: u64 = 200;

/// Characters of such a line: the phases of a plan may be many.
const LINE_MAX: usize = 900;

/// The faults of one end, and how many of its connections had none.
#[derive(Debug)]
pub(super) struct Report {
    own: End,
    file: Mutex<File>,
    right: AtomicU64,
    wrong: AtomicU64,
}

impl Report {
    pub(super) fn new(own: End, path: &Path) -> std::io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        let (right, wrong) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { own, file: Mutex::new(file), right, wrong })
    }

    /// Counts a connection.
    pub(super) fn add(&self, result: Result<(), Fault>, what: impl FnOnce() -> String) {
        let Err(fault) = result else {
            self.right.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if self.wrong.fetch_add(1, Ordering::Relaxed) < LINES_MAX {
            let line: String = format!("{fault}; {:?} of {}", self.own, what());
            self.write(&line.chars().take(LINE_MAX).collect::<String>());
        }
    }

    /// Whether so much went wrong that more would tell nothing new.
    pub(super) fn is_enough(&self) -> bool {
        self.wrong.load(Ordering::Relaxed) >= FAULTS_MAX
    }

    /// Writes the counts, and how long readers waited.
    pub(super) fn close(&self, waits: &Waits) {
        let (right, wrong) =
            (self.right.load(Ordering::Relaxed), self.wrong.load(Ordering::Relaxed));
        self.write(&format!("{:?} right {right} wrong {wrong}", self.own));
        self.write(&format!("{:?} waits {}", self.own, waits.words()));
    }

    fn write(&self, line: &str) {
        let mut file = self.file.lock().expect("no thread panics");
        // One write, so that lines of both ends do not mix.
        let _ = file.write_all(format!("{line}\n").as_bytes());
    }
}
