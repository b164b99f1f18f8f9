//! What each client has in use, and the limits of that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastpath::PortIndex;

use super::limits::{CONNECTIONS_PER_CLIENT_MAX, DNS_CONNECTIONS_MAX, QUERIES_PER_CLIENT_MAX};

/// A thing that a client may have a number of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Resource {
    /// A query that waits for an upstream server.
    Query,
    /// A TCP connection.
    Connection,
}

/// The limit that a client meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// Its own.
    Client,
    /// That of all clients together.
    All,
}

#[derive(Debug, Default)]
struct Usage {
    queries: usize,
    connections: usize,
}

impl Usage {
    fn of(&mut self, resource: Resource) -> (&mut usize, usize) {
        match resource {
            Resource::Query => (&mut self.queries, QUERIES_PER_CLIENT_MAX),
            Resource::Connection => (&mut self.connections, CONNECTIONS_PER_CLIENT_MAX),
        }
    }
}

/// Usage of all clients that use something.
#[derive(Debug, Default)]
pub(super) struct Clients {
    usage: Mutex<(HashMap<PortIndex, Usage>, usize)>,
}

impl Clients {
    /// Takes one for a client. It is given back on drop.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(super) fn take(
        self: &Arc<Self>,
        port: PortIndex,
        resource: Resource,
    ) -> Result<Permit, Limit> {
        let mut usage = self.lock();
        let (clients, connections) = &mut *usage;
        let is_connection = matches!(resource, Resource::Connection);
        if is_connection && *connections >= DNS_CONNECTIONS_MAX {
            return Err(Limit::All);
        }
        let (used, max) = clients.entry(port).or_default().of(resource);
        if *used >= max {
            return Err(Limit::Client);
        }
        *used += 1;
        *connections += usize::from(is_connection);
        Ok(Permit { clients: Arc::clone(self), port, resource })
    }

    fn lock(&self) -> MutexGuard<'_, (HashMap<PortIndex, Usage>, usize)> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to one thing.
#[derive(Debug)]
pub(super) struct Permit {
    clients: Arc<Clients>,
    port: PortIndex,
    resource: Resource,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut usage = self.clients.lock();
        let (clients, connections) = &mut *usage;
        *connections -= usize::from(matches!(self.resource, Resource::Connection));
        if let Some(client) = clients.get_mut(&self.port) {
            *client.of(self.resource).0 -= 1;
            if client.queries == 0 && client.connections == 0 {
                clients.remove(&self.port);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_limit_and_what_it_returns_is_free_again() {
        let clients = Arc::new(Clients::default());
        let take = |port| clients.take(PortIndex(port), Resource::Connection);
        let mut permits: Vec<_> = (0..CONNECTIONS_PER_CLIENT_MAX).map(|_| take(1)).collect();
        assert!(permits.iter().all(Result::is_ok));
        assert_eq!(take(1).err(), Some(Limit::Client));
        assert!(take(2).is_ok());
        assert!(clients.take(PortIndex(1), Resource::Query).is_ok());
        permits.pop();
        permits.push(take(1));
        assert!(permits.iter().all(Result::is_ok) && take(1).is_err());
        drop(permits);
        assert!(clients.lock().0.is_empty() && clients.lock().1 == 0);
    }

    #[test]
    fn all_clients_together_have_a_limit_of_connections() {
        let clients = Arc::new(Clients::default());
        let permits = (0..2 * DNS_CONNECTIONS_MAX)
            .filter_map(|n| {
                let port = u16::try_from(n / CONNECTIONS_PER_CLIENT_MAX).unwrap();
                clients.take(PortIndex(port), Resource::Connection).ok()
            })
            .collect::<Vec<_>>();
        assert_eq!(permits.len(), DNS_CONNECTIONS_MAX);
        let take = |port| clients.take(PortIndex(port), Resource::Connection).err();
        assert_eq!(take(u16::MAX), Some(Limit::All));
        drop(permits);
        assert!(clients.lock().0.is_empty() && clients.lock().1 == 0);
    }
}
