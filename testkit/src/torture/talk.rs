//! One end of one connection, from its header to its close.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::ioctl_fionbio;
use rustix::net::sockopt::{
    Timeout, set_socket_linger, set_socket_oobinline, set_socket_recv_buffer_size,
    set_socket_send_buffer_size, set_socket_timeout, set_tcp_nodelay,
};
use rustix::net::{RecvFlags, SendFlags, Shutdown, connect_unspec, recv, send, shutdown};

use super::bytes::Bytes;
use super::crowd::{self, Crowd};
use super::fault::Fault;
use super::receiver::Receiver;
use super::rng::mix;
use super::sender::Sender;
use super::shape::{End, Extra, Finish, Order, Phase, Plan, Receive, Send, Side, Wait};
use super::signals::Signals;
use super::waits::Waits;

/// Bytes by which a client tells the number of its connection.
const HEADER_LEN: usize = 16;

/// The number by which a client tells that it was the last one.
pub(super) const FINISH: u64 = u64::MAX;

/// Bytes of a greeting, at most.
const GREETING_MAX: u64 = 4000;

/// Bytes that fit into the buffers of a connection, whatever the other end does.
const FITS: usize = 2000;

/// Keys of the streams of a connection.
const UP: u64 = 1;
const DOWN: u64 = 2;
const CROWD: u64 = 3;
const GREETING: u64 = 4;

/// What both ends of a run have in common.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) seed: u64,
    pub(super) bytes: Bytes,
    /// Time without progress after which a call is stuck.
    pub(super) limit: Duration,
    pub(super) is_strict: bool,
    pub(super) waits: Waits,
    pub(super) signals: Signals,
}

/// Options of a socket that has or will have a connection.
pub(super) fn set_options(socket: &OwnedFd, side: Side) -> Result<(), Fault> {
    let set = || {
        ioctl_fionbio(socket, side.wait != Wait::Block)?;
        if let Some(len) = side.receive_buffer {
            set_socket_recv_buffer_size(socket, len)?;
        }
        if let Some(len) = side.send_buffer {
            set_socket_send_buffer_size(socket, len)?;
        }
        if side.nodelay { set_tcp_nodelay(socket, true) } else { Ok(()) }
    };
    set().map_err(|errno| Fault::of("setsockopt", 0, errno))
}

impl Common {
    /// Sets the time limit of calls that block, or takes it away.
    pub(super) fn set_limits(&self, socket: &OwnedFd, is_limited: bool) -> Result<(), Fault> {
        for which in [Timeout::Recv, Timeout::Send] {
            let set = set_socket_timeout(socket, which, is_limited.then_some(self.limit));
            set.map_err(|errno| Fault::of("setsockopt of a timeout", 0, errno))?;
        }
        Ok(())
    }

