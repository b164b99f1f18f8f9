//! Hears the SYNs to all sockets of the proxy, and has the port's task decide.
//!
//! Without `CAP_NET_RAW`, or where the kernel lacks a part of it, nothing is loaded: the kernel accepts, and a client whose
//! container refuses gets a reset afterwards.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::io::{self, ErrorKind};
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{RecvFlags, recv};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use vswitch_sys::log_group;
use vswitch_sys::query::{self, Answer};
use vswitch_sys::socket::Socket;

use super::syn::{RawSockets, Syn};
use crate::host::limits::{
    NFT_ANSWER_MAX, PROXY_ERROR_PAUSE, PROXY_SYNS_MAX, SYN_BUFFER, SYN_GROUP, SYN_GROUPS_TRIED,
};
use crate::host::nft::{BoundTo, NftError, SynTable};
use crate::host::task::Task;

/// Bytes of a packet that are wanted, and of a message with it.
const PACKET_LEN: u32 = 100;
const MESSAGE_LEN: u32 = 512;

/// The tasks of ports, by what their sockets are bound to.
#[derive(Debug, Clone, Default)]
struct SynListeners(Arc<Mutex<HashMap<BoundTo, mpsc::Sender<Syn>>>>);

impl SynListeners {
    fn forget<'a>(&self, sockets: impl Iterator<Item = &'a BoundTo>) {
        let mut listeners = self.lock();
        sockets.for_each(|socket| drop(listeners.remove(socket)));
    }

    /// Gives a SYN to the task of its port; lets it pass if there is none, or it has too many.
    fn give(&self, syn: Syn) {
        let listeners = self.lock();
        let at_all = (Ipv6Addr::UNSPECIFIED, syn.to.1);
        let surplus = match listeners.get(&syn.to).or_else(|| listeners.get(&at_all)) {
            Some(listener) => listener.try_send(syn).err().map(|error| match error {
                mpsc::error::TrySendError::Full(syn) | mpsc::error::TrySendError::Closed(syn) => {
                    syn
                }
            }),
            None => Some(syn),
        };
        drop(listeners);
        surplus.iter().for_each(Syn::repeat);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BoundTo, mpsc::Sender<Syn>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
enum State {
    /// No socket is served.
    Idle,
    Loaded(SynTable, Task),
    /// The kernel has refused for the moment.
    Refused,
    /// The kernel lacks a part, or the process a privilege.
    Unavailable,
}

/// Hears SYNs while there are sockets.
#[derive(Debug)]
pub(in crate::host) struct SynWatch {
    bridge: String,
    listeners: SynListeners,
    sockets: BTreeSet<BoundTo>,
    state: State,
}

#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error("a raw socket: {0}")]
    Raw(#[source] io::Error),
    #[error("a log group: {0}")]
    Group(#[source] io::Error),
    #[error(transparent)]
    Table(#[from] NftError),
}

impl WatchError {
    /// Whether another try would end in the same way: the kernel lacks a part, or the process a privilege.
    fn is_final(&self) -> bool {
        match self {
            Self::Raw(error) => {
                let errno = Errno::from_io_error(error);
                matches!(errno, Some(Errno::PERM | Errno::ACCESS)) || lacks_part(error)
            }
            // Not a lack of privileges: a group or a table that another process still has is one that we may not change.
            Self::Group(error) | Self::Table(NftError::Refused { source: error, .. }) => {
                lacks_part(error)
            }
            Self::Table(_) => false,
        }
    }
}

/// Whether an error says that the kernel lacks a protocol, an expression, or a flag.
fn lacks_part(error: &io::Error) -> bool {
    let lacking =
        [Errno::OPNOTSUPP, Errno::INVAL, Errno::NOENT, Errno::PROTONOSUPPORT, Errno::AFNOSUPPORT];
    Errno::from_io_error(error).is_some_and(|errno| lacking.contains(&errno))
}

impl SynWatch {
    pub(in crate::host) fn new(bridge: &str) -> Self {
        let (listeners, sockets) = (SynListeners::default(), BTreeSet::new());
        Self { bridge: bridge.to_owned(), listeners, sockets, state: State::Idle }
    }

    /// The SYNs to a socket at this address from now on, if it is heard; none for another family.
    pub(super) fn listen(&self, at: Option<SocketAddr>) -> mpsc::Receiver<Syn> {
        let (syns, heard) = mpsc::channel(PROXY_SYNS_MAX);
        if let Some(SocketAddr::V6(at)) = at {
            self.listeners.lock().insert((*at.ip(), at.port()), syns);
        }
        heard
    }

    /// Hears the SYNs to other sockets than before, of those of publications that change.
    pub(in crate::host) async fn change(
        &mut self,
        former: &BTreeSet<BoundTo>,
        sockets: &BTreeSet<BoundTo>,
    ) {
        let (gone, new): (BTreeSet<_>, BTreeSet<_>) = (former - sockets, sockets - former);
        self.listeners.forget(gone.iter());
        self.sockets.retain(|socket| !gone.contains(socket));
        self.sockets.extend(&new);
        let former = std::mem::replace(&mut self.state, State::Idle);
        let is_warned = matches!(former, State::Refused);
        let result = match former {
            State::Unavailable => Ok(State::Unavailable),
            _ if self.sockets.is_empty() => Ok(State::Idle),
            State::Idle | State::Refused => self.load().await,
            State::Loaded(table, task) => match table.change(gone, new).await {
                Ok(table) => Ok(State::Loaded(table, task)),
                // Somebody deleted a part of it.
                Err(error) => {
                    tracing::debug!(%error, "loading the rules for SYNs to [::1] again");
                    self.load().await
                }
            },
        };
        self.adopt(result, is_warned);
    }

    /// Tries again what the kernel has refused for the moment.
    pub(in crate::host) async fn try_again(&mut self) {
        if matches!(self.state, State::Refused) {
            let result = self.load().await;
            self.adopt(result, true);
        }
    }

    fn adopt(&mut self, result: Result<State, WatchError>, is_warned: bool) {
        self.state = result.unwrap_or_else(|error| {
            if error.is_final() {
                tracing::info!(
                    %error,
                    "connections to published ports on [::1] are accepted before the container is asked"
                );
                return State::Unavailable;
            }
            if !is_warned {
                tracing::warn!(
                    %error,
                    "connections to published ports on [::1] are accepted before the container is asked; it is tried again"
                );
            }
            State::Refused
        });
    }

    async fn load(&self) -> Result<State, WatchError> {
        let raw = RawSockets::open().map_err(WatchError::Raw)?;
        let (socket, group) = bind_group().map_err(WatchError::Group)?;
        let socket = datagrams(socket).map_err(WatchError::Group)?;
        let task = Task::spawn(watch(socket, raw, self.listeners.clone()));
        let table = SynTable::load(&self.bridge, group, self.sockets.clone()).await?;
        Ok(State::Loaded(table, task))
    }
}

/// A socket that has a log group of its own.
fn bind_group() -> io::Result<(Socket, u16)> {
    let socket = Socket::open()?;
    sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(NFT_ANSWER_MAX))?;
    if let Err(error) = sockopt::set_socket_recv_buffer_size_force(&socket, SYN_BUFFER) {
        tracing::debug!(%error, "the receive buffer for SYNs stays small");
    }
    let mut groups = SYN_GROUP..SYN_GROUP + SYN_GROUPS_TRIED;
    let group = loop {
        let group = groups.next().ok_or(ErrorKind::AddrInUse)?;
        match request(&socket, &log_group::bind(group, 1)) {
            Ok(()) => break group,
            // Another program has it: the kernel has either word for that.
            Err(error) if is_taken(&error) && group + 1 < groups.end => {}
            Err(error) => return Err(error),
        }
    };
    request(&socket, &log_group::copy_packets(group, 2, (PACKET_LEN, MESSAGE_LEN)))?;
    Ok((socket, group))
}

fn is_taken(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::BUSY | Errno::PERM))
}

