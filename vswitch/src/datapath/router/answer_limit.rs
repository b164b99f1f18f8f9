//! Rate limits of what the switch answers by itself: a token bucket for each port. ICMP errors (RFC 1812 section
//! 4.3.2.8, RFC 4443 section 2.4 f), and TCP resets.

use fastpath::{Nanos, PortIndex};
use vswitch_api::port_settings::limits::FrameRate;

use crate::datapath::{Rate, TokenBucket};

/// One bucket a port, made on first use.
#[derive(Debug)]
pub(in crate::datapath) struct AnswerLimit {
    rate: FrameRate,
    buckets: Vec<TokenBucket>,
}

impl AnswerLimit {
    /// So many answers to each port in a second.
    pub(in crate::datapath) const fn new(rate: FrameRate) -> Self {
        Self { rate, buckets: Vec::new() }
    }

    /// Takes a token of the port.
    pub(in crate::datapath) fn allow(&mut self, now: Nanos, port: PortIndex) -> bool {
        if self.buckets.len() <= port.get() {
            let rate = self.rate;
            self.buckets.resize_with(port.get() + 1, || TokenBucket::new(Rate::frames(rate)));
        }
        self.buckets[port.get()].pass(now, 1)
    }
}