    fn header(&self, number: u64) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        header[..8].copy_from_slice(&number.to_be_bytes());
        header[8..].copy_from_slice(&mix(!self.seed, number).to_be_bytes());
        header
    }

    /// Sends the number of a connection.
    pub(super) fn send_header(
        &self,
        socket: &OwnedFd,
        number: u64,
        flags: SendFlags,
    ) -> Result<(), Fault> {
        let sent = send(socket, &self.header(number), flags);
        match sent.map_err(|errno| Fault::of("send of the header", 0, errno))? {
            HEADER_LEN => Ok(()),
            len => Err(Fault::Error(format!("send gives {len} of a header of {HEADER_LEN} bytes"))),
        }
    }

    /// Reads the number of a connection; none when the client was gone before.
    pub(super) fn receive_header(&self, socket: &OwnedFd) -> Result<Option<u64>, Fault> {
        let mut header = [0; HEADER_LEN];
        let mut at = 0;
        while at < HEADER_LEN {
            let found = recv(socket, &mut header[at..], RecvFlags::empty());
            match found.map_err(|errno| Fault::of("recv of the header", at, errno))? {
                (0, _) if at == 0 => return Ok(None),
                (0, _) => return Err(Fault::Short(format!("the end at {at} of the header"))),
                (len, _) => at += len,
            }
        }
        let number = u64::from_be_bytes(header[..8].try_into().expect("eight bytes"));
        if header != self.header(number) {
            let stream = self.bytes.stream(0);
            let text = stream.check(0, &header).err().unwrap_or_default();
            return Err(Fault::Corrupt(format!("header {header:02x?}: {text}")));
        }
        Ok(Some(number))
    }

    /// The server's first bytes to the client of a port.
    fn greeting(&self, port: u16) -> (u64, usize) {
        let key = mix(self.seed ^ GREETING, port.into());
        (key, 1 + (key % GREETING_MAX) as usize)
    }

    pub(super) fn greet(&self, socket: &OwnedFd, port: u16) -> Result<(), Fault> {
        let (key, len) = self.greeting(port);
        let how = (Send::Plain(1000), Wait::Block);
        Sender::new(socket, self.bytes.stream(key), how, self.limit).all(len)
    }

    pub(super) fn be_greeted(
        &self,
        socket: &OwnedFd,
        port: u16,
        side: Side,
        is_reused: bool,
    ) -> Result<(), Fault> {
        let (key, len) = self.greeting(port);
        self.receiver(socket, key, side).of_reused(is_reused).exact(len)
    }

    fn receiver<'a>(&'a self, socket: &'a OwnedFd, key: u64, side: Side) -> Receiver<'a> {
        let receiver = Receiver::new(socket, self.bytes.stream(key), side, self.limit);
        receiver.with_strictness(self.is_strict)
    }

    /// Carries out a plan at one end, whose socket comes back after a disconnect.
    pub(super) fn talk(
        &self,
        plan: &Plan,
        number: u64,
        own: End,
        socket: OwnedFd,
        is_reused: bool,
    ) -> Result<Option<OwnedFd>, Fault> {
        let key = mix(self.seed, number);
        let (from, to) = if own == End::Client { (DOWN, UP) } else { (UP, DOWN) };
        let (from, to) = (mix(key, from), mix(key, to));
        let side = plan.side(own);
        let has_signals = plan.signals == Some(own);
        if has_signals {
            // With a time limit calls are not started again: signal(7). The other end has one.
            self.set_limits(&socket, false)?;
        }
        let _target = has_signals.then(|| self.signals.target());
        let receiver = self.receiver(&socket, from, side).with_waits(&self.waits, number);
        let receiver = receiver.of_reused(is_reused);
        let stream = self.bytes.stream(to);
        let mut talk = Talk {
            own,
            socket: &socket,
            wait: side.wait,
            limit: self.limit,
            is_strict: self.is_strict,
            fits: if plan.has_small_buffers() { 0 } else { FITS },
            // A signal ends `MSG_WAITALL` early.
            receiver: receiver.with_strictness(self.is_strict && !has_signals),
            sender: Sender::new(&socket, stream, (side.send, side.wait), self.limit),
        };
        match talk.all(plan, &self.bytes, key) {
            // A reset overtakes bytes that were sent before it.
            Err(fault) if plan.is_reset_by_other(own) && fault.is_of_death() => {}
            other => other?,
        }
        let is_reused = own == End::Client && matches!(plan.finish, Finish::Disconnect);
        Ok(is_reused.then_some(socket))
    }
}

/// One end of a connection.
struct Talk<'a> {
    own: End,
    socket: &'a OwnedFd,
    wait: Wait,
    limit: Duration,
    is_strict: bool,
    /// Bytes that both ends can send before they read.
    fits: usize,
    receiver: Receiver<'a>,
    sender: Sender<'a>,
}

