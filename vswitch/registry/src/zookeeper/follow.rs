//! The watch: events name paths, whose nodes are read then. A new connection lists again.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use futures_util::future::try_join_all;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::timeout;

use super::list::{list, peek};
use super::requests::Request;
use super::session::Link;
use super::tree::Tree;
use crate::RegistryError;
use crate::limits::{PROBE_TIMEOUT, READS_IN_FLIGHT};
use crate::task::Backoff;
use crate::watch::{Change, Follower};

pub(crate) async fn follow(tree: Arc<Tree>, mut follower: Follower) {
    let mut backoff = Backoff::new();
    let mut is_first = true;
    loop {
        let Err(error) = follow_connection(&tree, &mut follower, &mut is_first, &mut backoff).await;
        follower.interrupted(error).await;
        backoff.pause().await;
    }
}

/// Follows one connection to its end, which is an error.
async fn follow_connection(
    tree: &Tree,
    follower: &mut Follower,
    is_first: &mut bool,
    backoff: &mut Backoff,
) -> Result<Infallible, RegistryError> {
    let session = tree.reader();
    let mut link = session.link();
    let is_up = |link: &Link| matches!(link, Link::Up { .. });
    // Late or not, the state tells.
    timeout(PROBE_TIMEOUT, link.wait_for(is_up)).await.map(drop).unwrap_or_default();
    let connection = match link.borrow_and_update().clone() {
        Link::Up { connection, .. } => connection,
        Link::Down(problem) | Link::Ended(problem) => return Err(tree.unreachable(problem)),
    };
    let mut events = session.events();
    let answer = tree.read(Request::watch_below(&tree.path(follower.prefix()))).await?;
    if answer.error != 0 {
        return Err(tree.error(answer.error));
    }
    let listing = list(tree, follower.prefix()).await?;
    backoff.reset();
    let is_first = std::mem::take(is_first) && !follower.is_interrupted();
    follower.restored().await;
    if is_first {
        follower.compare(listing).await;
    } else {
        follower.resync(listing).await;
    }
    let is_other =
        |link: &Link| !matches!(link, Link::Up { connection: n, .. } if *n == connection);
    loop {
        let first = tokio::select! {
            event = events.recv() => event,
            now = link.wait_for(is_other) => {
                let problem = match now.as_deref() {
                    Ok(Link::Down(problem) | Link::Ended(problem)) => problem.clone(),
                    Ok(Link::Up { .. }) | Err(_) => "connected anew".to_owned(),
                };
                return Err(tree.unreachable(problem));
            }
        };
        let mut paths = BTreeSet::new();
        let mut next = first.map_err(|error| matches!(error, RecvError::Lagged(_)));
        let is_behind = loop {
            match next {
                Ok(path) => paths.insert(path),
                Err(is_behind) => break is_behind,
            };
            if paths.len() >= READS_IN_FLIGHT {
                break false;
            }
            next = events.try_recv().map_err(|error| matches!(error, TryRecvError::Lagged(_)));
        };
        if is_behind {
            let listing = list(tree, follower.prefix()).await?;
            follower.compare(listing).await;
        } else {
            tell(tree, follower, &paths).await?;
        }
    }
}

/// Reads the nodes that changed, and tells those that are entries of the prefix.
async fn tell(
    tree: &Tree,
    follower: &mut Follower,
    paths: &BTreeSet<Arc<str>>,
) -> Result<(), RegistryError> {
    let is_ours =
        |path: &&Arc<str>| tree.key(path).is_some_and(|k| k.starts_with(follower.prefix()));
    let paths: Vec<_> = paths.iter().filter(is_ours).collect();
    let entries = try_join_all(paths.iter().map(|path| peek(tree, path))).await?;
    let changes = paths.iter().zip(entries).filter_map(|(path, entry)| match entry {
        Some(entry) => Some(Change::Put(entry)),
        None => tree.key(path).map(|key| Change::Delete { key: key.to_owned() }),
    });
    let changes = changes.collect();
    follower.changes(changes).await;
    Ok(())
}
