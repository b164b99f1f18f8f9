//! Which engine runs, and why.

use std::fmt;
use std::io;
use std::str::FromStr;

use crate::engine::Engine;
use crate::engine::epoll::EpollEngine;
use crate::engine::uring::UringEngine;
use crate::pool::Pool;
use crate::waker::Waker;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackendChoice {
    /// io_uring, or epoll where the kernel refuses it.
    #[default]
    Auto,
    /// io_uring or an error.
    IoUring,
    /// epoll.
    Epoll,
}

impl fmt::Display for BackendChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        })
    }
}

/// A word that is no backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown backend {0:?}: choose auto, io_uring or epoll")]
pub struct UnknownBackend(pub String);

impl FromStr for BackendChoice {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Auto, Self::IoUring, Self::Epoll]
            .into_iter()
            .find(|choice| choice.to_string() == text)
            .ok_or_else(|| UnknownBackend(text.to_owned()))
    }
}

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendReport {
    /// `io_uring` or `epoll`.
    pub name: &'static str,
    /// Why that one.
    pub reason: String,
}

/// The kernel refuses what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("the backend {backend} cannot run: {source}; try --backend {other}")]
pub struct BackendError {
    backend: &'static str,
    other: &'static str,
    source: io::Error,
}

/// Whether this kernel gives us an io_uring that the engine can use.
///
/// # Errors
/// What it refuses or lacks.
pub fn probe() -> io::Result<()> {
    UringEngine::new(&Pool::new(1)?, Waker::new()?).map(drop)
}

/// Decides which backend runs. Workers then build their engines with [`engine`].
///
/// # Errors
/// When io_uring is asked for and refused.
pub fn choose(choice: BackendChoice) -> Result<BackendReport, BackendError> {
    let report = |name, reason: String| BackendReport { name, reason };
    let asked = || format!("asked for by --backend {choice}");
    match choice {
        BackendChoice::Epoll => Ok(report("epoll", asked())),
        BackendChoice::IoUring => match probe() {
            Ok(()) => Ok(report("io_uring", asked())),
            Err(source) => Err(BackendError { backend: "io_uring", other: "epoll", source }),
        },
        BackendChoice::Auto => Ok(match probe() {
            Ok(()) => report("io_uring", "the kernel has all that is needed".to_owned()),
            Err(error) => report("epoll", format!("io_uring is refused: {error}")),
        }),
    }
}

/// An engine of the kind that was chosen, for the calling thread.
///
/// # Errors
/// What the kernel says.
pub fn engine(report: &BackendReport, pool: &Pool, waker: Waker) -> io::Result<Box<dyn Engine>> {
    Ok(match report.name {
        "io_uring" => Box::new(UringEngine::new(pool, waker)?),
        _ => Box::new(EpollEngine::new(waker)?),
    })
}
