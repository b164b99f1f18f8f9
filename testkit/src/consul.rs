//! A double of Consul's HTTP API, since no package registry has the server: `/v1/kv` with blocking queries, `/v1/txn`,
//! `/v1/session`. Its semantics are those seen on a real server: a conflict is 409, 64 operations a transaction at most,
//! indexes below 1 are refused, the index of a prefix goes backwards when tombstones are reaped, an expired session deletes
//! what it locks, sessions and locks survive a restart.
//!
//! Sessions end after half of their time to live, which is 10 s at least.

mod http;
mod store;

use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use store::Store;

use crate::Netns;
use crate::thread_netns::inside;

/// Consul's least time to live is 10 s, too long for a test.
pub(crate) const SPEED: u32 = 2;

/// The usual port.
const PORT: u16 = 8500;

/// Pause between two looks for expired sessions and new connections.
const TICK: Duration = Duration::from_millis(10);

/// State that the threads of connections share.
#[derive(Debug, Default)]
struct Shared {
    store: Mutex<Store>,
    changed: Condvar,
    is_stopped: AtomicBool,
    is_frozen: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
    token: Option<String>,
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("store")
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }
}

/// A server on a port of the loopback, or in a namespace on the usual port.
#[derive(Debug)]
pub struct Consul {
    address: SocketAddr,
    /// File of the namespace that it listens in.
    netns: Option<PathBuf>,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Consul {
    /// Starts a server; with a token it refuses every other one.
    pub fn start(token: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let shared = Shared { token: token.map(str::to_owned), ..Shared::default() };
        let shared = Arc::new(shared);
        let mut server = Self { address, netns: None, shared, acceptor: None };
        server.serve(listener);
        server
    }

    /// Starts a server in a namespace that has the address.
    pub fn inside(netns: &Netns, address: IpAddr) -> Self {
        let (address, netns) = (SocketAddr::new(address, PORT), Some(netns.path().to_owned()));
        let mut server = Self { address, netns, shared: Arc::default(), acceptor: None };
        server.serve(server.listen());
        server
    }

    fn listen(&self) -> TcpListener {
        inside(self.netns.as_deref(), || TcpListener::bind(self.address)).expect("bind")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the server and its connections, and keeps its data.
    pub fn stop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        for connection in self.shared.connections.lock().expect("connections").drain(..) {
            // Its other end may be gone.
            let _ = connection.shutdown(Shutdown::Both);
        }
        self.shared.changed.notify_all();
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().expect("the acceptor ends");
        }
    }

    /// Starts the stopped server at its address.
    pub fn restart(&mut self) {
        self.shared.store().renew_all(Instant::now());
        self.serve(self.listen());
    }

    /// Deletes everything.
    pub fn wipe(&self) {
        *self.shared.store() = Store::default();
    }

    /// Keeps connections and answers nothing.
    pub fn freeze(&self) {
        self.shared.is_frozen.store(true, Ordering::SeqCst);
    }

    /// Goes on.
    pub fn thaw(&self) {
        self.shared.is_frozen.store(false, Ordering::SeqCst);
    }

    /// Forgets what was deleted: indexes of prefixes go backwards.
    pub fn reap_tombstones(&self) {
        self.shared.store().reap_tombstones();
        self.shared.changed.notify_all();
    }

    fn serve(&mut self, listener: TcpListener) {
        self.shared.is_stopped.store(false, Ordering::SeqCst);
        let shared = Arc::clone(&self.shared);
        listener.set_nonblocking(true).expect("nonblocking");
        self.acceptor = Some(std::thread::spawn(move || accept(&listener, &shared)));
    }
}

impl Drop for Consul {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut ticked = Instant::now();
    while !shared.is_stopped() {
        let now = Instant::now();
        if shared.is_frozen.load(Ordering::SeqCst) {
            // Its clock stands, too.
            shared.store().shift_clock(now - ticked);
        } else if shared.store().expire(now) {
            shared.changed.notify_all();
        }
        ticked = now;
        match listener.accept() {
            Ok((connection, _)) => {
                connection.set_nonblocking(false).expect("blocking");
                let copy = connection.try_clone().expect("copy");
                shared.connections.lock().expect("connections").push(copy);
                let shared = Arc::clone(shared);
                std::thread::spawn(move || http::serve(connection, &shared));
            }
            Err(_) => std::thread::sleep(TICK),
        }
    }
}
