//! Interfaces of a killed switch. The kernel removes them one after another, each in some 20 ms, so that those of a
//! thousand containers take half a minute; a new switch wants their names.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use wire::MacAddr;

use super::limits::{HOLDER_DEATH_MAX, LEFT_OVER_LOG_INTERVAL, LEFT_OVER_POLL, LEFT_OVER_WAIT_MAX};
use super::netlink::Link;
use super::{HostError, Netlink};

/// How an interface of ours is told from one of somebody else's with its name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Known {
    /// By the MAC address that the switch gave it.
    Mac(MacAddr),
    /// It is a TAP: the kernel chose its MAC address, and nobody else makes TAPs of such names.
    Tap,
}

impl Known {
    fn is_ours(self, link: &Link) -> bool {
        match self {
            Self::Mac(mac) => link.is_tap && link.mac == Some(mac),
            Self::Tap => link.is_tap,
        }
    }
}

/// Waits until no interface of a killed switch has the name. `waits` is called at every look.
///
/// # Errors
/// Somebody else's has it, a process that runs holds it, or the kernel does not remove it within [`LEFT_OVER_WAIT_MAX`].
pub(crate) async fn wait_for_name(
    netlink: &Netlink,
    name: &str,
    known: Known,
    waits: &(dyn Fn() + Sync),
) -> Result<(), HostError> {
    let mut waited = Duration::ZERO;
    let mut said: Option<Duration> = None;
    let mut is_unheld = false;
    while let Some(link) = netlink.link_by_name(name).await? {
        if !known.is_ours(&link) {
            return Err(HostError::NameTaken(name.to_owned()));
        }
        if waited >= HOLDER_DEATH_MAX && !is_unheld {
            let searched = name.to_owned();
            let holder = tokio::task::spawn_blocking(move || holder(&searched)).await;
            if let Ok(Some(holder)) = holder {
                return Err(HostError::NameHeld { name: name.to_owned(), holder });
            }
            is_unheld = true;
        }
        if waited >= LEFT_OVER_WAIT_MAX {
            return Err(HostError::LeftOver(name.to_owned()));
        }
        if said.is_none_or(|said| waited - said >= LEFT_OVER_LOG_INTERVAL) {
            said = Some(waited);
            tracing::info!(
                interface = name,
                waited_s = waited.as_secs(),
                "waiting until the kernel removes the left-over interface of a killed switch"
            );
        }
        waits();
        tokio::time::sleep(LEFT_OVER_POLL).await;
        waited += LEFT_OVER_POLL;
    }
    Ok(())
}

/// Another process of this network namespace that holds the TAP of that name, for people. One that is dead has no
/// descriptors any more, though the kernel may have yet to remove its interfaces.
pub(crate) fn holder(name: &str) -> Option<String> {
    let own_netns = netns_of(Path::new("/proc/thread-self"));
    let own_id = std::process::id().to_string();
    let line = format!("iff:\t{name}");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let (id, path) = (process.file_name(), process.path());
        if *id == *own_id || netns_of(&path).is_none_or(|netns| Some(netns) != own_netns) {
            continue;
        }
        let holds = |descriptor: fs::DirEntry| {
            let is_tun =
                fs::read_link(descriptor.path()).is_ok_and(|it| it == Path::new("/dev/net/tun"));
            let info = || fs::read_to_string(path.join("fdinfo").join(descriptor.file_name()));
            is_tun && info().is_ok_and(|info| info.lines().any(|it| it.trim_end() == line))
        };
        if fs::read_dir(path.join("fd")).into_iter().flatten().flatten().any(holds) {
            let program = fs::read_to_string(path.join("comm")).unwrap_or_default();
            return Some(format!("{} (process {})", program.trim_end(), id.display()));
        }
    }
    None
}

/// The identity of a process's network namespace; none for one that has ended.
fn netns_of(process: &Path) -> Option<(u64, u64)> {
    fs::metadata(process.join("ns/net")).ok().map(|file| (file.dev(), file.ino()))
}
