//! Errors of container engines, and of containers that cannot be attached.

use std::io;
use std::path::PathBuf;

/// An error of a container engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nobody listens at the socket.
    #[error("there is no container engine at {}: {source}", socket.display())]
    NoEngine {
        /// The socket.
        socket: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The path would be resolved against the daemon's directory.
    #[error("the socket {} of the container engine is not an absolute path", .0.display())]
    RelativeSocket(PathBuf),
    /// No answer in time.
    #[error("the container engine at {} does not answer GET {path}", socket.display())]
    Timeout {
        /// The socket.
        socket: PathBuf,
        /// The request.
        path: String,
    },
    /// An answer that is none of an engine.
    #[error("{} answers GET {path} like no container engine: {problem}", socket.display())]
    Protocol {
        /// The socket.
        socket: PathBuf,
        /// The request.
        path: String,
        /// The problem.
        problem: String,
    },
    /// The engine refuses.
    #[error("the container engine at {} refuses: {message}", socket.display())]
    Refused {
        /// The socket.
        socket: PathBuf,
        /// Its message.
        message: String,
    },
    /// The engine knows no such thing.
    #[error("the container engine at {}: {message}", socket.display())]
    NotFound {
        /// The socket.
        socket: PathBuf,
        /// Its message.
        message: String,
    },
    /// No such container.
    #[error("there is no container {name} in the engine at {}", socket.display())]
    NoContainer {
        /// The name or id.
        name: String,
        /// The socket.
        socket: PathBuf,
    },
    /// The container has no process.
    #[error("container {name} does not run: it is {status}")]
    NotRunning {
        /// Its name.
        name: String,
        /// The engine's word for its state.
        status: String,
    },
    /// The container is stopped by the freezer.
    #[error("container {0} is paused")]
    Paused(String),
    /// The container has the host's namespace.
    #[error(
        "container {0} has the network of the host (--network host), and no namespace of its own"
    )]
    HostNetwork(String),
    /// Another user's namespace.
    #[error(
        "the container engine at {} is user {uid}'s, but the network namespace of container {name} is not",
        socket.display()
    )]
    OtherUser {
        /// The socket.
        socket: PathBuf,
        /// The user whose program listens there.
        uid: u32,
        /// The container.
        name: String,
    },
    /// The container ended while it was attached.
    #[error("container {0} has just ended")]
    Ended(String),
}
