//! The host's search list, for hosts that configure themselves: containers that the switch configures have it in
//! their `resolv.conf`.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;
use vswitch_dhcp::SearchList;

use crate::dns::limits::RESOLV_CONF_CHECK;
use crate::dns::resolv_conf;

/// The list, and when it was read.
#[derive(Debug, Default)]
pub(super) struct HostSearch(Mutex<Option<(Instant, SearchList)>>);

impl HostSearch {
    /// The list of a `resolv.conf`, which is read once each [`RESOLV_CONF_CHECK`] at most.
    pub(super) fn current(&self, path: &Path) -> SearchList {
        let now = Instant::now();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((read, list)) if now < *read + RESOLV_CONF_CHECK => list.clone(),
            _ => {
                let domains = resolv_conf::search(&resolv_conf::read(path));
                let list = SearchList::new(domains.iter().map(String::as_str));
                known.insert((now, list)).1.clone()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_list_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, search) = (folder.path().join("resolv.conf"), HostSearch::default());
        std::fs::write(&path, "search corp.example\n").unwrap();
        let read = search.current(&path);
        assert_eq!(read, SearchList::new(["corp.example"]));
        std::fs::write(&path, "search lan\n").unwrap();
        assert_eq!(search.current(&path), read, "looked at within a second");
        tokio::time::advance(RESOLV_CONF_CHECK).await;
        assert_eq!(search.current(&path), SearchList::new(["lan"]));
    }
}
