//! The server of a run: one thread for each connection.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::net::sockopt::{set_ipv6_v6only, set_socket_recv_buffer_size, set_socket_reuseaddr};
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, acceptfrom_with, bind, listen, socket_with,
};

use super::fault::Fault;
use super::plan::{End, Listener, Mix, Plan};
use super::report::Report;
use super::talk::{Common, FINISH, set_options};

const BACKLOG: i32 = 1024;

/// Receive buffer of connections of the small listener: the kernel doubles it.
const SMALL_BUFFER: usize = 4096;

/// How late the late listener accepts.
const LATE: Duration = Duration::from_millis(2);

/// Stack of a connection's thread.
const STACK_LEN: usize = 128 << 10;

/// A server, and what its threads share.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) common: Common,
    pub(super) mix: Mix,
    pub(super) port: u16,
    /// Clients may be killed.
    pub(super) has_deaths: bool,
    pub(super) report: Report,
    pub(super) open: AtomicUsize,
}

impl Server {
    /// Serves until a client says that it was the last one, and all connections have ended.
    ///
    /// # Errors
    /// A port cannot be bound.
    pub(super) fn run(&self) -> Result<(), Fault> {
        let bound = |(n, kind)| Ok((self.bind(kind, self.port + n)?, kind));
        let listeners = (0..).zip(Listener::ALL).map(bound).collect::<Result<Vec<_>, Fault>>()?;
        let (finish, finished) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            for (listener, kind) in &listeners {
                let finish = finish.clone();
                // Accepts for ever: the process ends below.
                scope.spawn(move || self.accept(scope, listener, *kind, &finish));
            }
            let _ = finished.recv();
            while self.open.load(Ordering::Acquire) > 1 {
                std::thread::sleep(Duration::from_millis(5));
            }
            self.report.close();
            std::process::exit(0);
        })
    }

    fn bind(&self, kind: Listener, port: u16) -> Result<OwnedFd, Fault> {
        let set = || {
            let family =
                if kind == Listener::V4 { AddressFamily::INET } else { AddressFamily::INET6 };
            let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
            set_socket_reuseaddr(&socket, true)?;
            if kind == Listener::V4 {
                bind(&socket, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?;
            } else {
                set_ipv6_v6only(&socket, kind == Listener::V6)?;
                bind(&socket, &SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0))?;
            }
            if kind == Listener::Small {
                set_socket_recv_buffer_size(&socket, SMALL_BUFFER)?;
            }
            listen(&socket, BACKLOG)?;
            Ok(socket)
        };
        set().map_err(|errno| Fault::of(&format!("listen at port {port}"), 0, errno))
    }

    fn accept<'scope>(
        &'scope self,
        scope: &'scope std::thread::Scope<'scope, '_>,
        listener: &OwnedFd,
        kind: Listener,
        finish: &std::sync::mpsc::Sender<()>,
    ) {
        loop {
            if kind == Listener::Late {
                std::thread::sleep(LATE);
            }
            let Ok((socket, peer)) = acceptfrom_with(listener, SocketFlags::CLOEXEC) else {
                continue;
            };
            let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
            self.open.fetch_add(1, Ordering::AcqRel);
            let finish = finish.clone();
            let thread = std::thread::Builder::new().stack_size(STACK_LEN);
            let spawned = thread.spawn_scoped(scope, move || {
                self.serve(socket, kind, peer, &finish);
                self.open.fetch_sub(1, Ordering::AcqRel);
            });
            spawned.expect("a thread for a connection");
        }
    }

    fn serve(
        &self,
        socket: OwnedFd,
        kind: Listener,
        peer: Option<SocketAddr>,
        finish: &std::sync::mpsc::Sender<()>,
    ) {
        let port = peer.map_or(0, |peer| peer.port());
        let header = self.header(&socket, kind, port);
        let number = match header {
            Ok(Some(FINISH)) => {
                let _ = finish.send(());
                // Counted as open until the process ends.
                std::thread::park();
                return;
            }
            Ok(Some(number)) => number,
            Ok(None) | Err(Fault::Gone(_)) if self.has_deaths => return,
            Ok(None) => {
                let fault = Fault::Corrupt("the end before the header".into());
                return self
                    .report
                    .add(Err(fault), &format!("a connection from {peer:?} to {kind:?}"));
            }
            Err(fault) => {
                return self
                    .report
                    .add(Err(fault), &format!("a connection from {peer:?} to {kind:?}"));
            }
        };
        let plan = Plan::new(self.common.seed, number, self.mix);
        let set = set_options(&socket, plan.server);
        let result = set.and_then(|()| self.common.talk(&plan, number, End::Server, socket));
        let result = match result {
            Err(fault) if self.has_deaths && fault.is_of_death() => Ok(()),
            other => other.map(drop),
        };
        self.report.add(result, &format!("connection {number}, port {port}: {plan:?}"));
    }

    fn header(&self, socket: &OwnedFd, kind: Listener, port: u16) -> Result<Option<u64>, Fault> {
        self.common.set_limits(socket)?;
        if kind == Listener::Greets {
            self.common.greet(socket, port)?;
        }
        self.common.receive_header(socket)
    }
}
