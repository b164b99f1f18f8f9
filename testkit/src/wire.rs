//! A NIC whose cable is in the test's hand.
//!
//! The NIC is a TAP: a frame written into it arrives at the host; a frame that the host sends is read
//! from it.

use std::os::fd::OwnedFd;
use std::time::Duration;

use fastpath::tap::{Tap, TapConfig};

use crate::run_line;

/// Bytes of the virtio-net header before each frame.
const VNET_LEN: usize = 12;

/// How long a frame may take within the host.
const SETTLE: Duration = Duration::from_millis(20);

/// A NIC and its cable.
#[derive(Debug)]
pub struct Wire {
    /// The TAP; its queue is the cable.
    pub tap: Tap,
}

impl Wire {
    /// Creates the device and brings it up without neighbour discovery.
    pub fn new(name: &str) -> Self {
        let tap = Tap::create(&TapConfig { name, queues: 1 }).expect("a TAP needs root");
        let conf = format!("/proc/sys/net/ipv6/conf/{name}");
        for (key, value) in
            [("accept_dad", "0"), ("addr_gen_mode", "1"), ("router_solicitations", "0")]
        {
            std::fs::write(format!("{conf}/{key}"), value).expect("write a sysctl");
        }
        run_line(&format!("ip link set {name} up"));
        Self { tap }
    }

    fn queue(&self) -> &OwnedFd {
        &self.tap.queues[0]
    }

    /// Delivers a frame to the host.
    pub fn send(&self, frame: &[u8]) {
        let bytes = [&[0; VNET_LEN][..], frame].concat();
        assert_eq!(rustix::io::write(self.queue(), &bytes).expect("write a frame"), bytes.len());
    }

    /// Frames that the host has sent, without IPv6 multicast: reports come at any time.
    pub fn received(&self) -> Vec<Vec<u8>> {
        std::thread::sleep(SETTLE);
        let mut buffer = vec![0; 70_000];
        let mut frames = Vec::new();
        while let Ok(len) = rustix::io::read(self.queue(), &mut buffer[..]) {
            if !buffer[VNET_LEN..].starts_with(&[0x33, 0x33]) {
                frames.push(buffer[VNET_LEN..len].to_vec());
            }
        }
        frames
    }
}
