//! Queries by TCP (RFC 7766): each with its length before it, answered in the order in which answers come.
//!
//! A connection ends when its client closes it, sends nothing whole for [`TCP_READ_MAX`], does not take an
//! answer within [`TCP_WRITE_MAX`], or sends what is no query. The client's limit of queries bounds those
//! that wait.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hickory_server::net::xfer::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::clients::Permit;
use super::limits::{QUERY_BYTES_MAX, SOCKET_PAUSE, TCP_READ_MAX, TCP_WRITE_MAX};
use super::service::{Outcome, Service};

#[cfg(test)]
mod tests;

/// Accepts connections and serves them, until it is dropped.
pub(super) async fn run(listener: TcpListener, service: Arc<Service>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                if let Some(permit) = service.admit(from) {
                    connections.spawn(serve(stream, from, permit, Arc::clone(&service)));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept a DNS connection");
                tokio::time::sleep(SOCKET_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, from: SocketAddr, _permit: Permit, service: Arc<Service>) {
    let (mut reader, writer) = stream.into_split();
    let writer = Arc::new(Mutex::new(writer));
    let mut waiting = JoinSet::new();
    let mut query = Vec::new();
    loop {
        let read = tokio::select! {
            read = timeout(TCP_READ_MAX, read_query(&mut reader, &mut query)) => read,
            Some(Ok(Err(error))) = waiting.join_next() => return service.count_slow(&error),
        };
        match read {
            Ok(Ok(true)) => {}
            // What still waits gets its answers.
            Ok(Ok(false)) => break,
            Ok(Err(_)) => return,
            Err(_) => return service.count_slow(&io::ErrorKind::TimedOut.into()),
        }
        let written = match service.handle(&query, from, Protocol::Tcp) {
            Outcome::Answer(answer) => write_answer(&writer, &answer).await,
            Outcome::Ignore => return,
            Outcome::Wait(query) => {
                let (service, writer) = (Arc::clone(&service), Arc::clone(&writer));
                waiting.spawn(async move {
                    let answer = service.forward(*query).await;
                    write_answer(&writer, &answer).await
                });
                Ok(())
            }
        };
        if let Err(error) = written {
            return service.count_slow(&error);
        }
    }
    while waiting.join_next().await.is_some() {}
}

impl Service {
    /// Counts a connection that ended since its client was slow.
    fn count_slow(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::TimedOut {
            self.counters.count(|counters| &mut counters.connections_slow);
        }
    }
}

/// Reads a query; false at the end of the stream.
async fn read_query(reader: &mut OwnedReadHalf, query: &mut Vec<u8>) -> io::Result<bool> {
    let length = match reader.read_u16().await {
        Ok(length) => usize::from(length),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        Err(error) => return Err(error),
    };
    if length > QUERY_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    query.resize(length, 0);
    reader.read_exact(query).await?;
    Ok(true)
}

async fn write_answer(writer: &Mutex<OwnedWriteHalf>, answer: &[u8]) -> io::Result<()> {
    let length = u16::try_from(answer.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    // One write, so that a small answer is one segment.
    let bytes = [&length.to_be_bytes()[..], answer].concat();
    let write = async { writer.lock().await.write_all(&bytes).await };
    timeout(TCP_WRITE_MAX, write).await.map_err(|_| io::ErrorKind::TimedOut)?
}
