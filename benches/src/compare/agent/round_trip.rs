//! A window of messages on one connection: a message is sent for each that came back.
//!
//! A message is 16 bytes: its number and the time at which it left. UDP may lose some: when nothing
//! comes back for a while, the window is filled anew and what is missing is counted.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{Protocol, say, serve_in_threads};
use crate::limits::MESSAGE_LIMIT;
use crate::stats::quantile;

const MESSAGE_LEN: usize = 16;

/// Sends back what it gets, until standard input ends.
pub(super) fn echo(protocol: Protocol, port: u16) -> Result<()> {
    let here = (Ipv4Addr::UNSPECIFIED, port);
    match protocol {
        Protocol::Tcp => {
            let listener = TcpListener::bind(here).with_context(|| format!("bind port {port}"))?;
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    // A client that goes away ends its connection only.
                    let _ = echo_stream(stream);
                }
            });
        }
        Protocol::Udp => {
            let socket = UdpSocket::bind(here).with_context(|| format!("bind port {port}"))?;
            std::thread::spawn(move || {
                let mut bytes = [0; 2048];
                while let Ok((len, from)) = socket.recv_from(&mut bytes) {
                    let _ = socket.send_to(&bytes[..len], from);
                }
            });
        }
    }
    serve_in_threads()
}

fn echo_stream(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes)? {
            0 => return Ok(()),
            len => stream.write_all(&bytes[..len])?,
        }
    }
}

/// Measures, and prints percentiles in microseconds.
pub(super) fn measure(
    protocol: Protocol,
    to: SocketAddr,
    outstanding: usize,
    seconds: u64,
) -> Result<()> {
    let time = Duration::from_secs(seconds);
    let mut window = Window::new();
    match protocol {
        Protocol::Tcp => {
            let stream = TcpStream::connect(to).with_context(|| format!("connect to {to}"))?;
            stream.set_nodelay(true).context("TCP_NODELAY")?;
            window.run_stream(stream, outstanding, time)?;
        }
        Protocol::Udp => {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("UDP socket")?;
            socket.connect(to).with_context(|| format!("connect to {to}"))?;
            socket.set_read_timeout(Some(MESSAGE_LIMIT)).context("SO_RCVTIMEO")?;
            window.run_datagrams(&socket, outstanding, time)?;
        }
    }
    say(window.report(time)?)
}

/// Messages that were sent, and how long those that came back took.
struct Window {
    begin: Instant,
    times_us: Vec<f64>,
    lost: usize,
}

impl Window {
    fn new() -> Self {
        Self { begin: Instant::now(), times_us: Vec::new(), lost: 0 }
    }

    fn message(&self) -> [u8; MESSAGE_LEN] {
        let mut bytes = [0; MESSAGE_LEN];
        bytes[8..].copy_from_slice(&(self.begin.elapsed().as_nanos() as u64).to_be_bytes());
        bytes
    }

    fn came_back(&mut self, message: &[u8]) {
        if let Some(left) = message.last_chunk().map(|chunk| u64::from_be_bytes(*chunk)) {
            let now = self.begin.elapsed().as_nanos() as u64;
            self.times_us.push(now.saturating_sub(left) as f64 / 1e3);
        }
    }

    fn run_stream(
        &mut self,
        mut stream: TcpStream,
        outstanding: usize,
        time: Duration,
    ) -> Result<()> {
        for _ in 0..outstanding {
            stream.write_all(&self.message()).context("send")?;
        }
        let mut bytes = vec![0; MESSAGE_LEN * outstanding];
        let mut held = 0;
        while self.begin.elapsed() < time {
            let len = stream.read(&mut bytes[held..]).context("receive")?;
            anyhow::ensure!(len > 0, "the server closed the connection");
            held += len;
            let whole = held / MESSAGE_LEN * MESSAGE_LEN;
            for message in bytes[..whole].chunks(MESSAGE_LEN) {
                self.came_back(message);
                stream.write_all(&self.message()).context("send")?;
            }
            bytes.copy_within(whole..held, 0);
            held -= whole;
        }
        Ok(())
    }

    fn run_datagrams(
        &mut self,
        socket: &UdpSocket,
        outstanding: usize,
        time: Duration,
    ) -> Result<()> {
        let mut away = 0;
        let mut bytes = [0; 2048];
        while self.begin.elapsed() < time {
            for _ in away..outstanding {
                socket.send(&self.message()).context("send")?;
            }
            away = outstanding;
            match socket.recv(&mut bytes) {
                Ok(len) => {
                    self.came_back(&bytes[..len]);
                    away -= 1;
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    self.lost += away;
                    away = 0;
                }
                Err(error) => return Err(error).context("receive"),
            }
        }
        Ok(())
    }

    fn report(&mut self, time: Duration) -> Result<String> {
        self.times_us.sort_by(f64::total_cmp);
        let at = |q| quantile(&self.times_us, q).context("no message came back");
        let shown = json!({
            "p50_us": at(0.5)?, "p99_us": at(0.99)?, "p999_us": at(0.999)?,
            "per_second": self.times_us.len() as f64 / time.as_secs_f64(),
            "lost": self.lost,
        });
        Ok(shown.to_string())
    }
}

#[cfg(test)]
mod tests;
