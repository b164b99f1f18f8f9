//! What answers to hosts that configure themselves need beside the model.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use vswitch_dhcp::SearchList;

use crate::control::limits::DECLINE_LOG_INTERVAL;
use crate::dns::limits::RESOLV_CONF_CHECK;
use crate::dns::resolv_conf;

/// State of the answers.
#[derive(Debug, Default)]
pub(in crate::control) struct DhcpState(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The host's search list, and when it was read.
    search: Option<(Instant, SearchList)>,
    /// When a decline was logged.
    declined: Option<Instant>,
}

impl DhcpState {
    /// The search list of a `resolv.conf`, which is read once each [`RESOLV_CONF_CHECK`] at most.
    pub(super) fn host_search(&self, path: &Path) -> SearchList {
        let now = Instant::now();
        let known = &mut self.lock().search;
        match known {
            Some((read, list)) if now < *read + RESOLV_CONF_CHECK => list.clone(),
            _ => {
                let domains = resolv_conf::search(&resolv_conf::read(path));
                let list = SearchList::new(domains.iter().map(String::as_str));
                known.insert((now, list)).1.clone()
            }
        }
    }

    /// Whether a decline is logged: clients repeat them.
    pub(super) fn may_log_decline(&self) -> bool {
        let now = Instant::now();
        let last = &mut self.lock().declined;
        let may = last.is_none_or(|last| now >= last + DECLINE_LOG_INTERVAL);
        if may {
            *last = Some(now);
        }
        may
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_search_list_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, state) = (folder.path().join("resolv.conf"), DhcpState::default());
        std::fs::write(&path, "search corp.example\n").unwrap();
        let read = state.host_search(&path);
        assert_eq!(read, SearchList::new(["corp.example"]));
        std::fs::write(&path, "search lan\n").unwrap();
        assert_eq!(state.host_search(&path), read, "looked at within a second");
        tokio::time::advance(RESOLV_CONF_CHECK).await;
        assert_eq!(state.host_search(&path), SearchList::new(["lan"]));
    }

    #[tokio::test(start_paused = true)]
    async fn declines_do_not_fill_the_log() {
        let state = DhcpState::default();
        assert_eq!([state.may_log_decline(), state.may_log_decline()], [true, false]);
        tokio::time::advance(DECLINE_LOG_INTERVAL).await;
        assert!(state.may_log_decline());
    }
}
