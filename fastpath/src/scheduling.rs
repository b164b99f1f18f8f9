//! Scheduling class of worker threads.
//!
//! Workers run in `SCHED_BATCH` by default (`sched(7)`): a worker that wakes up does not take the processor
//! from the thread that woke it. So an endpoint goes on until it waits, the worker finds a batch and not one
//! frame, and shares the processors with everybody else by the usual rules.
//!
//! `SCHED_FIFO` is for machines with processors to spare for the switch alone. Where workers and endpoints
//! share processors it starves the endpoints. The kernel reserves 5 % of each processor for other threads.
//!
//! Measured: docs/performance/experiments/batch.md.

use std::fmt;
use std::io;
use std::str::FromStr;

use crate::sys::sched;

/// Class that the user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SchedulingChoice {
    /// `SCHED_BATCH`.
    #[default]
    Auto,
    /// The class that the daemon was started in, usually `SCHED_OTHER`.
    Normal,
    /// `SCHED_BATCH` or an error.
    Batch,
    /// `SCHED_FIFO` or an error.
    RealTime,
}

/// Class that the workers run in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchedulingReport {
    /// `batch`, `realtime` or `normal`.
    pub name: &'static str,
    /// Reason of the choice.
    pub reason: String,
}

const NORMAL: &str = "normal";
const BATCH: &str = "batch";
const REAL_TIME: &str = "realtime";

/// Chooses the class. Each worker then calls [`SchedulingReport::apply`].
///
/// # Errors
/// The kernel refuses [`SchedulingChoice::Batch`] or [`SchedulingChoice::RealTime`].
pub fn choose(choice: SchedulingChoice) -> io::Result<SchedulingReport> {
    let report = |name, reason| SchedulingReport { name, reason };
    let asked = || format!("asked for by --scheduling {choice}");
    match choice {
        SchedulingChoice::Normal => Ok(report(NORMAL, asked())),
        SchedulingChoice::Batch => {
            probe(sched::batch).map_err(|error| refused(&error, "a sandbox may forbid it"))?;
            Ok(report(BATCH, asked()))
        }
        SchedulingChoice::RealTime => {
            probe(sched::real_time).map_err(|error| refused(&error, "CAP_SYS_NICE is needed"))?;
            Ok(report(REAL_TIME, asked()))
        }
        SchedulingChoice::Auto => Ok(match probe(sched::batch) {
            Ok(()) => report(BATCH, "a worker that wakes up interrupts no endpoint".to_owned()),
            Err(error) => report(NORMAL, format!("the kernel refuses batch: {error}")),
        }),
    }
}

fn refused(error: &io::Error, hint: &str) -> io::Error {
    let why = format!(
        "the kernel refuses the scheduling class: {error}; {hint}, or take --scheduling normal"
    );
    io::Error::new(error.kind(), why)
}

impl SchedulingReport {
    /// Sets the class of the calling thread.
    ///
    /// # Errors
    /// From `sched_setscheduler(2)`.
    pub fn apply(&self) -> io::Result<()> {
        match self.name {
            REAL_TIME => sched::real_time(),
            BATCH => sched::batch(),
            _ => Ok(()),
        }
    }
}

/// Tries a class on a thread that ends at once.
fn probe(class: fn() -> io::Result<()>) -> io::Result<()> {
    let tried = std::thread::Builder::new().name("sched-probe".into()).spawn(class)?;
    tried.join().unwrap_or_else(|_| Err(io::Error::other("the probe panicked")))
}

impl fmt::Display for SchedulingChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Normal => NORMAL,
            Self::Batch => BATCH,
            Self::RealTime => REAL_TIME,
        })
    }
}

/// Unknown name of a scheduling class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown scheduling {0:?}: choose auto, normal, batch or realtime")]
pub struct UnknownScheduling(pub String);

impl FromStr for SchedulingChoice {
    type Err = UnknownScheduling;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Auto, Self::Normal, Self::Batch, Self::RealTime]
            .into_iter()
            .find(|choice| choice.to_string() == text)
            .ok_or_else(|| UnknownScheduling(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Class of the calling thread: `sched_getscheduler(2)`, field 41 of `proc_pid_stat(5)`.
    fn class_of_this_thread() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let after_name = stat.rsplit(')').next().unwrap();
        after_name.split_whitespace().nth(38).unwrap().parse().unwrap()
    }

    fn class_under(choice: SchedulingChoice) -> io::Result<(SchedulingReport, i32)> {
        let report = choose(choice)?;
        let apply = move || report.apply().map(|()| (report, class_of_this_thread()));
        std::thread::spawn(apply).join().unwrap()
    }

    #[test]
    fn by_default_workers_take_no_processor_from_others() {
        let (report, class) = class_under(SchedulingChoice::Auto).unwrap();
        assert_eq!((report.name, class), (BATCH, libc::SCHED_BATCH));
        let (report, class) = class_under(SchedulingChoice::Batch).unwrap();
        assert_eq!((report.name, class), (BATCH, libc::SCHED_BATCH));
        assert!(report.reason.contains("--scheduling batch"), "{report:?}");
    }

    #[test]
    fn normal_leaves_the_class_alone() {
        let before = class_of_this_thread();
        let (report, class) = class_under(SchedulingChoice::Normal).unwrap();
        assert_eq!((report.name, class), (NORMAL, before));
    }

    #[test]
    fn real_time_is_had_or_refused_with_the_reason() {
        match class_under(SchedulingChoice::RealTime) {
            Ok((report, class)) => assert_eq!(
                (report.name, class & !libc::SCHED_RESET_ON_FORK),
                (REAL_TIME, libc::SCHED_FIFO)
            ),
            Err(error) => assert!(error.to_string().contains("CAP_SYS_NICE"), "{error}"),
        }
    }

    #[test]
    fn words() {
        for choice in [
            SchedulingChoice::Auto,
            SchedulingChoice::Normal,
            SchedulingChoice::Batch,
            SchedulingChoice::RealTime,
        ] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert!("fifo".parse::<SchedulingChoice>().unwrap_err().to_string().contains("fifo"));
    }
}
