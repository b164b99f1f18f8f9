//! Choice of the packet I/O engine.

use std::fmt;
use std::io;
use std::str::FromStr;

use crate::engine::Engine;
use crate::engine::epoll::EpollEngine;
use crate::engine::uring::UringEngine;
use crate::pool::Pool;
use crate::waker::Waker;

/// Backend that the user asks for.
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

/// Unknown name of a backend.
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

/// Backend that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendReport {
    /// `io_uring` or `epoll`.
    pub name: &'static str,
    /// Reason of the choice.
    pub reason: String,
}

/// The kernel refuses the backend.
#[derive(Debug, thiserror::Error)]
#[error("backend {backend} cannot run: {source}; try --backend {other}")]
pub struct BackendError {
    backend: &'static str,
    other: &'static str,
    source: io::Error,
}

/// Probes io_uring with all features that the engine needs.
///
/// # Errors
/// From `io_uring_setup(2)` and the registrations after it.
pub fn probe() -> io::Result<()> {
    UringEngine::new(&Pool::new(1)?, Waker::new()?).map(drop)
}

/// Chooses the backend. Workers then build their engines with [`engine`].
///
/// # Errors
/// The kernel refuses io_uring, and the user asks for nothing else.
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

/// Builds an engine for the calling thread.
///
/// # Errors
/// From `io_uring_setup(2)` or `epoll_create1(2)`.
pub fn engine(report: &BackendReport, pool: &Pool, waker: Waker) -> io::Result<Box<dyn Engine>> {
    Ok(match report.name {
        "io_uring" => Box::new(UringEngine::new(pool, waker)?),
        _ => Box::new(EpollEngine::new(waker)?),
    })
}
