//! Scheduling class of worker threads.
//!
//! Containers wait while a worker waits for a processor. So workers run in `SCHED_FIFO` by default, if
//! one processor stays without a worker and workers sleep when idle (not `--idle spin`). The kernel
//! reserves 5 % of each processor for other threads (`sched(7)`).
//!
//! Measured: docs/performance/experiments/fifo.md.

use std::fmt;
use std::io;
use std::str::FromStr;

use crate::idle::IdlePolicy;
use crate::sys::sched;

/// Class that the user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SchedulingChoice {
    /// Real-time if allowed and harmless to other threads, else normal.
    #[default]
    Auto,
    /// `SCHED_OTHER`.
    Normal,
    /// `SCHED_FIFO` or an error.
    RealTime,
}

/// Class that the workers run in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchedulingReport {
    /// `realtime` or `normal`.
    pub name: &'static str,
    /// Reason of the choice.
    pub reason: String,
}

const NORMAL: &str = "normal";
const REAL_TIME: &str = "realtime";

/// Chooses the class. Each worker then calls [`SchedulingReport::apply`].
///
/// # Errors
/// The kernel refuses [`SchedulingChoice::RealTime`].
pub fn choose(
    choice: SchedulingChoice,
    idle: IdlePolicy,
    workers: usize,
    processors: usize,
) -> io::Result<SchedulingReport> {
    let normal = |reason: String| Ok(SchedulingReport { name: NORMAL, reason });
    match choice {
        SchedulingChoice::Normal => normal("asked for by --scheduling normal".to_owned()),
        SchedulingChoice::RealTime => {
            probe().map_err(|error| {
                let why = format!(
                    "the kernel refuses real-time scheduling: {error}; CAP_SYS_NICE is needed, or \
                     take --scheduling normal"
                );
                io::Error::new(error.kind(), why)
            })?;
            let reason = "asked for by --scheduling realtime".to_owned();
            Ok(SchedulingReport { name: REAL_TIME, reason })
        }
        SchedulingChoice::Auto if processors <= workers => normal(format!(
            "{workers} workers on {processors} processors: none is left for other threads"
        )),
        SchedulingChoice::Auto if idle == IdlePolicy::Spin => {
            normal("a spinning worker never leaves its processor".to_owned())
        }
        SchedulingChoice::Auto => match probe() {
            Err(error) => normal(format!("the kernel refuses real-time scheduling: {error}")),
            Ok(()) => {
                let reason = "there are more processors than workers".to_owned();
                Ok(SchedulingReport { name: REAL_TIME, reason })
            }
        },
    }
}

impl SchedulingReport {
    /// Sets the class of the calling thread.
    ///
    /// # Errors
    /// From `sched_setscheduler(2)`.
    pub fn apply(&self) -> io::Result<()> {
        if self.name == REAL_TIME { sched::real_time() } else { Ok(()) }
    }
}

/// Probes real-time scheduling on a thread that ends at once.
fn probe() -> io::Result<()> {
    let tried = std::thread::Builder::new().name("sched-probe".into()).spawn(sched::real_time)?;
    tried.join().unwrap_or_else(|_| Err(io::Error::other("the probe panicked")))
}

impl fmt::Display for SchedulingChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Normal => NORMAL,
            Self::RealTime => REAL_TIME,
        })
    }
}

/// Unknown name of a scheduling class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown scheduling {0:?}: choose auto, normal or realtime")]
pub struct UnknownScheduling(pub String);

impl FromStr for SchedulingChoice {
    type Err = UnknownScheduling;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Auto, Self::Normal, Self::RealTime]
            .into_iter()
            .find(|choice| choice.to_string() == text)
            .ok_or_else(|| UnknownScheduling(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(idle: IdlePolicy, workers: usize, processors: usize) -> SchedulingReport {
        choose(SchedulingChoice::Auto, idle, workers, processors).unwrap()
    }

    #[test]
    fn nobody_is_starved_unasked() {
        assert_eq!(auto(IdlePolicy::Adaptive, 1, 1).name, NORMAL);
        assert_eq!(auto(IdlePolicy::Adaptive, 2, 2).name, NORMAL);
        assert_eq!(auto(IdlePolicy::Spin, 1, 8).name, NORMAL);
    }

    #[test]
    fn who_may_gets_it_and_who_may_not_is_told() {
        let report = auto(IdlePolicy::Adaptive, 1, 2);
        match std::thread::spawn(sched::real_time).join().unwrap() {
            Ok(()) => assert_eq!(report.name, REAL_TIME),
            Err(error) => assert!(report.reason.contains(&error.to_string()), "{report:?}"),
        }
        let asked = choose(SchedulingChoice::Normal, IdlePolicy::Adaptive, 1, 2).unwrap();
        assert_eq!(asked.name, NORMAL);
        assert!(asked.apply().is_ok());
    }

    #[test]
    fn words() {
        for choice in [SchedulingChoice::Auto, SchedulingChoice::Normal, SchedulingChoice::RealTime]
        {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert!("fifo".parse::<SchedulingChoice>().unwrap_err().to_string().contains("fifo"));
    }
}
