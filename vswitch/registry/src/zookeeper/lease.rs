//! A lease is a session of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::requests::Request;
use super::session::{Link, Session};
use super::tree::Tree;
use crate::RegistryError;
use crate::lease::{Lease, LeaseState, set};
use crate::limits::REQUEST_TIMEOUT;
use crate::types::LeaseId;

pub(crate) async fn grant(tree: &Tree, ttl: Duration) -> Result<Lease, RegistryError> {
    let session = Arc::new(Session::start(tree.servers.clone(), ttl, false));
    let mut link = session.link();
    let up = link.wait_for(|link| !matches!(link, Link::Down(_)));
    let outcome = timeout(REQUEST_TIMEOUT, up).await;
    let outcome = outcome.map(|link| link.map(|link| link.clone()));
    match outcome {
        Ok(Ok(Link::Up { .. })) => {}
        Ok(Ok(Link::Ended(problem) | Link::Down(problem))) => {
            return Err(RegistryError::Denied { registry: tree.name().to_owned(), problem });
        }
        Ok(Err(_)) | Err(_) => {
            let problem = match &*session.link().borrow() {
                Link::Down(problem) | Link::Ended(problem) => problem.clone(),
                Link::Up { .. } => String::new(),
            };
            return Err(tree.unreachable(problem));
        }
    }
    let (id, ttl) = session.identity();
    let id = LeaseId(format!("{id:x}"));
    tree.add_lease(id.clone(), &session);
    let (sender, state) = watch::channel(LeaseState::Active);
    Ok(Lease::new(id, ttl, follow(session, ttl, sender), state))
}

/// Keeps the session and tells its state.
async fn follow(session: Arc<Session>, ttl: Duration, state: watch::Sender<LeaseState>) {
    let mut link = session.link();
    loop {
        let now = link.borrow_and_update().clone();
        match now {
            Link::Up { .. } => {
                set(&state, LeaseState::Active);
                if link.changed().await.is_err() {
                    return;
                }
            }
            Link::Ended(_) => {
                set(&state, LeaseState::Ended);
                return;
            }
            Link::Down(_) => {
                let is_settled = |link: &Link| !matches!(link, Link::Down(_));
                let until = Instant::now() + ttl;
                if timeout_at(until, link.wait_for(is_settled)).await.is_err() {
                    set(&state, LeaseState::Unconfirmed);
                    if link.wait_for(is_settled).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// Closes the lease's session, where this process has it.
pub(crate) async fn revoke(tree: &Tree, lease: &LeaseId) -> Result<(), RegistryError> {
    let Ok(session) = tree.leased(lease) else { return Ok(()) };
    let answer = session.call(Request::close(), REQUEST_TIMEOUT).await;
    tree.remove_lease(lease);
    match answer {
        Ok(_) => Ok(()),
        Err(failure) => Err(tree.unanswered(format!("{failure:?}"))),
    }
}
