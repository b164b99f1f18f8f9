//! A TCP proxy whose link can be cut.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::server::{Link, local};

/// Forwards connections to a server while the link is up.
pub(crate) struct Proxy {
    address: SocketAddr,
    is_up: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts it in the runtime of the caller.
    pub(crate) fn start(server: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind(local(0)).expect("bind");
        listener.set_nonblocking(true).expect("non-blocking");
        let listener = TcpListener::from_std(listener).expect("a listener");
        let address = listener.local_addr().expect("address");
        let (is_up, link) = watch::channel(true);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, server, link.clone()));
            }
        });
        Self { address, is_up, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Link for Proxy {
    /// Ends all connections, and new ones as soon as they are made.
    fn cut(&self) {
        self.is_up.send_replace(false);
    }

    fn heal(&self) {
        self.is_up.send_replace(true);
    }
}

async fn forward(mut client: TcpStream, server: SocketAddr, mut link: watch::Receiver<bool>) {
    if !*link.borrow_and_update() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = link.wait_for(|is_up| !is_up) => {}
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
