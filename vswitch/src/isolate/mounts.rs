//! The sandbox's view of the file system. All of it happens in the keeper's own mount namespace.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::mount::{MsFlags, mount};

use super::IsolateError;
use super::files::Sources;

/// Makes mounts private to this namespace, shows the namespace's own devices in `/sys`, and puts the
/// private files into `/etc`.
pub(super) fn private_view(sources: Option<&Sources>) -> Result<(), IsolateError> {
    // A slave still sees what the host mounts later; the host sees nothing of ours.
    change("/", MsFlags::MS_REC | MsFlags::MS_SLAVE)?;
    // Without its own /sys a program still works; it sees the host's devices there.
    if let Err(error) = fresh_sysfs() {
        tracing::debug!(%error, "/sys stays the host's");
    }
    if let Some(sources) = sources {
        bind(&sources.hosts, "/etc/hosts")?;
        bind(&sources.resolv_conf, "/etc/resolv.conf")?;
    }
    Ok(())
}

fn change(target: &'static str, flags: MsFlags) -> Result<(), IsolateError> {
    mount(None::<&str>, target, None::<&str>, flags, None::<&str>)
        .map_err(|errno| IsolateError::Mount { target, source: errno.into() })
}

/// Mounts a file over another. What the host does not have cannot be covered, and is left out.
fn bind(source: &Path, target: &'static str) -> Result<(), IsolateError> {
    if !Path::new(target).exists() {
        tracing::warn!(target, "the host has no such file, so the sandbox has none either");
        return Ok(());
    }
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(|errno| IsolateError::Mount { target, source: errno.into() })
}

/// A sysfs of this network namespace over the host's, with the host's control groups kept visible.
fn fresh_sysfs() -> io::Result<()> {
    const CGROUP: &str = "/sys/fs/cgroup";
    let cgroup = File::open(CGROUP).ok();
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>)?;
    if let Some(cgroup) = cgroup {
        let source = format!("/proc/thread-self/fd/{}", cgroup.as_raw_fd());
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        if let Err(errno) = mount(Some(source.as_str()), CGROUP, None::<&str>, flags, None::<&str>)
        {
            tracing::debug!(error = %errno, "no control groups in the sandbox");
        }
    }
    Ok(())
}
