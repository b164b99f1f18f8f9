//! The sandbox of `vswitch run`: a network, a mount and a UTS namespace for one command.
//!
//! A [`Sandbox`] owns one thread, the *keeper*, which enters the namespaces and stays there:
//! `/proc/PID/task/TID/ns/net` names the network namespace as long as the sandbox lives. The keeper spawns
//! the command, which inherits its namespaces. The thread that calls [`Sandbox::run`] forwards signals and
//! waits.
//!
//! | [`Mode`] | network | `/sys`, `/etc/hosts`, `/etc/resolv.conf`, host name |
//! |---|---|---|
//! | `New` | a new namespace with `lo` up | private |
//! | `Join` | that of another container | private |
//! | `Host` | the caller's | the caller's |
//!
//! `vswitch run --network none` is `New` without an attachment. Order of calls: [`Sandbox::new`],
//! attach [`Sandbox::netns_path`] through the API, [`Sandbox::set_hosts`], [`Sandbox::set_resolv_conf`],
//! [`Sandbox::set_hostname`], [`Sandbox::run`], detach.
//!
//! Nothing is left behind, even if this process is killed: private files have no names, the command and what it has
//! started die, too (`isolate/watchdog.rs`), and the kernel removes both namespaces, mounts included, with their last
//! process.

mod files;
mod mounts;
mod resolv_conf;
mod signals;
#[cfg(test)]
mod tests;
mod watchdog;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::SigSet;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use vswitch_sys::parent_death::kill_with_parent;

use crate::host::netns_exec;
use files::PrivateFiles;
pub use resolv_conf::{DnsSettings, host_resolv_conf, resolv_conf};
use signals::Forwarding;
use watchdog::Watched;
pub use watchdog::{WATCHDOG_OPTION, watchdog};

/// Longest host name of Linux (`__NEW_UTS_LEN` in `linux/utsname.h`).
pub const HOSTNAME_BYTES_MAX: usize = 64;

/// Network of the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// A new network namespace with `lo` up.
    New,
    /// The namespace behind this path, such as another attachment's `netns_path`.
    Join(PathBuf),
    /// The caller's namespaces.
    Host,
}

