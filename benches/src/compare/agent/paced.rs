//! Paced datagrams, and their counting.
//!
//! The sender sleeps to the next tick (257 us), sends what is due, and sleeps again: it never spins, so
//! that it takes no CPU from what is measured. What is due after a late wake-up is sent in bursts of two
//! ticks, between which the sender yields its CPU, since one long burst would measure the receiver's
//! buffer instead of the rate. It sleeps again once nothing is due, so that it can reach what sending
//! itself allows, where the kernel delivers within the call. A datagram begins with the number of its trial, so that stragglers of the one before do not
//! count.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::serve;
use crate::limits::{TICK, TIMER_SLACK_NS};

/// What sender and harness agree on: `TRIAL PPS MILLISECONDS`.
#[derive(Debug, PartialEq)]
struct Order {
    trial: u32,
    pps: f64,
    time: Duration,
}

impl Order {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let trial = words.next()?.parse().ok()?;
        let pps = words.next()?.parse().ok()?;
        let time = Duration::from_millis(words.next()?.parse().ok()?);
        Some(Self { trial, pps, time })
    }
}

/// Sends by order of the lines of standard input.
pub(super) fn send(to: SocketAddr, len: usize) -> Result<()> {
    nix::sys::prctl::set_timerslack(TIMER_SLACK_NS).context("timer slack")?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("socket of the sender")?;
    socket.connect(to).with_context(|| format!("connect to {to}"))?;
    let mut payload = vec![0; len.max(4)];
    serve(|line| {
        let order = Order::parse(line).with_context(|| format!("no order: {line:?}"))?;
        payload[..4].copy_from_slice(&order.trial.to_be_bytes());
        let begin = Instant::now();
        let sent = pace(&order, begin, || socket.send(&payload).is_ok());
        let took = begin.elapsed().max(order.time);
        Ok(json!({ "sent": sent, "pps": sent as f64 / took.as_secs_f64() }).to_string())
    })
}

/// Sends for the time of the order; returns how many the kernel took.
fn pace(order: &Order, begin: Instant, mut send: impl FnMut() -> bool) -> u64 {
    let (mut done, mut sent) = (0, 0);
    let burst_max = burst_max(order.pps);
    while begin.elapsed() < order.time {
        let owed = due(order, begin.elapsed()).saturating_sub(done);
        let burst = owed.min(burst_max);
        sent += (0..burst).filter(|_| send()).count() as u64;
        done += burst;
        if owed > burst {
            std::thread::yield_now();
        } else {
            std::thread::sleep(until_next_tick(begin.elapsed()));
        }
    }
    sent
}

fn until_next_tick(elapsed: Duration) -> Duration {
    let into_tick = (elapsed.as_nanos() % TICK.as_nanos()) as u64;
    TICK - Duration::from_nanos(into_tick)
}

/// What should have been sent by then.
fn due(order: &Order, elapsed: Duration) -> u64 {
    (order.pps * elapsed.min(order.time).as_secs_f64()).round() as u64
}

/// What is sent without a break: what is due in two ticks.
fn burst_max(pps: f64) -> u64 {
    (2.0 * pps * TICK.as_secs_f64()).ceil() as u64
}

/// Counts. A line with a number begins a trial, `count` asks for what came.
pub(super) fn sink(port: u16) -> Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))
        .with_context(|| format!("bind UDP port {port}"))?;
    let (trial, count) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU64::new(0)));
    let (current, counted) = (Arc::clone(&trial), Arc::clone(&count));
    std::thread::spawn(move || {
        let mut bytes = [0; 2048];
        while let Ok(len) = socket.recv(&mut bytes) {
            let number = bytes[..len].first_chunk().map(|chunk| u32::from_be_bytes(*chunk));
            if number == Some(current.load(Ordering::Relaxed)) {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    serve(|line| {
        if line == "count" {
            return Ok(count.load(Ordering::Relaxed).to_string());
        }
        trial.store(
            line.parse().with_context(|| format!("no number: {line:?}"))?,
            Ordering::Relaxed,
        );
        count.store(0, Ordering::Relaxed);
        Ok("counting".to_owned())
    })
}

#[cfg(test)]
mod tests;
