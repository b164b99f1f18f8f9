//! Hears the SYNs to all ports of the proxy, and has the port's task decide.
//!
//! Without `CAP_NET_RAW`, or where the kernel lacks a part of it, nothing is loaded: the kernel accepts, and a client whose
//! container refuses gets a reset afterwards.

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

use super::syn::{RawSocket, Syn};
use crate::host::limits::{
    NFT_ANSWER_MAX, PROXY_ERROR_PAUSE, PROXY_SYNS_MAX, SYN_BUFFER, SYN_GROUP, SYN_GROUPS_TRIED,
};
use crate::host::nft::{NftError, SynTable};
use crate::host::task::Task;

/// Bytes of a packet that are wanted, and of a message with it.
const PACKET_LEN: u32 = 100;
const MESSAGE_LEN: u32 = 512;

/// A port's task, and the address that its socket is bound to.
#[derive(Debug)]
struct Listener {
    at: Ipv6Addr,
    syns: mpsc::Sender<Syn>,
}

/// The tasks of ports.
#[derive(Debug, Clone, Default)]
struct SynListeners(Arc<Mutex<HashMap<u16, Listener>>>);

impl SynListeners {
    fn forget<'a>(&self, ports: impl Iterator<Item = &'a u16>) {
        let mut listeners = self.lock();
        ports.for_each(|port| drop(listeners.remove(port)));
    }

    /// Gives a SYN to the task of its port; lets it pass if there is none, or it has too many.
    fn give(&self, syn: Syn) {
        let listeners = self.lock();
        let (address, port) = syn.to;
        let is_for = |it: &&Listener| it.at.is_unspecified() || it.at == address;
        let surplus = match listeners.get(&port).filter(is_for) {
            Some(listener) => listener.syns.try_send(syn).err().map(|error| match error {
                mpsc::error::TrySendError::Full(syn) | mpsc::error::TrySendError::Closed(syn) => {
                    syn
                }
            }),
            None => Some(syn),
        };
        drop(listeners);
        surplus.iter().for_each(Syn::repeat);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u16, Listener>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
enum State {
    /// No port is served.
    Idle,
    Loaded(SynTable, Task),
    /// The kernel has refused.
    Unavailable,
}

/// Hears SYNs while there are ports.
#[derive(Debug)]
pub(in crate::host) struct SynWatch {
    bridge: String,
    listeners: SynListeners,
    ports: BTreeSet<u16>,
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

impl SynWatch {
    pub(in crate::host) fn new(bridge: &str) -> Self {
        let (listeners, ports) = (SynListeners::default(), BTreeSet::new());
        Self { bridge: bridge.to_owned(), listeners, ports, state: State::Idle }
    }

    /// The SYNs to a socket at this address from now on, if its port is heard; none for another family.
    pub(super) fn listen(&self, at: Option<SocketAddr>) -> mpsc::Receiver<Syn> {
        let (syns, heard) = mpsc::channel(PROXY_SYNS_MAX);
        if let Some(SocketAddr::V6(at)) = at {
            self.listeners.lock().insert(at.port(), Listener { at: *at.ip(), syns });
        }
        heard
    }

    /// Hears the SYNs to other ports than before, of those of publications that change.
    pub(in crate::host) async fn change_ports(
        &mut self,
        former: &BTreeSet<u16>,
        ports: &BTreeSet<u16>,
    ) {
        let (gone, new): (BTreeSet<u16>, BTreeSet<u16>) = (former - ports, ports - former);
        self.listeners.forget(gone.iter());
        self.ports.retain(|port| !gone.contains(port));
        self.ports.extend(&new);
        let result = match std::mem::replace(&mut self.state, State::Idle) {
            State::Unavailable => Ok(State::Unavailable),
            _ if self.ports.is_empty() => Ok(State::Idle),
            State::Idle => self.load().await,
            State::Loaded(table, task) => match table.change(gone, new).await {
                Ok(table) => Ok(State::Loaded(table, task)),
                // Somebody deleted a part of it.
                Err(error) => {
                    tracing::debug!(%error, "loading the rules for SYNs to [::1] again");
                    self.load().await
                }
            },
        };
        self.state = result.unwrap_or_else(|error| {
            tracing::info!(
                %error,
                "connections to published ports on [::1] are accepted before the container is asked"
            );
            State::Unavailable
        });
    }

    async fn load(&self) -> Result<State, WatchError> {
        let raw = RawSocket::open().map_err(WatchError::Raw)?;
        let (socket, group) = bind_group().map_err(WatchError::Group)?;
        let socket = datagrams(socket).map_err(WatchError::Group)?;
        let task = Task::spawn(watch(socket, raw, self.listeners.clone()));
        let table = SynTable::load(&self.bridge, group, self.ports.clone()).await?;
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

async fn watch(socket: UdpSocket, raw: RawSocket, listeners: SynListeners) {
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
