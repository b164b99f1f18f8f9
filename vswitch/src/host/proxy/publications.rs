//! Publications whose clients the proxy for devices that are no uplinks relays ([`super::relayed`]).

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::host::limits::PROXY_CONNECTIONS_MAX;
use crate::host::nft::{Forward, Protocol};

/// Protocol, address and first port. No two publications of one address have a port in common.
type Key = (Protocol, Option<IpAddr>, u16);

/// All publications.
#[derive(Debug)]
pub(super) struct Publications {
    open: Mutex<BTreeMap<Key, Entry>>,
    /// Changes when publications end.
    ends: watch::Sender<()>,
}

#[derive(Debug)]
struct Entry {
    forward: Arc<Forward>,
    permits: Arc<Semaphore>,
    is_over: watch::Sender<bool>,
}

/// A publication that a client has asked for.
#[derive(Debug)]
pub(super) struct Publication {
    /// The container's addresses: of the client's family first.
    pub(super) targets: Vec<SocketAddr>,
    permits: Arc<Semaphore>,
    is_over: watch::Receiver<bool>,
}

impl Default for Publications {
    fn default() -> Self {
        Self { open: Mutex::default(), ends: watch::channel(()).0 }
    }
}

impl Publications {
    /// The publication of a port at an address of the host, if this client may have it.
    pub(super) fn find(
        &self,
        protocol: Protocol,
        asked: SocketAddr,
        client: IpAddr,
    ) -> Option<Publication> {
        let any = match asked {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let open = self.lock();
        let at = |address| {
            let upto = (protocol, address, asked.port());
            let last = open.range((protocol, address, 0)..=upto).next_back();
            last.map(|(_, entry)| entry).filter(|it| *it.forward.published.ports.end() >= upto.2)
        };
        let entry = at(Some(asked.ip())).or_else(|| at(Some(any))).or_else(|| at(None))?;
        entry.admit(asked, client)
    }

    /// Replaces publications by others. Clients of those that go are dropped, and this waits for it.
    pub(super) async fn change(&self, gone: &[Arc<Forward>], new: &[Arc<Forward>]) {
        let over: Vec<Entry> = {
            let (stay, mut open) = (new.iter().collect::<HashSet<_>>(), self.lock());
            let gone = gone.iter().filter(|one| !stay.contains(one));
            let over = gone.filter_map(|one| open.remove(&key(one))).collect();
            for one in new {
                open.entry(key(one)).or_insert_with(|| Entry::new(Arc::clone(one)));
            }
            over
        };
        if over.is_empty() {
            return;
        }
        over.iter().for_each(|entry| _ = entry.is_over.send_replace(true));
        self.ends.send_replace(());
        for entry in &over {
            entry.is_over.closed().await;
        }
    }

    /// Is told when publications end.
    pub(super) fn ends(&self) -> watch::Receiver<()> {
        self.ends.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn new(forward: Arc<Forward>) -> Self {
        let permits = Arc::new(Semaphore::new(PROXY_CONNECTIONS_MAX));
        Self { forward, permits, is_over: watch::channel(false).0 }
    }

    fn admit(&self, asked: SocketAddr, client: IpAddr) -> Option<Publication> {
        let forward = &self.forward;
        let is_allowed = forward.allow_from.is_empty()
            || forward.allow_from.iter().any(|net| net.contains(&client));
        if !is_allowed {
            return None;
        }
        let port = forward.to_port + (asked.port() - forward.published.ports.start());
        let [v4, v6] = [forward.to4.map(IpAddr::V4), forward.to6.map(IpAddr::V6)];
        let addresses = if asked.is_ipv4() { [v4, v6] } else { [v6, v4] };
        let targets = addresses.into_iter().flatten().map(|to| SocketAddr::new(to, port)).collect();
        let (permits, is_over) = (Arc::clone(&self.permits), self.is_over.subscribe());
        Some(Publication { targets, permits, is_over })
    }
}

impl Publication {
    /// Admits a connection as long as the permit lives; `None` if there are as many as may be.
    pub(super) fn connect(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    pub(super) fn is_over(&self) -> bool {
        *self.is_over.borrow()
    }

    /// Waits until it ends.
    pub(super) async fn end(&mut self) {
        let _ = self.is_over.wait_for(|is_over| *is_over).await;
    }
}

fn key(forward: &Forward) -> Key {
    let published = &forward.published;
    (published.protocol, published.address, *published.ports.start())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::host::nft::Published;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 17, 0, 2));

    fn forward(address: Option<&str>, ports: std::ops::RangeInclusive<u16>, to: u16) -> Forward {
        let address = address.map(|text| text.parse().unwrap());
        Forward {
            published: Published { address, protocol: Protocol::Tcp, ports },
            to4: Some([10, 88, 0, 5].into()),
            to6: Some("fd00::5".parse().unwrap()),
            to_port: to,
            allow_from: Vec::new(),
        }
    }

    async fn with(all: Vec<Forward>) -> (Publications, Vec<Arc<Forward>>) {
        let (publications, all) = (Publications::default(), all.into_iter().map(Arc::new));
        let all: Vec<_> = all.collect();
        publications.change(&[], &all).await;
        (publications, all)
    }

    fn targets(publications: &Publications, asked: &str) -> Option<Vec<String>> {
        let found = publications.find(Protocol::Tcp, asked.parse().unwrap(), CLIENT)?;
        Some(found.targets.iter().map(SocketAddr::to_string).collect())
    }

    #[tokio::test]
    async fn a_client_gets_the_publication_of_its_address_and_port() {
        let limited =
            Forward { allow_from: vec!["10.0.0.0/8".parse().unwrap()], ..forward(None, 7..=7, 7) };
        let all = vec![
            forward(None, 8000..=8099, 80),
            forward(Some("192.0.2.1"), 9000..=9000, 81),
            forward(Some("192.0.2.2"), 9000..=9000, 82),
            forward(Some("::"), 9000..=9000, 83),
            limited,
        ];
        let (publications, _) = with(all).await;
        let found = |asked| targets(&publications, asked);
        let both = |port| Some(vec![format!("10.88.0.5:{port}"), format!("[fd00::5]:{port}")]);
        assert_eq!(found("192.0.2.1:8000"), both(80));
        assert_eq!(found("192.0.2.1:8099"), both(179));
        let first = |asked| found(asked).map(|all| all[0].clone());
        assert_eq!(first("[2001:db8::1]:8001").as_deref(), Some("[fd00::5]:81"), "its own family");
        assert_eq!(found("192.0.2.1:9000"), both(81));
        assert_eq!(found("192.0.2.2:9000"), both(82));
        assert_eq!(first("[2001:db8::1]:9000").as_deref(), Some("[fd00::5]:83"));
        for none in ["192.0.2.1:7999", "192.0.2.1:8100", "192.0.2.3:9000", "192.0.2.1:7"] {
            assert_eq!(found(none), None, "{none}");
        }
        let udp = publications.find(Protocol::Udp, "192.0.2.1:8000".parse().unwrap(), CLIENT);
        assert!(udp.is_none());
    }

    #[tokio::test]
    async fn an_end_waits_for_clients_and_spares_those_that_stay() {
        let (publications, all) =
            with(vec![forward(None, 1..=1, 1), forward(None, 2..=2, 2)]).await;
        let asked = |port: u16| SocketAddr::new(CLIENT, port);
        let mut ends = publications.ends();
        let mut gone = publications.find(Protocol::Tcp, asked(1), CLIENT).unwrap();
        let stays = publications.find(Protocol::Tcp, asked(2), CLIENT).unwrap();
        let permits: Vec<_> = (0..PROXY_CONNECTIONS_MAX).map(|_| gone.connect().unwrap()).collect();
        assert!(gone.connect().is_none() && stays.connect().is_some());
        drop(permits);
        assert!(gone.end().now_or_never().is_none());
        // The list moves, but the second is the same.
        let mut change = Box::pin(publications.change(&all, &all[1..]));
        assert!(change.as_mut().now_or_never().is_none(), "it waits");
        assert!(gone.end().now_or_never().is_some() && gone.is_over());
        assert!(ends.changed().now_or_never().is_some());
        drop(gone);
        change.await;
        assert!(!stays.is_over());
        assert!(publications.find(Protocol::Tcp, asked(1), CLIENT).is_none());
    }
}
