//! Connection states and their timeouts.
//!
//! | transport | states |
//! |---|---|
//! | TCP | SYN sent, SYN received, established, half closed, closing, TIME-WAIT; reset; picked up ([`crate::tcp`]) |
//! | UDP, echo, SCTP | new; replied, once the server answered; stream, once the client went on after that |
//!
//! Time is kept in units of 2^27 ns, 134 ms, in 32 bits: 18 years.

use std::time::Duration;

use crate::limits::{
    ECHO_IDLE, SCTP_IDLE, TCP_ESTABLISHED_IDLE, TCP_PICKED_UP_IDLE, TCP_TRANSITORY_IDLE, UDP_IDLE,
};
use crate::time::Time;
use crate::tuple::Transport;

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// Not answered.
    New,
    /// Answered.
    Replied,
    /// The client sent again after the reply.
    Stream,
    /// TCP: one SYN seen.
    SynSent,
    /// TCP: both SYNs seen.
    SynReceived,
    /// TCP: both SYNs acknowledged.
    Established,
    /// TCP: one FIN seen.
    HalfClosed,
    /// TCP: both FINs seen.
    Closing,
    /// TCP: both FINs acknowledged.
    TimeWait,
    /// TCP: RST seen.
    Reset,
    /// TCP: picked up in its middle, and only one peer has spoken since.
    PickedUp,
}

/// A connection's class in the order of eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Over, but its tuples may still see packets.
    Closed,
    /// Not answered.
    Opening,
    /// Never evicted.
    InUse,
}

impl State {
    /// The timeout since the last refresh, in units of [`CoarseTime`], rounded up.
    #[inline]
    pub(crate) const fn timeout(self, transport: Transport) -> u32 {
        match (self, transport) {
            (Self::Established | Self::HalfClosed, _) => units(TCP_ESTABLISHED_IDLE),
            (Self::PickedUp, _) => units(TCP_PICKED_UP_IDLE),
            (_, Transport::Tcp) => units(TCP_TRANSITORY_IDLE),
            (_, Transport::Udp) => units(UDP_IDLE),
            (_, Transport::Echo) => units(ECHO_IDLE),
            (_, Transport::Sctp) => units(SCTP_IDLE),
        }
    }

    /// A connection that was last refreshed at `seen` has expired.
    #[inline]
    pub(crate) const fn has_expired(
        self,
        transport: Transport,
        seen: CoarseTime,
        now: CoarseTime,
    ) -> bool {
        now.since(seen) > self.timeout(transport)
    }

    /// The class of a connection in this state.
    ///
    /// A question with its answer (DNS) counts as closed until the client sends again.
    pub(crate) const fn class(self, transport: Transport) -> Class {
        match (self, transport) {
            (Self::TimeWait | Self::Reset | Self::Closing, _) => Class::Closed,
            (Self::Replied, Transport::Udp | Transport::Echo) => Class::Closed,
            (Self::New | Self::SynSent | Self::SynReceived | Self::PickedUp, _) => Class::Opening,
            _ => Class::InUse,
        }
    }

    /// A TCP peer may still remember the closed connection.
    pub(crate) const fn is_remembered(self) -> bool {
        matches!(self, Self::HalfClosed | Self::Closing | Self::TimeWait | Self::Established)
    }

    /// The state with this discriminant.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        let all = [
            Self::New,
            Self::Replied,
            Self::Stream,
            Self::SynSent,
            Self::SynReceived,
            Self::Established,
            Self::HalfClosed,
            Self::Closing,
            Self::TimeWait,
            Self::Reset,
            Self::PickedUp,
        ];
        all.into_iter().find(|state| *state as u8 == number)
    }
}

/// A time in units of 2^27 ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CoarseTime(pub(crate) u32);

const UNIT_BITS: u32 = 27;
const UNITS_PER_SLOT_BITS: u32 = 3;

impl CoarseTime {
    #[inline]
    pub(crate) const fn of(now: Time) -> Self {
        Self((now.0 >> UNIT_BITS) as u32)
    }

    #[inline]
    pub(crate) const fn since(self, earlier: Self) -> u32 {
        self.0.saturating_sub(earlier.0)
    }

    #[inline]
    pub(crate) const fn later(self, units: u32) -> Self {
        Self(self.0.saturating_add(units))
    }

    /// The wheel slot of this time: 2^30 ns.
    #[inline]
    pub(crate) const fn slot(self) -> u32 {
        self.0 >> UNITS_PER_SLOT_BITS
    }
}

/// Converts units to a time.
pub(crate) const fn duration(units: u32) -> Duration {
    Duration::from_nanos((units as u64) << UNIT_BITS)
}

/// Converts a time to units, rounded up.
pub(crate) const fn units(time: Duration) -> u32 {
    (time.as_nanos() as u64).div_ceil(1 << UNIT_BITS) as u32
}
