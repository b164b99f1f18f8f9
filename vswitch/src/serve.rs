//! The daemon's life from start to end.

mod signals;

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use vswitch_api::container::DOCKER_SOCKET;
use vswitch_api::status::Backend;

use crate::config::{Config, SocketPath};
use crate::control::{Control, ControlError, Progress, ReplayReport, Reporter, StoredState};
use crate::docker;
use crate::host::{StateNote, plugin_note};
use crate::limits;
use crate::server::{self, MetricsError, Presence, Socket, SocketError, metrics};
use signals::Signals;

/// `CAP_NET_ADMIN` and `CAP_SYS_ADMIN` of capabilities(7).
const CAPABILITIES: [(&str, u32); 2] = [("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21)];

/// Time between two reports of the start's progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// The report of a daemon that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The device of the host port.
    pub bridge: String,
    /// The host's addresses on the first network.
    pub gateways: Vec<IpAddr>,
    /// Where the API is served.
    pub socket: PathBuf,
    /// The backend of packet I/O.
    pub backend: Backend,
    /// The reason for that backend.
    pub backend_reason: String,
    /// Number of workers.
    pub workers: usize,
    /// Stored attachments that work again.
    pub attached: usize,
    /// Stored attachments that wait for their containers.
    pub waiting: usize,
    /// Stored attachments that live and fail; they are tried again.
    pub kept: usize,
    /// Stored attachments that were dropped, since their namespace is gone.
    pub dropped: usize,
    /// The copy of the stored state, where that has records which make no sense now.
    pub backup: Option<PathBuf>,
}

/// What the daemon says of its life.
#[derive(Debug, Clone, Copy)]
pub enum Stage<'a> {
    /// It attaches the stored endpoints.
    Starting {
        /// The longest time of that.
        within: Duration,
    },
    /// The start gets on.
    Progress {
        /// How far it is.
        progress: &'a Progress,
        /// The longest time for the rest.
        within: Duration,
    },
    /// It works, and the API answers.
    Ready(&'a Ready),
    /// It restores the host, then ends.
    Ending {
        /// The longest time of its workers for that.
        within: Duration,
    },
}

/// An error at start, or of a worker. Each is one line with a remedy.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The process lacks a capability.
    #[error("{0} is missing: run as root, or give the process that capability")]
    Privilege(&'static str),
    /// The runtime or its signals fail.
    #[error("cannot start the daemon: {0}")]
    Runtime(#[source] io::Error),
    /// The API cannot be served.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// Metrics cannot be served.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The switch cannot start.
    #[error("{}", with_hint(.0))]
    Control(#[from] ControlError),
    /// A worker failed.
    #[error("worker {worker} failed: {error}; the host is restored, start again with `vswitch up`")]
    Worker {
        /// Number of the worker.
        worker: usize,
        /// Its error.
        error: String,
    },
    /// The workers ended by themselves.
    #[error("the workers ended unasked; the host is restored, start again with `vswitch up`")]
    WorkersEnded,
}

fn with_hint(error: &ControlError) -> String {
    let error = server::api_error(error);
    match error.hint {
        Some(hint) => format!("{}; {hint}", error.message),
        None => error.message,
    }
}

/// Runs the daemon until `POST /v1/shutdown`, or a signal such as SIGTERM or SIGINT; then restores the host. Signals
/// of users, such as SIGUSR1, change nothing. `told` is called with each [`Stage`].
///
/// The document stays: the next start attaches endpoints again whose namespace lives.
///
/// # Errors
/// When it cannot start, with nothing left behind, or when a worker fails.
pub fn serve(config: Config, told: impl FnMut(Stage<'_>)) -> Result<(), ServeError> {
    check_privilege()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    runtime.block_on(run(config, told))
}

async fn run(config: Config, mut told: impl FnMut(Stage<'_>)) -> Result<(), ServeError> {
    let mut signals = Signals::install().map_err(ServeError::Runtime)?;
    let kept = tokio::select! {
        opened = open_state(&config) => opened?,
        () = signals.recv() => return Ok(()),
    };
    // Early clients wait in the socket's queue.
    let socket = Socket::bind(config.socket.path()).await?;
    // Requests of Docker wait, too, until the switch knows its networks again.
    let plugin = bind_plugin(&config).await?;
    let note = StateNote::write(config.socket.path(), config.state_dir.path());
    let note = note.inspect_err(|error| {
        tracing::warn!(%error, "`down` after a crash will need --state-dir");
    });
    let metrics = match config.metrics {
        Some(address) => Some(metrics::bind(address.get()).await?),
        None => None,
    };
    let within = kept.replay_time_max();
    told(Stage::Starting { within });
    let (reporter, mut progress) = Reporter::new();
    let (control, mut events, replayed) = {
        let mut started = std::pin::pin!(Control::start(&config, kept, reporter));
        loop {
            tokio::select! {
                started = &mut started => break started?,
                () = signals.recv() => return Ok(()),
                Ok(()) = progress.changed() => {
                    told(Stage::Progress { progress: &progress.borrow_and_update(), within });
                    // Those who wait want to see it, not to follow each step.
                    let pause = tokio::time::sleep(PROGRESS_INTERVAL);
                    tokio::select! {
                        started = &mut started => break started?,
                        () = signals.recv() => return Ok(()),
                        () = pause => {}
                    }
                }
            }
        }
    };
    let (stop, stopped) = watch::channel(false);
    let ended = {
        tracing::debug!(limits = %limits::summary(), "see `vswitch status --limits`");
        let mut server = std::pin::pin!(async {
            let metrics = metrics::run(metrics, control.clone(), stopped.clone());
            let api = config.docker_api.as_ref().map_or(Path::new(DOCKER_SOCKET), SocketPath::path);
            let plugin = docker::run(plugin.as_ref(), control.clone(), api, stopped.clone());
            tokio::join!(server::run(&socket, control.clone(), stopped), metrics, plugin);
        });
        told(Stage::Ready(&ready_report(&config, &control, replayed).await));
        let ended = tokio::select! {
            () = &mut server => Ok(()),
            () = signals.recv() => Ok(()),
            never = keep_note(&socket, note.as_ref().ok(), &config) => match never {},
            () = control.shutdown_requested() => Ok(()),
            failed = control.handle_events(&mut events) => match failed {
                Some((worker, error)) => Err(ServeError::Worker { worker, error }),
                // The request to end comes only below.
                None => Err(ServeError::WorkersEnded),
            },
        };
        control.close_feed();
        let _ = stop.send(true);
        server.await;
        ended
    };
    tracing::info!("shutting down");
    told(Stage::Ending { within: control.end_time_max() });
    control.end().await;
    match note {
        // `down` finds what stays by it.
        Ok(note) if control.has_cut_through_left() => note.keep(),
        note => drop(note),
    }
    drop(plugin);
    plugin_note::remove(config.state_dir.path());
    // The socket's file goes last, so that its removal means that the host is restored.
    drop(socket);
    ended
}

/// Refuses a second daemon before it changes anything, and waits for one that is dying.
async fn open_state(config: &Config) -> Result<StoredState, ServeError> {
    server::probe(config.socket.path()).await?;
    Ok(StoredState::open(config.state_dir.path()).await?)
}

/// Writes the note again when the socket's folder was removed, too.
async fn keep_note(socket: &Socket, note: Option<&StateNote>, config: &Config) -> Infallible {
    loop {
        socket.restored().await;
        if let Some(Err(error)) = note.map(|note| note.rewrite(config.state_dir.path())) {
            tracing::warn!(%error, "`down` after a crash will need --state-dir");
        }
    }
}

/// The socket of Docker's plugin. That of a killed daemon goes, wherever it is.
async fn bind_plugin(config: &Config) -> Result<Option<Socket>, SocketError> {
    let (state_dir, wanted) = (config.state_dir.path(), config.docker_plugin.as_ref());
    if let Some(former) = plugin_note::read(state_dir)
        && let Ok(Presence::Stale) = server::probe(&former).await
    {
        let _ = std::fs::remove_file(former);
    }
    plugin_note::remove(state_dir);
    let Some(path) = wanted else { return Ok(None) };
    let socket = Socket::bind(path.path()).await.map_err(SocketError::of_plugin)?;
    if let Err(error) = plugin_note::write(state_dir, path.path()) {
        tracing::warn!(%error, "`down` after a crash will leave the socket of Docker's plugin");
    }
    Ok(Some(socket))
}

async fn ready_report(config: &Config, control: &Control, replayed: ReplayReport) -> Ready {
    let status = control.status().await;
    let gateways = control.first_network().map(|network| network.gateways);
    Ready {
        bridge: status.bridge,
        gateways: gateways.unwrap_or_default(),
        socket: config.socket_path(),
        backend: status.backend,
        backend_reason: status.backend_reason,
        workers: status.workers,
        attached: replayed.attached,
        waiting: replayed.waiting,
        kept: replayed.kept,
        dropped: replayed.dropped,
        backup: replayed.backup,
    }
}

fn check_privilege() -> Result<(), ServeError> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    match missing_capability(&status) {
        Some(name) => Err(ServeError::Privilege(name)),
        None => Ok(()),
    }
}

/// The first capability that a process with this `/proc/PID/status` lacks.
fn missing_capability(status: &str) -> Option<&'static str> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let mask = u64::from_str_radix(effective.trim(), 16).ok()?;
    CAPABILITIES.iter().find(|(_, bit)| mask & (1 << bit) == 0).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::missing_capability;

    #[test]
    fn names_the_capability_that_is_missing() {
        let status = |mask: &str| format!("Name:\tx\nCapEff:\t{mask}\nCapBnd:\t0\n");
        assert_eq!(missing_capability(&status("000001ffffffffff")), None);
        assert_eq!(missing_capability(&status("0000000000000000")), Some("CAP_NET_ADMIN"));
        assert_eq!(missing_capability(&status("0000000000001000")), Some("CAP_SYS_ADMIN"));
        assert_eq!(missing_capability(&status("0000000000201000")), None);
    }
}
