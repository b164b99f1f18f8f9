//! Messages to nftables, and its answers.

use std::io;

use rustix::net::sockopt::{self, Timeout};
use rustix::net::{RecvFlags, recv};
use vswitch_sys::Batch;
use vswitch_sys::query::{self, Answer};
use vswitch_sys::socket::Socket;

use crate::host::limits::{NFT_ANSWER_MAX, NFT_BUFFER};

/// Opens a socket for batches; an answer that does not come is an error.
pub(super) fn open() -> io::Result<Socket> {
    let socket = Socket::open()?;
    sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(NFT_ANSWER_MAX))?;
    // The kernel acknowledges each message. A process that lacks the privilege can load no tables either.
    if let Err(error) = sockopt::set_socket_recv_buffer_size_force(&socket, NFT_BUFFER) {
        tracing::debug!(%error, "the receive buffer of the nftables socket stays small");
    }
    // The kernel takes a batch as one datagram.
    if let Err(error) = sockopt::set_socket_send_buffer_size_force(&socket, NFT_BUFFER) {
        tracing::debug!(%error, "the send buffer of the nftables socket stays small");
    }
    Ok(socket)
}

/// Sends a batch and waits for all acknowledgements; an error has the number of the refused message.
pub(super) fn send(socket: &Socket, batch: Batch) -> Result<(), (u32, io::Error)> {
    drain(socket);
    let batch = batch.finalize();
    let mut left = batch.sequence_numbers().len();
    // As separate datagrams, only the first page would be a batch.
    let pages: Vec<&[u8]> = batch.iter().collect();
    socket.send(&pages.concat()).map_err(|error| (0, error))?;
    while left > 0 {
        let mut refused = None;
        receive(socket, |answer| {
            if let Answer::Ack { seq, errno } = answer {
                left = left.saturating_sub(1);
                if errno != 0 && refused.is_none() {
                    refused = Some((seq, io::Error::from_raw_os_error(errno)));
                }
            }
        })
        .map_err(|error| (0, error))?;
        if let Some(refused) = refused {
            return Err(refused);
        }
    }
    Ok(())
}

/// Discards late answers to a failed request.
pub(super) fn drain(socket: &Socket) {
    let mut buffer = vec![0_u8; usize::from(u16::MAX) + 1];
    while recv(socket, &mut buffer[..], RecvFlags::DONTWAIT).is_ok() {}
}

pub(super) fn receive(socket: &Socket, mut each: impl FnMut(Answer)) -> io::Result<()> {
    let mut buffer = vec![0_u8; usize::from(u16::MAX) + 1];
    let (len, _) = recv(socket, &mut buffer[..], RecvFlags::empty())?;
    query::messages(&buffer[..len]).filter_map(query::read).for_each(&mut each);
    Ok(())
}
