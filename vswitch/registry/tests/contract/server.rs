//! A registry's server under test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use vswitch_registry::{Registry, RegistryError, RegistryUrl, open};

use crate::proxy::Proxy;

/// Longest wait for something that takes well below a second on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A link to a server that can be cut.
pub(crate) trait Link {
    fn cut(&self);

    fn heal(&self);
}

/// What the contract needs of a server.
pub(crate) trait Server {
    /// `etcd`, `zookeeper`, `consul` or `memory`.
    fn scheme(&self) -> &'static str;

    /// Where clients connect; none: in this process.
    fn address(&self) -> Option<SocketAddr>;

    /// A client.
    fn client(&self, prefix: &str) -> Arc<dyn Registry> {
        connect(self.scheme(), self.address().expect("an address"), prefix)
    }

    /// A client whose link can be cut.
    fn link(&self, prefix: &str) -> (Arc<dyn Registry>, Box<dyn Link>) {
        let proxy = Proxy::start(self.address().expect("an address"));
        (connect(self.scheme(), proxy.address(), prefix), Box::new(proxy))
    }

    /// Whether a watch that was cut off goes on with the history.
    fn has_history(&self) -> bool {
        false
    }

    /// Ends the server, and keeps its data.
    fn stop(&mut self);

    /// Starts the stopped server with its data; returns when it serves.
    fn start(&mut self);

    /// Deletes the data of the stopped server.
    fn wipe(&mut self);

    /// Stops its clock: it answers nothing and keeps its connections.
    fn freeze(&self);

    /// Goes on.
    fn thaw(&self);

    /// Forgets the history before now, where there is one.
    fn compact(&self) {}

    /// Time to live of short leases.
    fn short_ttl(&self) -> Duration {
        Duration::from_secs(2)
    }

    /// Within this time an entry is gone after its lease was last renewed.
    fn lease_end_max(&self) -> Duration {
        Duration::from_secs(12)
    }
}

fn connect(scheme: &str, address: SocketAddr, prefix: &str) -> Arc<dyn Registry> {
    connect_url(&format!("{scheme}://{address}/{prefix}")).expect("opens")
}

pub(crate) fn connect_url(url: &str) -> Result<Arc<dyn Registry>, RegistryError> {
    let url: RegistryUrl = url.parse().expect("a URL");
    open(&url)
}

pub(crate) fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}
