//! The watch: the server's history, with a probe of the link.

use std::sync::Arc;

use tokio::time::timeout;

use super::Shared;
use crate::RegistryError;
use crate::limits::PROBE_TIMEOUT;
use crate::types::Revision;
use crate::watch::Follower;

/// Follows from a listing of a server's `generation`.
pub(crate) async fn follow(shared: Arc<Shared>, mut generation: u64, mut follower: Follower) {
    let mut changed = shared.store.changed.subscribe();
    let mut powers = shared.store.powers();
    let mut link = shared.is_linked.subscribe();
    loop {
        changed.mark_unchanged();
        powers.mark_unchanged();
        link.mark_unchanged();
        if let Err(error) = check(&shared).await {
            follower.interrupted(error).await;
        } else {
            catch_up(&shared, &mut generation, &mut follower).await;
        }
        let ended = tokio::select! {
            ended = changed.changed() => ended,
            ended = powers.changed() => ended,
            ended = link.changed() => ended,
        };
        if ended.is_err() {
            return;
        }
    }
}

/// Whether the server answers within a probe's time.
async fn check(shared: &Shared) -> Result<(), RegistryError> {
    shared.check_link()?;
    let thaw = shared.store.wait_while_frozen();
    let thawed = timeout(PROBE_TIMEOUT, thaw).await;
    thawed.map_err(|_| Shared::unreachable("no answer"))?;
    shared.check_link()
}

async fn catch_up(shared: &Shared, generation: &mut u64, follower: &mut Follower) {
    let (prefix, revision) = (follower.prefix().to_owned(), follower.revision().0);
    let (now, changes) = shared.store.change(|state| {
        let known = state.generation == *generation;
        let changes = state.since(revision, &shared.root, &prefix).filter(|_| known);
        ((state.generation, state.revision), changes)
    });
    follower.restored().await;
    if let Some(changes) = changes {
        follower.changes(changes).await;
        follower.set_revision(Revision(now.1));
        return;
    }
    let (generation_now, listing) =
        shared.store.change(|state| (state.generation, state.list(&shared.root, &prefix)));
    *generation = generation_now;
    follower.resync(listing).await;
}
