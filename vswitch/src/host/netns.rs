//! Network namespaces: their paths and identity.
//!
//! Inode (`/proc/PID/ns/net` on nsfs) and cookie ([`netns_exec::cookie`](super::netns_exec::cookie)) identify a
//! namespace within one boot of the host. Its paths come and go with its processes.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use vswitch_api::port::NetnsRef;

/// `NSFS_MAGIC` of `linux/magic.h`.
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// Where `ip netns` keeps names.
const NAMES: &str = "/run/netns";

/// An error of a namespace.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// No process has this id.
    #[error("there is no process {0}")]
    NoProcess(u32),
    /// `ip netns` has no such name.
    #[error("there is no network namespace named {0}")]
    NoName(String),
    /// A name that cannot be one.
    #[error("{0:?} is no name of a network namespace")]
    BadName(String),
    /// No such file.
    #[error("there is no file {}", .0.display())]
    NoPath(PathBuf),
    /// A path that would be resolved against the daemon's directory.
    #[error("the namespace path {} is not absolute", .0.display())]
    Relative(PathBuf),
    /// A file, but not of a network namespace.
    #[error("{} is not a network namespace", .0.display())]
    NotANamespace(PathBuf),
    /// The host's own.
    #[error("{0} is the switch's own network namespace")]
    Own(String),
    /// It was there a moment ago.
    #[error("the network namespace {0} is gone")]
    Gone(String),
    /// The file cannot be opened.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// It cannot be entered.
    #[error("cannot enter the network namespace {}: {source}", path.display())]
    Enter {
        /// Its path.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
}

impl NetnsError {
    /// Error of setns(2): `EINVAL` is another kind of namespace.
    pub(super) fn from_setns(path: &Path, errno: Errno) -> Self {
        match errno {
            Errno::EINVAL => Self::NotANamespace(path.to_owned()),
            errno => Self::Enter { path: path.to_owned(), source: errno.into() },
        }
    }
}

/// The file of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct NetnsId {
    /// Device of nsfs.
    pub(crate) dev: u64,
    /// Inode.
    pub(crate) ino: u64,
}

/// An open namespace. Drop it soon: it keeps the namespace alive.
#[derive(Debug, Clone)]
pub(crate) struct OpenNetns {
    pub(crate) fd: Arc<OwnedFd>,
    pub(crate) id: NetnsId,
    pub(crate) path: PathBuf,
}

impl OpenNetns {
    /// Whether the path still leads here: neither has the process exited, nor was the name removed.
    pub(crate) fn still_named(&self) -> bool {
        id_of(&self.path) == Some(self.id)
    }

    /// The user whose it is: root for those of the host's own user namespace.
    pub(crate) fn owner(&self) -> io::Result<u32> {
        vswitch_sys::netns::owner(&*self.fd)
    }
}

/// Text for `vswitch ls`.
pub(crate) fn describe(netns: &NetnsRef) -> String {
    match netns {
        NetnsRef::Pid(pid) => format!("pid:{pid}"),
        NetnsRef::Path(path) => path.display().to_string(),
        NetnsRef::Name(name) => name.clone(),
        NetnsRef::Container(container) => format!("container:{}", container.name),
    }
}

/// Opens a namespace; refuses the host's own.
pub(crate) fn open(netns: &NetnsRef) -> Result<OpenNetns, NetnsError> {
    let path = path_of(netns)?;
    let open = open_path(&path).map_err(|error| match (error, netns) {
        (NetnsError::NoPath(_), NetnsRef::Pid(pid)) => NetnsError::NoProcess(*pid),
        (NetnsError::NoPath(_), NetnsRef::Name(name)) => NetnsError::NoName(name.clone()),
        (error, _) => error,
    })?;
    let own = id_of(Path::new("/proc/thread-self/ns/net"));
    if own == Some(open.id) {
        return Err(NetnsError::Own(describe(netns)));
    }
    Ok(open)
}

/// Path of a namespace.
fn path_of(netns: &NetnsRef) -> Result<PathBuf, NetnsError> {
    match netns {
        NetnsRef::Pid(0) => Err(NetnsError::NoProcess(0)),
        NetnsRef::Pid(pid) => Ok(format!("/proc/{pid}/ns/net").into()),
        NetnsRef::Path(path) if path.is_absolute() => Ok(path.clone()),
        NetnsRef::Path(path) => Err(NetnsError::Relative(path.clone())),
        // Its engine knows the path; control asks there first.
        NetnsRef::Container(container) => Err(NetnsError::BadName(container.name.clone())),
        NetnsRef::Name(name) => {
            let bad = name.is_empty() || name.contains(['/', '\0']) || name == "." || name == "..";
            if bad {
                Err(NetnsError::BadName(name.clone()))
            } else {
                Ok(Path::new(NAMES).join(name))
            }
        }
    }
}

/// Opens a namespace file. Entering it shows whether it is a *network* namespace.
pub(crate) fn open_path(path: &Path) -> Result<OpenNetns, NetnsError> {
    // Not blocking: the path may be a FIFO.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        rustix::io::Errno::NOENT | rustix::io::Errno::SRCH | rustix::io::Errno::NOTDIR => {
            NetnsError::NoPath(path.to_owned())
        }
        errno => NetnsError::Open { path: path.to_owned(), source: errno.into() },
    })?;
    let failed =
        |errno: rustix::io::Errno| NetnsError::Open { path: path.to_owned(), source: errno.into() };
    let magic = rustix::fs::fstatfs(&fd).map_err(failed)?.f_type;
    #[allow(clippy::unnecessary_cast)] // Its type differs between architectures.
    if magic as i64 != NSFS_MAGIC {
        return Err(NetnsError::NotANamespace(path.to_owned()));
    }
    let stat = rustix::fs::fstat(&fd).map_err(failed)?;
    let id = NetnsId { dev: stat.st_dev, ino: stat.st_ino };
    Ok(OpenNetns { fd: Arc::new(fd), id, path: path.to_owned() })
}

/// Identity of the namespace at a path, if there is one.
pub(crate) fn id_of(path: &Path) -> Option<NetnsId> {
    let metadata = fs::metadata(path).ok()?;
    Some(NetnsId { dev: metadata.dev(), ino: metadata.ino() })
}

/// A path of a namespace now: the known one, else that of a process inside, else a name of `ip netns`.
///
/// # Errors
/// One cannot look: without descriptors, say. Nobody knows then whether it lives.
pub(crate) fn find(id: NetnsId, known: &Path) -> Result<Option<PathBuf>, NetnsError> {
    if id_of(known) == Some(id) {
        return Ok(Some(known.to_owned()));
    }
    let list = |directory: &str| match fs::read_dir(directory) {
        Ok(entries) => Ok(Some(entries)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(NetnsError::Open { path: directory.into(), source }),
    };
    let processes = list("/proc")?.into_iter().flatten().flatten();
    let by_process = processes
        .filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
        .map(|entry| entry.path().join("ns/net"))
        .find(|path| id_of(path) == Some(id));
    if by_process.is_some() {
        return Ok(by_process);
    }
    let names = list(NAMES)?.into_iter().flatten().flatten();
    Ok(names.map(|entry| entry.path()).find(|path| id_of(path) == Some(id)))
}

/// Identifier of the host's boot: inodes and cookies restart with it.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}
