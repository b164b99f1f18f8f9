//! Mounts of the sandbox, in the keeper's mount namespace.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::mount::{MsFlags, mount};

use super::IsolateError;
use super::files::Sources;

/// Makes mounts private to this namespace, mounts its own `/sys`, and the private files in `/etc`.
pub(super) fn private_view(sources: Option<&Sources>) -> Result<(), IsolateError> {
    // A slave: later mounts of the host appear here, ours do not appear there.
    change("/", MsFlags::MS_REC | MsFlags::MS_SLAVE)?;
    // Optional: with the host's /sys a program sees the host's devices.
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

/// Mounts a file over another; skips one that the host does not have.
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
