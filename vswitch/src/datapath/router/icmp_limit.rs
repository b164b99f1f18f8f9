//! Rate limit of ICMP errors: a token bucket for each port (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 f).

use fastpath::{Nanos, PortIndex};

use crate::datapath::limits::ICMP_ERROR_RATE;
use crate::datapath::{Rate, TokenBucket};

/// One bucket a port, made on first use.
#[derive(Debug, Default)]
pub(super) struct IcmpLimit(Vec<TokenBucket>);

impl IcmpLimit {
    /// Takes a token of the port.
    pub(super) fn allow(&mut self, now: Nanos, port: PortIndex) -> bool {
        if self.0.len() <= port.get() {
            self.0.resize_with(port.get() + 1, || TokenBucket::new(Rate::frames(ICMP_ERROR_RATE)));
        }
        self.0[port.get()].pass(now, 1)
    }
}
