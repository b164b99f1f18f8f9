//! Loads of our own, run by `vswitch-bench agent ...` inside a container's namespace.
//!
//! A server says `ready` and ends when its standard input does, so that it cannot outlive the harness.
//! A client runs once and prints one line of JSON. Messages and answers are lines.

use std::io::{BufRead as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use clap::Subcommand;

mod attack;
mod connect;
mod hog;
mod paced;
mod round_trip;

pub(crate) use attack::Attack;

/// TCP or UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Agent {
    /// Counts the datagrams of the trial that was asked for last.
    UdpSink {
        #[arg(long)]
        port: u16,
    },
    /// Sends datagrams at the rate that each line asks for: TRIAL PPS MILLISECONDS.
    UdpSend {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        len: usize,
    },
    /// Sends back what it gets.
    Echo {
        #[arg(long)]
        protocol: Protocol,
        #[arg(long)]
        port: u16,
    },
    /// Keeps a window of messages on their way and measures how long each takes.
    RoundTrip {
        #[arg(long)]
        protocol: Protocol,
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        outstanding: usize,
        #[arg(long)]
        seconds: u64,
    },
    /// Accepts connections and answers one byte on each.
    Accept {
        #[arg(long)]
        port: u16,
        #[arg(long)]
        threads: usize,
    },
    /// Opens connections as fast as it can.
    Connect {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        clients: usize,
        #[arg(long)]
        seconds: u64,
    },
    /// Takes a CPU until its standard input ends.
    Hog,
    /// Sends what no good container sends, from the line `go` on, as fast as it can.
    Attack {
        #[arg(long)]
        kind: Attack,
        /// Of the interface that it sends through.
        #[arg(long)]
        from: Ipv4Addr,
        /// Whose address it claims.
        #[arg(long)]
        victim: Ipv4Addr,
        /// Whom it floods with datagrams.
        #[arg(long)]
        third: Ipv4Addr,
    },
}

impl Agent {
    pub(crate) fn run(&self) -> Result<()> {
        match *self {
            Self::UdpSink { port } => paced::sink(port),
            Self::UdpSend { to, len } => paced::send(to, len),
            Self::Echo { protocol, port } => round_trip::echo(protocol, port),
            Self::RoundTrip { protocol, to, outstanding, seconds } => {
                round_trip::measure(protocol, to, outstanding, seconds)
            }
            Self::Accept { port, threads } => connect::accept(port, threads),
            Self::Connect { to, clients, seconds } => connect::connect(to, clients, seconds),
            Self::Hog => hog::run(),
            Self::Attack { kind, from, victim, third } => attack::run(kind, from, victim, third),
        }
    }
}

/// Writes a line that the harness reads at once.
fn say(line: impl std::fmt::Display) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("write the answer")
}

/// Answers each line of standard input, until it ends.
fn serve(mut answer: impl FnMut(&str) -> Result<String>) -> Result<()> {
    say("ready")?;
    for line in std::io::stdin().lock().lines() {
        say(answer(line.context("read a line")?.trim())?)?;
    }
    Ok(())
}

/// For a server that its threads run: waits until standard input ends.
fn serve_in_threads() -> Result<()> {
    serve(|line| anyhow::bail!("nothing to answer to {line:?}"))
}
