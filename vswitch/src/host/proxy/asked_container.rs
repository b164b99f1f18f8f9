//! Connections to the container on behalf of clients that the kernel has not accepted yet.
//!
//! A client is *asking* -> its SYN is repeated when the container accepts, and its connection, once accepted, *takes* the
//! container's; or it is refused. The client repeats its SYN after a second, which passes: then it takes the answer, whatever it
//! will be. A client that does not come is forgotten after [`PROXY_SYN_KEPT`].

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::counters::SYNS_PASSED;
use super::syn::Syn;
use crate::host::limits::{PROXY_CONNECT_MAX, PROXY_SYN_KEPT, PROXY_SYNS_MAX};

/// A connection to the first address that accepts one.
pub(super) async fn connect(to: &[SocketAddr]) -> Option<TcpStream> {
    for to in to {
        match tokio::time::timeout(PROXY_CONNECT_MAX, TcpStream::connect(to)).await {
            Ok(Ok(container)) => return Some(container),
            Ok(Err(error)) => {
                tracing::debug!(%to, %error, "the container refuses a client of the proxy")
            }
            Err(_) => tracing::debug!(%to, "the container does not answer a client of the proxy"),
        }
    }
    None
}

/// The container's connection for a client, if it accepts.
pub(super) type Container = oneshot::Receiver<Option<TcpStream>>;

#[derive(Debug)]
struct Asked {
    id: u64,
    container: Container,
    /// Closed when the client takes the connection.
    _taken: oneshot::Sender<Infallible>,
}

type Clients = Mutex<HashMap<(IpAddr, u16), Asked>>;

type Served = Mutex<HashSet<(IpAddr, u16)>>;

/// A client that the kernel has accepted, until this is dropped.
#[derive(Debug)]
pub(super) struct ServedClient {
    client: (IpAddr, u16),
    served: Arc<Served>,
}

impl Drop for ServedClient {
    fn drop(&mut self) {
        lock(&self.served).remove(&self.client);
    }
}

/// The container behind a port, and the clients for which it is asked.
#[derive(Debug)]
pub(super) struct AskedContainer {
    to: Arc<[SocketAddr]>,
    clients: Arc<Clients>,
    served: Arc<Served>,
    permits: Arc<Semaphore>,
    next_id: AtomicU64,
}

impl AskedContainer {
    pub(super) fn new(to: Arc<[SocketAddr]>) -> Self {
        let permits = Arc::new(Semaphore::new(PROXY_SYNS_MAX));
        let (clients, served) = (Arc::default(), Arc::default());
        Self { to, clients, served, permits, next_id: AtomicU64::new(0) }
    }

    /// Asks for a client, as the future that it returns.
    ///
    /// # Errors
    /// The SYN itself: there are too many, or `has_room` says so for connections, or it was heard so late that its
    /// client is served already.
    pub(super) fn begin(
        &self,
        syn: Syn,
        has_room: bool,
    ) -> Result<impl Future<Output = ()> + Send + 'static, Syn> {
        let client = (IpAddr::V6(syn.client.0), syn.client.1);
        if lock(&self.served).contains(&client) {
            return Err(syn);
        }
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        let Some(permit) = permit.ok().filter(|_| has_room) else {
            SYNS_PASSED.count();
            return Err(syn);
        };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (answer, container) = oneshot::channel();
        let (waiter, taken) = oneshot::channel();
        lock(&self.clients).insert(client, Asked { id, container, _taken: waiter });
        let (to, clients) = (Arc::clone(&self.to), Arc::clone(&self.clients));
        Ok(async move {
            let _permit = permit;
            let mut connecting = pin!(connect(&to));
            let in_time = timeout(PROXY_SYN_KEPT, &mut connecting).await;
            let is_in_time = in_time.is_ok();
            let container = match in_time {
                Ok(container) => container,
                Err(_) => connecting.await,
            };
            let accepts = container.is_some();
            // Whoever takes it is told; a client that was forgotten for another one is not.
            let is_wanted = answer.send(container).is_ok() && waits(&clients, client, id);
            if is_wanted && is_in_time && accepts {
                syn.repeat();
            }
            if accepts {
                let _: Result<_, _> = timeout(PROXY_SYN_KEPT, taken).await;
            }
            if forget(&clients, client, id) && is_in_time && !accepts {
                syn.refuse();
            }
        })
    }

    /// The container's connection for a client that the kernel has accepted; `None` if it was not asked for.
    pub(super) fn take(&self, client: SocketAddr) -> Option<Container> {
        let asked = lock(&self.clients).remove(&(client.ip(), client.port()))?;
        Some(asked.container)
    }

    /// Notes that a client is accepted.
    pub(super) fn serve(&self, client: SocketAddr) -> ServedClient {
        let client = (client.ip(), client.port());
        lock(&self.served).insert(client);
        ServedClient { client, served: Arc::clone(&self.served) }
    }
}

/// Whether a client has not taken its connection yet.
fn waits(clients: &Clients, client: (IpAddr, u16), id: u64) -> bool {
    lock(clients).get(&client).is_some_and(|asked| asked.id == id)
}

/// Forgets a client; false if it took its connection, or another one has its port.
fn forget(clients: &Clients, client: (IpAddr, u16), id: u64) -> bool {
    let is_it = waits(clients, client, id);
    if is_it {
        lock(clients).remove(&client);
    }
    is_it
}

fn lock<T>(clients: &Mutex<T>) -> MutexGuard<'_, T> {
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}
