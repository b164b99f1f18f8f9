//! Connections that are opened, used for a byte each way, and reset.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::net::sockopt::set_socket_linger;
use serde_json::json;

use super::{say, serve_in_threads};

/// Accepts in several threads, until standard input ends.
pub(super) fn accept(port: u16, threads: usize) -> Result<()> {
    let here = (Ipv4Addr::UNSPECIFIED, port);
    let listener = TcpListener::bind(here).with_context(|| format!("bind port {port}"))?;
    for _ in 0..threads {
        let listener = listener.try_clone().context("a listener for a thread")?;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away ends its connection only.
                let _ = answer(stream);
            }
        });
    }
    serve_in_threads()
}

/// Gives the byte back, and waits for the client's reset.
fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    stream.write_all(&byte)?;
    stream.read(&mut byte).map(drop)
}

/// Opens connections from several threads, and prints how many a second there were.
pub(super) fn connect(to: SocketAddr, clients: usize, seconds: u64) -> Result<()> {
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds);
    let clients: Vec<_> = (0..clients)
        .map(|_| {
            std::thread::spawn(move || -> Result<u64> {
                let mut count = 0;
                while Instant::now() < end {
                    once(to)?;
                    count += 1;
                }
                Ok(count)
            })
        })
        .collect();
    let mut count = 0;
    for client in clients {
        count += client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    say(json!({ "connections": count, "per_second": rate }))
}

fn once(to: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(to).with_context(|| format!("connect to {to}"))?;
    set_socket_linger(&stream, Some(Duration::ZERO)).context("SO_LINGER")?;
    let mut byte = [b'x'];
    stream.write_all(&byte).context("send")?;
    stream.read_exact(&mut byte).context("receive")
}

#[cfg(test)]
mod tests;
