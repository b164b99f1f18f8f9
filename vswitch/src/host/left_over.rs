//! Interfaces of a killed switch. The kernel removes them one after another, each in some 20 ms, so that those of a
//! thousand containers take half a minute; a new switch wants their names.

use std::time::Duration;

use wire::MacAddr;

use super::limits::{LEFT_OVER_LOG_INTERVAL, LEFT_OVER_POLL, LEFT_OVER_WAIT_MAX};
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
/// Somebody else's has it, or the kernel does not remove it within [`LEFT_OVER_WAIT_MAX`].
pub(crate) async fn wait_for_name(
    netlink: &Netlink,
    name: &str,
    known: Known,
    waits: &(dyn Fn() + Sync),
) -> Result<(), HostError> {
    let mut waited = Duration::ZERO;
    let mut said: Option<Duration> = None;
    while let Some(link) = netlink.link_by_name(name).await? {
        if !known.is_ours(&link) {
            return Err(HostError::NameTaken(name.to_owned()));
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
