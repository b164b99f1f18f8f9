//! The server of a run: threads that accept a connection and serve it, in turn.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_recv_buffer_size, set_socket_reuseaddr};
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, acceptfrom_with, bind, listen, socket_with,
};

use super::fault::Fault;
use super::ready::wait;
use super::report::Report;
use super::shape::{Deaths, End, Listener, Mix, Plan};
use super::talk::{Common, FINISH, set_options};

const BACKLOG: i32 = 1024;

/// Receive buffer of connections of the small listener: the kernel doubles it.
const SMALL_BUFFER: usize = 4096;

/// How late the late listener accepts.
const LATE: Duration = Duration::from_millis(2);

/// A server does not live as long.
const FOREVER: Duration = Duration::from_secs(86_400);

/// Stack of a connection's thread.
const STACK_LEN: usize = 128 << 10;

/// Checks, one after the other, that find nothing to do before the server ends: a client that was served may have
/// left connections that wait for `accept`.
const QUIET: u32 = 4;

/// A server, and what its threads share.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) common: Common,
    pub(super) mix: Mix,
    pub(super) port: u16,
    pub(super) deaths: Deaths,
    pub(super) report: Report,
    /// Connections that are being served.
    pub(super) open: AtomicUsize,
}

/// A socket that listens.
#[derive(Debug)]
struct Bound {
    socket: OwnedFd,
    kind: Listener,
    /// Threads that wait in `accept`.
    idle: AtomicUsize,
}

impl Server {
    /// Serves until a client says that it was the last one, and all connections have ended.
    ///
    /// # Errors
    /// A port cannot be bound.
    pub(super) fn run(&self) -> Result<(), Fault> {
        let bound = |(n, kind)| {
            let socket = self.bind(kind, self.port + n)?;
            Ok(Bound { socket, kind, idle: AtomicUsize::new(0) })
        };
        let listeners = (0..).zip(Listener::ALL).map(bound).collect::<Result<Vec<_>, Fault>>()?;
        let (finish, finished) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| self.common.signals.run(self.common.seed));
            for listener in &listeners {
                // Accepts for ever: the process ends below.
                self.start(scope, listener, finish.clone());
            }
            let _ = finished.recv();
            let mut quiet = 0;
            while quiet < QUIET {
                std::thread::sleep(Duration::from_millis(5));
                let mut waiting = listeners
                    .iter()
                    .map(|it| wait(&it.socket, PollFlags::IN, Duration::ZERO).is_ok());
                let is_busy =
                    waiting.any(|is_waiting| is_waiting) || self.open.load(Ordering::Acquire) > 1;
                quiet = if is_busy { 0 } else { quiet + 1 };
            }
            self.report.close(&self.common.waits);
            std::process::exit(0);
        })
    }

    /// Starts a thread that accepts and serves.
    fn start<'scope>(
        &'scope self,
        scope: &'scope std::thread::Scope<'scope, '_>,
        bound: &'scope Bound,
        finish: Sender<()>,
    ) {
        bound.idle.fetch_add(1, Ordering::AcqRel);
        let thread = std::thread::Builder::new().stack_size(STACK_LEN);
        let spawned = thread.spawn_scoped(scope, move || {
            loop {
                let (socket, peer) = Self::accept(bound);
                self.open.fetch_add(1, Ordering::AcqRel);
                if bound.idle.fetch_sub(1, Ordering::AcqRel) == 1 {
                    self.start(scope, bound, finish.clone());
                }
                self.serve(socket, bound.kind, peer, &finish);
                self.open.fetch_sub(1, Ordering::AcqRel);
                bound.idle.fetch_add(1, Ordering::AcqRel);
            }
        });
        spawned.expect("a thread for connections");
    }

    fn accept(bound: &Bound) -> (OwnedFd, Option<SocketAddr>) {
        loop {
            if bound.kind == Listener::Late {
                let _ = wait(&bound.socket, PollFlags::IN, FOREVER);
                std::thread::sleep(LATE);
            }
            if let Ok((socket, peer)) = acceptfrom_with(&bound.socket, SocketFlags::CLOEXEC) {
                return (socket, peer.and_then(|peer| SocketAddr::try_from(peer).ok()));
            }
        }
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

    fn serve(
        &self,
        socket: OwnedFd,
        kind: Listener,
        peer: Option<SocketAddr>,
        finish: &Sender<()>,
    ) {
        let port = peer.map_or(0, |peer| peer.port());
        let header = self.header(&socket, kind, port);
        let number = match header {
            Ok(Some(FINISH)) => {
                let _ = finish.send(());
                // Counted as open until the process ends. A thread that has had others may be unparked already.
                loop {
                    std::thread::park();
                }
            }
            Ok(Some(number)) => number,
            Ok(None) | Err(Fault::Gone(_)) if self.deaths != Deaths::None => return,
            Ok(None) => {
                let fault = Fault::Corrupt("the end before the header".into());
                return self
                    .report
                    .add(Err(fault), || format!("a connection from {peer:?} to {kind:?}"));
            }
            Err(fault) => {
                return self
                    .report
                    .add(Err(fault), || format!("a connection from {peer:?} to {kind:?}"));
            }
        };
        let plan = Plan::new(self.common.seed, number, self.mix);
        let set = set_options(&socket, plan.server);
        let result = set.and_then(|()| self.common.talk(&plan, number, End::Server, socket, false));
        let result = match result {
            Err(fault) if self.deaths != Deaths::None && fault.is_of_death() => Ok(()),
            other => other.map(drop),
        };
        self.report.add(result, || format!("connection {number}, port {port}: {plan:?}"));
    }

    fn header(&self, socket: &OwnedFd, kind: Listener, port: u16) -> Result<Option<u64>, Fault> {
        self.common.set_limits(socket, true)?;
        if kind == Listener::Greets {
            self.common.greet(socket, port)?;
        }
        self.common.receive_header(socket)
    }
}
