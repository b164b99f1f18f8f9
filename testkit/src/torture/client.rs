//! The client of a run: rounds of connections, 1 to 64 of them in parallel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::sockopt::socket_error;
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, connect, getsockname, socket_with,
};

use super::fault::Fault;
use super::ready::wait;
use super::report::Report;
use super::rng::Rng;
use super::shape::{Deaths, End, Family, Listener, Mix, Order, Plan, Side, Wait};
use super::talk::{Common, FINISH, set_options};

/// Connections in parallel, at most.
const PARALLEL_MAX: usize = 64;

/// Connections of each thread in a round.
const ROUND: u64 = 60;

/// Time after which a client comes back to a server that was killed.
const RETRY: Duration = Duration::from_millis(5);

/// A client, and what its threads share.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) common: Common,
    pub(super) mix: Mix,
    pub(super) v4: Ipv4Addr,
    pub(super) v6: Ipv6Addr,
    pub(super) port: u16,
    pub(super) deaths: Deaths,
    pub(super) report: Report,
    /// The server was killed for the last time.
    pub(super) is_over: AtomicBool,
}

impl Client {
    /// Makes the connections of these numbers, then tells the server that it was the last client, if it is.
    pub(super) fn run(&self, numbers: std::ops::Range<u64>, is_last: bool) -> Result<(), Fault> {
        let rng = &mut Rng::new(self.common.seed ^ numbers.start);
        let next = AtomicU64::new(numbers.start);
        while next.load(Ordering::Relaxed) < numbers.end && !self.is_at_end() {
            let parallel = match rng.within(0, 6) {
                power @ 0..6 if self.deaths != Deaths::Last => 1 << power,
                _ => PARALLEL_MAX,
            };
            let end = numbers.end.min(next.load(Ordering::Relaxed) + parallel as u64 * ROUND);
            std::thread::scope(|scope| {
                for _ in 0..parallel {
                    scope.spawn(|| self.connections(&next, end));
                }
            });
            next.store(end, Ordering::Relaxed);
        }
        self.report.close(&self.common.waits);
        if !is_last {
            return Ok(());
        }
        let socket = self.socket(Family::V4)?;
        let to = self.address(Listener::V4, Family::V4);
        connect(&socket, &to).map_err(|errno| Fault::of("connect", 0, errno))?;
        self.common.send_header(&socket, FINISH, SendFlags::empty())
    }

    fn is_at_end(&self) -> bool {
        self.report.is_enough() || self.is_over.load(Ordering::Relaxed)
    }

    fn connections(&self, next: &AtomicU64, end: u64) {
        let mut kept = None;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= end || self.is_at_end() {
                return;
            }
            let plan = Plan::new(self.common.seed, number, self.mix);
            // A socket that was v4-mapped does not connect to an IPv6 address: its handshake times out.
            let reused = kept.take_if(|(_, family)| *family == plan.family);
            let reused = reused.map(|(socket, _)| socket);
            let what = if reused.is_some() { "reused for" } else { "of" };
            let result = match self.connection(&plan, number, reused) {
                Ok(socket) => {
                    kept = socket.map(|socket| (socket, plan.family));
                    Ok(())
                }
                Err(fault) if self.deaths != Deaths::None && fault.is_of_death() => {
                    self.is_over.store(self.deaths == Deaths::Last, Ordering::Relaxed);
                    std::thread::sleep(RETRY);
                    Ok(())
                }
                Err(fault) => Err(fault),
            };
            self.report.add(result, || format!("a socket {what} connection {number}: {plan:?}"));
        }
    }

    /// One connection; the socket comes back after a disconnect.
    fn connection(
        &self,
        plan: &Plan,
        number: u64,
        reused: Option<OwnedFd>,
    ) -> Result<Option<OwnedFd>, Fault> {
        let is_reused = reused.is_some();
        let socket = match reused {
            Some(socket) => socket,
            None => self.socket(plan.family)?,
        };
        self.common.set_limits(&socket, true)?;
        set_options(&socket, plan.client)?;
        self.connect(&socket, plan, plan.client)?;
        if plan.listener == Listener::Greets {
            let own = getsockname(&socket).map_err(|errno| Fault::of("getsockname", 0, errno))?;
            let own =
                SocketAddr::try_from(own).map_err(|errno| Fault::of("getsockname", 0, errno))?;
            self.common.be_greeted(&socket, own.port(), plan.client, is_reused)?;
        }
        // Held back by MSG_MORE, it would wait for a timer unless more follows at once.
        let is_glued = plan.is_glued
            && plan.phases.first().is_some_and(|first| first.order != Order::DownFirst);
        let flags = if is_glued { SendFlags::MORE } else { SendFlags::empty() };
        self.common.send_header(&socket, number, flags)?;
        self.common.talk(plan, number, End::Client, socket, is_reused)
    }

    fn socket(&self, family: Family) -> Result<OwnedFd, Fault> {
        let family = if family == Family::V4 { AddressFamily::INET } else { AddressFamily::INET6 };
        let made = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        made.map_err(|errno| Fault::of("socket", 0, errno))
    }

    fn connect(&self, socket: &OwnedFd, plan: &Plan, side: Side) -> Result<(), Fault> {
        let fault = |errno| Fault::of("connect", 0, errno);
        match connect(socket, &self.address(plan.listener, plan.family)) {
            Err(Errno::INPROGRESS) if side.wait != Wait::Block => {
                wait(socket, PollFlags::OUT, self.common.limit).map_err(fault)?;
                socket_error(socket).and_then(|connected| connected).map_err(fault)
            }
            other => other.map_err(fault),
        }
    }

    fn address(&self, listener: Listener, family: Family) -> SocketAddr {
        let at = Listener::ALL.iter().position(|it| *it == listener).expect("one of all");
        let address = match family {
            Family::V4 => IpAddr::V4(self.v4),
            Family::V6 => IpAddr::V6(self.v6),
            Family::Mapped => IpAddr::V6(self.v4.to_ipv6_mapped()),
        };
        SocketAddr::new(address, self.port + at as u16)
    }
}
