//! Why cut-through is off.

use std::io;
use std::path::PathBuf;

/// Why the programs could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This build has no programs.
    #[error("this vswitch was built without cut-through (cargo feature `cut-through`)")]
    NotBuilt,
    /// No cgroup of version 2.
    #[error(
        "there is no cgroup2 file system: mount one, or start the kernel with systemd.unified_cgroup_hierarchy=1"
    )]
    NoCgroup,
    /// A cgroup that cannot be used.
    #[error("cgroup {path}: {source}")]
    Cgroup {
        /// Its path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel does not describe its structures.
    #[error("the kernel has no BTF (/sys/kernel/btf/vmlinux; CONFIG_DEBUG_INFO_BTF)")]
    NoBtf,
    /// The kernel does not take the programs.
    #[error("{step}: {reason}")]
    Kernel {
        /// What was tried.
        step: &'static str,
        /// What libbpf or the kernel said.
        reason: String,
    },
    /// The trial over loopback has shown that this kernel cannot do it.
    #[error("this kernel cannot: {0}")]
    Trial(&'static str),
    /// Programs of another version of this switch still carry connections.
    #[error(
        "programs of another version still carry {0} sockets: they go away when those are closed"
    )]
    OtherVersion(usize),
    /// Some programs have not read what was sent to them.
    #[error(
        "{0} sockets have unread bytes: the programs stay until they are read, and `vswitch down` can be run again"
    )]
    Unread(usize),
}

impl Error {
    /// Names what was tried when the kernel refused.
    #[cfg(feature = "bpf")]
    pub(crate) fn kernel(step: &'static str) -> impl Fn(libbpf_rs::Error) -> Self {
        move |error| Self::Kernel { step, reason: format!("{error:#}") }
    }
}