impl Talk<'_> {
    fn all(&mut self, plan: &Plan, bytes: &Bytes, key: u64) -> Result<(), Fault> {
        let turn = plan.side(self.own).turn;
        for (n, phase) in plan.phases.iter().enumerate() {
            if let Some((at, receive, wait)) = turn
                && at == n
            {
                self.turn(receive, wait)?;
            }
            self.phase(phase)?;
        }
        self.extra(plan.extra, bytes, mix(key, CROWD))?;
        self.finish(plan.finish)
    }

    /// Reads and waits in another way from now on.
    fn turn(&mut self, receive: Receive, wait: Wait) -> Result<(), Fault> {
        ioctl_fionbio(self.socket, wait != Wait::Block)
            .map_err(|errno| Fault::of("ioctl(FIONBIO)", 0, errno))?;
        self.wait = wait;
        self.receiver.turn(receive, wait);
        self.sender.turn(wait);
        Ok(())
    }

    fn phase(&mut self, phase: &Phase) -> Result<(), Fault> {
        if !phase.pause.is_zero() {
            std::thread::sleep(phase.pause);
        }
        let (mine, other) = match self.own {
            End::Client => (phase.up, phase.down),
            End::Server => (phase.down, phase.up),
        };
        let first = if phase.order == Order::UpFirst { End::Client } else { End::Server };
        if phase.order == Order::Together && mine.max(other) <= self.fits {
            self.sender.all(mine)?;
            return self.receiver.exact(other);
        }
        if phase.order == Order::Together {
            return self.together(mine, |receiver| receiver.exact(other));
        }
        if first == self.own {
            self.sender.all(mine)?;
            self.receiver.exact(other)
        } else {
            self.receiver.exact(other)?;
            self.sender.all(mine)
        }
    }

    /// Sends while it receives.
    fn together(
        &mut self,
        mine: usize,
        receive: impl FnOnce(&mut Receiver<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let (sender, receiver) = (&mut self.sender, &mut self.receiver);
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| sender.all(mine));
            let received = receive(receiver);
            let sent = sending.join().expect("no thread panics");
            received.and(sent)
        })
    }

    fn extra(&mut self, extra: Extra, bytes: &Bytes, key: u64) -> Result<(), Fault> {
        match extra {
            Extra::None => Ok(()),
            Extra::Crowd { by, threads, each } => {
                let (socket, wait, limit) = (self.socket, self.wait, self.limit);
                let streams = crowd::streams(bytes, key);
                let excused_until = self.receiver.excused_until();
                let crowd = Crowd { socket, wait, limit, streams, threads, each, excused_until };
                if by == self.own { crowd.send_all() } else { crowd.receive_all() }
            }
            Extra::Urgent { by, before, after, .. } if by == self.own => {
                self.sender.all(before)?;
                self.sender.urgent()?;
                self.sender.all(after)
            }
            Extra::Urgent { before, after, inline, .. } => {
                // `splice` and others stop at an urgent byte for good, and where a signal is pending `recv` says `EAGAIN` at it,
                // though there are bytes, so that an edge never comes.
                self.receiver.be_plain();
                // Out of band it is not the same in joined sockets: docs/cut-through.md.
                let inline = inline || !self.is_strict;
                let set = set_socket_oobinline(self.socket, inline);
                set.map_err(|errno| Fault::of("setsockopt(SO_OOBINLINE)", 0, errno))?;
                if inline {
                    return self.receiver.exact(before + 1 + after);
                }
                self.receiver.exact(before)?;
                self.receiver.urgent()?;
                self.receiver.exact(after)
            }
        }
    }

    fn finish(&mut self, finish: Finish) -> Result<(), Fault> {
        match finish {
            Finish::Close { by, tail } if by == self.own => self.sender.all(tail),
            Finish::Close { tail, .. } => {
                self.receiver.exact(tail)?;
                self.receiver.end()
            }
            Finish::Shut { by, answer } if by == self.own => {
                shutdown(self.socket, Shutdown::Write)
                    .map_err(|errno| Fault::of("shutdown", 0, errno))?;
                self.receiver.exact(answer)?;
                self.receiver.end()
            }
            Finish::Shut { answer, .. } => {
                self.receiver.end()?;
                self.sender.all(answer)
            }
            Finish::Reset { by, sent, .. } if by == self.own => {
                self.sender.all(sent)?;
                set_socket_linger(self.socket, Some(Duration::ZERO))
                    .map_err(|errno| Fault::of("setsockopt(SO_LINGER)", 0, errno))
            }
            Finish::Reset { sent, back, .. } => {
                self.together(back, |receiver| receiver.until_gone(sent))
            }
            Finish::Disconnect if self.own == End::Client => {
                connect_unspec(self.socket).map_err(|errno| Fault::of("disconnect", 0, errno))
            }
            Finish::Disconnect => self.receiver.until_gone(0),
        }
    }
}