fn request(socket: &Socket, message: &[u8]) -> io::Result<()> {
    socket.send(message)?;
    let mut buffer = [0_u8; 1024];
    loop {
        let (len, _) = recv(socket, &mut buffer[..], RecvFlags::empty())?;
        for answer in query::messages(&buffer[..len]).filter_map(query::read) {
            match answer {
                Answer::Ack { errno: 0, .. } => return Ok(()),
                Answer::Ack { errno, .. } => return Err(io::Error::from_raw_os_error(errno)),
                _ => {}
            }
        }
    }
}

/// A netlink socket as one of datagrams, which tokio waits for: reading them is the same.
fn datagrams(socket: Socket) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::from(OwnedFd::from(socket));
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

async fn watch(socket: UdpSocket, raw: RawSockets, listeners: SynListeners) {
    let mut buffer = vec![0_u8; usize::from(u16::MAX) + 1];
    loop {
        match socket.recv(&mut buffer).await {
            Ok(len) => {
                let packets = query::messages(&buffer[..len]).filter_map(log_group::packet);
                let syns = packets.filter_map(|packet| Syn::read(packet, &raw));
                syns.for_each(|syn| listeners.give(syn));
            }
            // Lost ones come again.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot hear SYNs to [::1]");
                tokio::time::sleep(PROXY_ERROR_PAUSE).await;
            }
        }
    }
}