/// Why a command could not be isolated or started.
#[derive(Debug, thiserror::Error)]
pub enum IsolateError {
    /// A namespace cannot be created.
    #[error("cannot create a network namespace: {0}; run as root (CAP_SYS_ADMIN is needed)")]
    Unshare(#[source] io::Error),
    /// The other namespace cannot be entered.
    #[error("cannot enter the network namespace {}: {source}", path.display())]
    Join {
        /// Its path.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The private view of the file system cannot be made.
    #[error("cannot mount {target} in the sandbox: {source}")]
    Mount {
        /// Mount point.
        target: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// A private file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// `lo` stays down.
    #[error("cannot bring lo up in the sandbox: {0}")]
    Loopback(String),
    /// The keeper did not start, or ended too early.
    #[error("cannot keep the sandbox's thread: {0}")]
    Keeper(#[source] io::Error),
    /// The command cannot be started.
    #[error("cannot run {program}: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// Signals cannot be taken over, or the command cannot be waited for.
    #[error("cannot supervise the command: {0}")]
    Supervise(#[source] io::Error),
}

impl IsolateError {
    /// Exit code, as of a shell: 127 for a command that does not exist, 126 for one that cannot be
    /// executed, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Spawn { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::Spawn { .. } => 126,
            _ => 1,
        }
    }
}

/// A command, the host name that it sees, and the signals to block once it is spawned.
#[derive(Debug)]
struct SpawnRequest {
    command: Command,
    hostname: Option<String>,
    signals: SigSet,
    is_watched: bool,
}

/// A command that runs.
#[derive(Debug)]
enum Spawned {
    /// A child of this process.
    Child(Child),
    /// That of a watchdog.
    Watched(Watched),
}

impl Spawned {
    /// Waits, and forwards signals meanwhile.
    fn supervise(self, forwarding: Forwarding) -> io::Result<ExitStatus> {
        match self {
            Self::Child(mut child) => {
                let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
                forwarding.supervise(&pidfd, || child.wait())
            }
            Self::Watched(watched) => {
                let pidfd = watched.pidfd().try_clone()?;
                forwarding.supervise(&pidfd, || watched.wait())
            }
        }
    }
}

/// Namespaces that wait for a command.
#[derive(Debug)]
pub struct Sandbox {
    netns_path: Option<PathBuf>,
    files: Option<PrivateFiles>,
    hostname: Option<String>,
    requests: Option<Sender<SpawnRequest>>,
    spawned: Receiver<io::Result<Spawned>>,
    is_watched: bool,
    keeper: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Creates or enters the namespaces. The caller's thread stays in its own.
    pub fn new(mode: Mode) -> Result<Self, IsolateError> {
        let (mut files, sources) = match mode {
            Mode::Host => (None, None),
            Mode::New | Mode::Join(_) => {
                let (files, sources) = PrivateFiles::create()?;
                (Some(files), Some(sources))
            }
        };
        let (ready, prepared) = channel();
        let (requests, inbox) = channel();
        let (outbox, spawned) = channel();
        let keeper = std::thread::Builder::new()
            .name("sandbox".into())
            .spawn(move || {
                let prepared = prepare(&mode, sources.as_ref());
                let failed = prepared.is_err();
                if ready.send(prepared).is_ok() && !failed {
                    keep(&inbox, &outbox);
                }
            })
            .map_err(IsolateError::Keeper)?;
        let netns_path = prepared.recv().map_err(|_| keeper_died())??;
        files.iter_mut().for_each(PrivateFiles::unlink);
        Ok(Self {
            netns_path,
            files,
            hostname: None,
            requests: Some(requests),
            spawned,
            is_watched: false,
            keeper: Some(keeper),
        })
    }

    /// Path of the network namespace, valid as long as this sandbox lives; none in mode `Host`.
    #[must_use]
    pub fn netns_path(&self) -> Option<&Path> {
        self.netns_path.as_deref()
    }

    /// Sets the names in the sandbox's `/etc/hosts`, one line an address, beside those of `localhost`.
    /// Does nothing in mode `Host`.
    pub fn set_hosts(&self, entries: &[(IpAddr, Vec<String>)]) -> Result<(), IsolateError> {
        self.files.as_ref().map_or(Ok(()), |files| files.set_hosts(entries))
    }

    /// Sets the text of the sandbox's `/etc/resolv.conf`. Does nothing in mode `Host`.
    pub fn set_resolv_conf(&self, text: &str) -> Result<(), IsolateError> {
        self.files.as_ref().map_or(Ok(()), |files| files.set_resolv_conf(text))
    }

    /// Sets the host name that the command sees, cut to [`HOSTNAME_BYTES_MAX`]. Does nothing in mode `Host`.
    pub fn set_hostname(&mut self, name: &str) {
        let name = name.get(..HOSTNAME_BYTES_MAX).unwrap_or(name);
        self.hostname = self.files.as_ref().map(|_| name.to_owned());
    }

    /// Gives the sandbox a watchdog, which kills all that the command has started when this process is killed: this
    /// program, which must call [`watchdog()`] when its first argument is [`WATCHDOG_OPTION`].
    pub fn set_watched(&mut self) {
        self.is_watched = true;
    }

    /// Runs a command in the sandbox with the caller's terminal, directory and environment, waits for it,
    /// and removes the sandbox. It forwards SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1 and SIGUSR2 sent to
    /// this process; the terminal's own reach the command by the process group. If this process is killed, the command
    /// is, too; all that it has started, where the sandbox [has a watchdog](Self::set_watched). See [`exit_code`].
    ///
    /// Call it while no other thread (but those of sandboxes) has these signals unblocked: such a thread
    /// would take them, with their default action.
    pub fn run(
        self,
        program: impl AsRef<OsStr>,
        args: &[OsString],
    ) -> Result<ExitStatus, IsolateError> {
        let mut command = Command::new(program.as_ref());
        command.args(args);
        let forwarding = Forwarding::start().map_err(IsolateError::Supervise)?;
        let requests = self.requests.as_ref().ok_or_else(keeper_died)?;
        let (hostname, signals) = (self.hostname.clone(), forwarding.mask());
        let request = SpawnRequest { command, hostname, signals, is_watched: self.is_watched };
        requests.send(request).map_err(|_| keeper_died())?;
        let spawned = self.spawned.recv().map_err(|_| keeper_died())?.map_err(|source| {
            IsolateError::Spawn { program: program.as_ref().to_string_lossy().into(), source }
        })?;
        spawned.supervise(forwarding).map_err(IsolateError::Supervise)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

/// Exit code of a command: its own, or 128 + the signal that ended it.
#[must_use]
pub fn exit_code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code & 0xff).unwrap_or(1)
}

fn keeper_died() -> IsolateError {
    IsolateError::Keeper(io::Error::other("its thread ended early"))
}

/// Namespaces that every sandbox has for itself: mounts, and the host name.
const PRIVATE: CloneFlags = CloneFlags::CLONE_NEWNS.union(CloneFlags::CLONE_NEWUTS);

/// Moves the keeper's thread into its namespaces; returns the path of its network namespace.
fn prepare(mode: &Mode, sources: Option<&files::Sources>) -> Result<Option<PathBuf>, IsolateError> {
    match mode {
        Mode::Host => return Ok(None),
        Mode::New => unshare(CloneFlags::CLONE_NEWNET | PRIVATE)
            .map_err(|errno| IsolateError::Unshare(errno.into()))?,
        Mode::Join(path) => {
            let join = |source: io::Error| IsolateError::Join { path: path.clone(), source };
            let netns = File::open(path).map_err(join)?;
            setns(netns, CloneFlags::CLONE_NEWNET).map_err(|errno| join(errno.into()))?;
            unshare(PRIVATE).map_err(|errno| IsolateError::Unshare(errno.into()))?;
        }
    }
    mounts::private_view(sources)?;
    if *mode == Mode::New {
        netns_exec::with_netlink(async |netlink| netlink.loopback_up().await)
            .map_err(|error| IsolateError::Loopback(error.to_string()))?
            .map_err(|error| IsolateError::Loopback(error.to_string()))?;
    }
    let tid = rustix::thread::gettid().as_raw_nonzero();
    Ok(Some(format!("/proc/{}/task/{tid}/ns/net", std::process::id()).into()))
}

/// Loop of the keeper: spawns requested commands until the sandbox is dropped.
fn keep(inbox: &Receiver<SpawnRequest>, outbox: &Sender<io::Result<Spawned>>) {
    while let Ok(SpawnRequest { mut command, hostname, signals, is_watched }) = inbox.recv() {
        if let Some(Err(error)) = hostname.map(nix::unistd::sethostname) {
            tracing::warn!(%error, "the command sees the host's own name");
        }
        // The command starts with the keeper's mask: that of the caller before `Forwarding::start`.
        let spawned = match is_watched {
            true => Watched::spawn(&command).map(Spawned::Watched),
            false => {
                kill_with_parent(&mut command);
                command.spawn().map(Spawned::Child)
            }
        };
        let _ = signals.thread_block();
        if outbox.send(spawned).is_err() {
            return;
        }
    }
}
