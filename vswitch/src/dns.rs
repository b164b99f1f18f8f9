//! DNS for containers: names of ours from the table, everything else from upstream servers.
//!
//! | file | what it does |
//! |---|---|
//! | `dns/names.rs` and below | the table: which addresses a name has for the port that asks |
//! | `dns/service.rs`, `dns/answer.rs` | from a query to its answer, without sockets |
//! | `dns/direct.rs` and below | answers that a worker of the datapath gives itself |
//! | `dns/udp.rs`, `dns/tcp.rs`, `dns/clients.rs` | sockets, and what each client may have of them |
//! | `dns/counters.rs` | counters that these share |
//! | `dns/upstream.rs` and below | the cache, and questions to upstream servers |
//! | `dns/query.rs` | questions of the API |
//! | `dns/resolv_conf.rs` | the host's servers, and the file of a container |
//!
//! [`Server`] is a thread with sockets that were made elsewhere, in the namespace of the service port. The thread
//! itself is in the host's namespace, so that upstream servers are asked from there.
//!
//! Messages are hickory-server's: its requests and its responses. Its loops over sockets are not used, since
//! they cannot limit connections by client.

mod answer;
mod clients;
mod counters;
mod direct;
mod error;
pub(crate) mod limits;
mod names;
mod query;
pub mod resolv_conf;
mod service;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;
mod upstream;

use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;

use fastpath::PortIndex;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
pub use vswitch_counters::DnsCounters;

use crate::datapath::NameService;
use crate::datapath::limits::DIRECT_ANSWER_MAX;
use counters::Counters;
pub use error::DnsError;
use limits::UDP_ANSWER_MAX;
pub use names::{Asked, EndpointNames, Found, ListedName, Names, NetworkNames};
pub(crate) use query::Resolver;
use service::Service;
use upstream::Forwarder;
pub use upstream::Upstreams;

const _: () = assert!(UDP_ANSWER_MAX as usize <= DIRECT_ANSWER_MAX, "it is written there");

impl NameService for Names {
    fn answer(&self, port: PortIndex, query: &[u8], answer: &mut [u8]) -> Option<usize> {
        self.answer(port, query, answer)
    }
}

/// What a server needs.
pub struct ServerConfig {
    /// The table of names.
    pub names: Arc<Names>,
    /// Bound UDP sockets.
    pub udp: Vec<UdpSocket>,
    /// Listening TCP sockets.
    pub tcp: Vec<TcpListener>,
    /// The port that a source address stands for; IPv4 addresses are never mapped to IPv6.
    pub client_of: Arc<dyn Fn(IpAddr) -> Option<PortIndex> + Send + Sync>,
    /// The upstream servers.
    pub upstreams: Upstreams,
}

impl std::fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerConfig").field("upstreams", &self.upstreams).finish_non_exhaustive()
    }
}

/// A DNS server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    service: Arc<Service>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts the thread of a server, in the network namespace of the caller.
    ///
    /// # Errors
    /// When the kernel refuses a thread or its event queue.
    pub fn start(config: ServerConfig) -> io::Result<Self> {
        let ServerConfig { names, udp, tcp, client_of, upstreams } = config;
        let counters = Arc::<Counters>::default();
        let forwarder = Forwarder::new(Arc::clone(&names), Arc::clone(&counters), upstreams);
        let service = Service::new(names, Arc::new(forwarder), counters, client_of);
        let service = Arc::new(service);
        udp.iter().try_for_each(|socket| socket.set_nonblocking(true))?;
        tcp.iter().try_for_each(|listener| listener.set_nonblocking(true))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let sockets = {
            let _entered = runtime.enter();
            let udp = udp.into_iter().map(tokio::net::UdpSocket::from_std);
            let tcp = tcp.into_iter().map(tokio::net::TcpListener::from_std);
            (udp.collect::<Result<Vec<_>, _>>()?, tcp.collect::<Result<Vec<_>, _>>()?)
        };
        let serving = Arc::clone(&service);
        let thread =
            std::thread::Builder::new().name("vswitch-dns".to_owned()).spawn(move || {
                runtime.block_on(async {
                    let mut tasks = JoinSet::new();
                    for socket in sockets.0 {
                        tasks.spawn(udp::run(socket, Arc::clone(&serving)));
                    }
                    for listener in sockets.1 {
                        tasks.spawn(tcp::run(listener, Arc::clone(&serving)));
                    }
                    // The sender goes with the server.
                    let _ = stopped.await;
                });
            })?;
        Ok(Self { service, stop: Some(stop), thread: Some(thread) })
    }

    /// The counters now.
    #[must_use]
    pub fn counters(&self) -> DnsCounters {
        let mut counters = self.service.counters.get();
        self.service.names.direct().add_to(&mut counters);
        counters
    }

    /// A handle for questions of the API.
    pub(crate) fn resolver(&self) -> Resolver {
        Resolver(Arc::clone(&self.service))
    }

    /// Ends the thread, with all connections and queries that wait.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread is in the log.
            let _ = thread.join();
        }
    }
}
