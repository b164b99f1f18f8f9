//! A registry's server under test.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use vswitch_registry::{Registry, RegistryError, RegistryUrl, open};

/// Longest wait for something that takes well below a second on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What the contract needs of a server.
pub(crate) trait Server {
    /// `etcd`, `zookeeper` or `consul`.
    fn scheme(&self) -> &'static str;

    /// Where clients connect.
    fn address(&self) -> SocketAddr;

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

/// A client of an address.
pub(crate) fn connect(server: &dyn Server, address: SocketAddr, prefix: &str) -> Arc<dyn Registry> {
    connect_url(&format!("{}://{address}/{prefix}", server.scheme())).expect("opens")
}

pub(crate) fn connect_url(url: &str) -> Result<Arc<dyn Registry>, RegistryError> {
    let url: RegistryUrl = url.parse().expect("a URL");
    open(&url)
}

/// A TCP port of the loopback that nobody listens on. It is below those that the kernel picks, so that no connection
/// gets it meanwhile, not even one to itself.
pub(crate) fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind(local(*port)).is_ok();
    let random = || RandomState::new().build_hasher().finish();
    let mut ports =
        std::iter::repeat_with(|| 12_000 + u16::try_from(random() % 20_000).expect("u16"));
    ports.find(is_free).expect("a port")
}

pub(crate) fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}
