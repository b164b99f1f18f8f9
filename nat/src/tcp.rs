//! TCP connection tracking between the peers (RFC 5382, RFC 9293).
//!
//! # Theory of operation
//!
//! ```text
//!            SYN                SYN of the other         ACK of both
//!   (none) ------> SYN sent -----------------> SYN received -------> established
//!                                                                        | FIN
//!   TIME-WAIT <------------ closing <------------------------------ half closed
//!              both FINs             FIN of the other
//!              acknowledged
//!   any, by a RST at the very number that the receiver waits for -> reset
//!   TIME-WAIT, reset, picked up, by a SYN of the client -> SYN sent
//!   any with both SYNs, by another SYN that the other peer answers -> SYN received
//!   (none), by a segment with ACK -> picked up -> established, by a valid segment of the other
//! ```
//!
//! A segment with ACK and without a connection continues one that was lost here, or never was. It is passed on, and
//! the receiver's kernel goes on with it or resets it. Windows of such a connection count as scaled by the most.
//!
//! A SYN+ACK and a crossing SYN (simultaneous open) both lead to SYN received. Half closed lasts as long
//! as established, since the other half may still send.
//!
//! Each peer has the end of its sent data, its last acknowledgement, and its window. A segment is valid
//! between one window before the receiver's acknowledgement and the end of the receiver's window, if it
//! acknowledges only sent data. An invalid segment changes no state and refreshes nothing: FIN and RST
//! are dropped, others pass, since the peers answer them with an acknowledgement. A RST inside the window
//! but not at its start passes without effect, as the receiver challenges it (RFC 5961 section 3.2).
//!
//! Both peers may lose a connection unseen and use its ports again. A SYN that cannot be of the tracked connection
//! passes without effect, since its receiver may remember that one and challenge the SYN (RFC 5961 section 4.2). A
//! SYN+ACK or RST that acknowledges exactly this SYN ([`answered`]) replaces the connection, as in Linux: a forged
//! SYN alone ends none.

use wire::tcp::Flags;

use crate::direction::Direction;
use crate::drop_reason::NatDrop;
use crate::limits::{LATE_BYTES_MIN, SYN_DATA_MAX};
use crate::state::State;
use crate::view::Segment;

/// The tracked state of one peer, packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, packed)]
pub(crate) struct TcpPeer {
    /// The sequence number after its last byte.
    end: u32,
    /// Its last acknowledgement.
    ack: u32,
    /// Its last window, unscaled.
    window: u16,
    /// The window scale in the lower half, and flags.
    bits: u8,
}

const SCALE_MASK: u8 = 0x0f;
/// It announced a scale.
const HAS_SCALE: u8 = 0x10;
/// It sent a SYN.
const SENT_SYN: u8 = 0x20;
/// It sent a FIN.
const SENT_FIN: u8 = 0x40;
/// It sent an acknowledgement.
const SENT_ACK: u8 = 0x80;

/// The greatest window scale (RFC 7323 section 2.3).
const SCALE_MAX: u8 = 14;

/// The effect of a segment on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Drop it.
    Drop(NatDrop),
    /// Pass it without effect.
    None,
    /// Pass it, refresh the connection, and set its state.
    Refresh(State),
    /// The same without a refresh.
    Note(State),
    /// A SYN of another connection, or the answer to one: see [`is_another`] and [`answered`].
    Unmatched,
}

impl TcpPeer {
    /// The state as bytes: end, acknowledgement, window (little-endian), bits.
    pub(crate) fn encode(self) -> [u8; 11] {
        let mut out = [0; 11];
        out[..4].copy_from_slice(&self.end.to_le_bytes());
        out[4..8].copy_from_slice(&self.ack.to_le_bytes());
        out[8..10].copy_from_slice(&self.window.to_le_bytes());
        out[10] = self.bits;
        out
    }

    /// The state from [`Self::encode`].
    pub(crate) const fn decode([a, b, c, d, e, f, g, h, i, j, bits]: [u8; 11]) -> Self {
        let (end, ack) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        Self { end, ack, window: u16::from_le_bytes([i, j]), bits }
    }

    #[inline]
    fn has(&self, bit: u8) -> bool {
        self.bits & bit != 0
    }

    /// The window in bytes; scaled if both said so.
    #[inline]
    fn window(&self, other: &Self) -> u32 {
        let is_scaled = self.has(HAS_SCALE) && other.has(HAS_SCALE);
        u32::from(self.window) << if is_scaled { self.bits & SCALE_MASK } else { 0 }
    }

    /// A SYN that opens a connection or answers one.
    fn open(&mut self, segment: &Segment) {
        let scale = segment.window_scale.map_or(0, |scale| HAS_SCALE | scale.min(SCALE_MAX));
        let acks = segment.flags.contains(Flags::ACK);
        *self = Self {
            end: segment.seq.wrapping_add(segment.len),
            ack: if acks { segment.ack } else { 0 },
            window: segment.window,
            bits: SENT_SYN | scale | if acks { SENT_ACK } else { 0 },
        };
    }

    /// A valid segment of the connection.
    #[inline]
    fn update(&mut self, segment: &Segment) {
        let end = segment.seq.wrapping_add(segment.len);
        if is_after(end, self.end) {
            self.end = end;
        }
        if !self.has(SENT_ACK) || is_after(segment.ack, self.ack) {
            (self.ack, self.window) = (segment.ack, segment.window);
        } else if segment.ack == self.ack {
            self.window = self.window.max(segment.window);
        }
        self.bits |= SENT_ACK;
        if segment.flags.contains(Flags::FIN) {
            self.bits |= SENT_FIN;
        }
    }

    /// The peer sent this sequence number, and the other has not acknowledged it.
    pub(crate) fn has_in_flight(&self, other: &Self, seq: u32) -> bool {
        let is_sent = self.has(SENT_SYN) && is_after(self.end, seq);
        is_sent && (!other.has(SENT_ACK) || !is_after(other.ack, seq))
    }
}

/// Serial comparison: `one` comes after `other`.
#[inline]
const fn is_after(one: u32, other: u32) -> bool {
    (one.wrapping_sub(other) as i32) > 0
}

/// A segment that opens a connection.
pub(crate) const fn is_opening(segment: &Segment) -> bool {
    let Flags(flags) = segment.flags;
    flags & (Flags::SYN.0 | Flags::ACK.0 | Flags::RST.0 | Flags::FIN.0) == Flags::SYN.0
}

/// The peers of a new connection.
pub(crate) fn opened(segment: &Segment) -> [TcpPeer; 2] {
    let mut client = TcpPeer::default();
    client.open(segment);
    [client, TcpPeer::default()]
}

/// A segment that may continue a connection which is not known here.
pub(crate) const fn may_continue(segment: &Segment) -> bool {
    let Flags(flags) = segment.flags;
    flags & (Flags::SYN.0 | Flags::ACK.0 | Flags::RST.0) == Flags::ACK.0
}

/// The peers of a connection that this segment continues.
pub(crate) fn picked_up(segment: &Segment) -> [TcpPeer; 2] {
    let bits = SENT_SYN | HAS_SCALE | SCALE_MAX;
    let mut sender = TcpPeer { end: segment.seq, ack: segment.ack, window: segment.window, bits };
    sender.update(segment);
    let receiver = TcpPeer { end: segment.ack, ack: segment.seq, window: segment.window, bits };
    [sender, receiver]
}

/// The effect of a segment.
#[inline]
pub(crate) fn track(
    peers: &mut [TcpPeer; 2],
    state: State,
    dir: Direction,
    segment: &Segment,
) -> Effect {
    let mut sender = peers[dir as usize];
    let receiver = peers[dir.other() as usize];
    let flags = segment.flags;
    let effect = if flags.contains(Flags::RST) {
        reset(&sender, &receiver, state, dir, segment)
    } else if flags.contains(Flags::SYN) {
        return synchronise(peers, state, dir, segment);
    } else {
        proceed(&mut sender, &receiver, state, segment)
    };
    if matches!(effect, Effect::Refresh(_)) {
        peers[dir as usize] = sender;
    }
    effect
}

/// A RST.
fn reset(
    sender: &TcpPeer,
    receiver: &TcpPeer,
    state: State,
    dir: Direction,
    segment: &Segment,
) -> Effect {
    if state == State::Reset {
        return Effect::None;
    }
    if !sender.has(SENT_SYN) {
        // A RST in reply to a SYN acknowledges that SYN (RFC 9293 section 3.5.3).
        let answers = segment.flags.contains(Flags::ACK) && segment.ack == receiver.end;
        return if answers { Effect::Refresh(State::Reset) } else { out_of_window() };
    }
    if dir == Direction::Original && state == State::SynSent {
        // The client resets an earlier connection with the same ports.
        return Effect::None;
    }
    let is_next =
        segment.seq == sender.end || receiver.has(SENT_ACK) && segment.seq == receiver.ack;
    if is_next {
        Effect::Refresh(State::Reset)
    } else if is_in_window(sender, receiver, segment) {
        Effect::Unmatched
    } else {
        out_of_window()
    }
}

/// A SYN.
fn synchronise(
    peers: &mut [TcpPeer; 2],
    state: State,
    dir: Direction,
    segment: &Segment,
) -> Effect {
    let own = dir as usize;
    if is_opening(segment) && dir == Direction::Original {
        let ended = matches!(state, State::TimeWait | State::Reset | State::PickedUp);
        let end = segment.seq.wrapping_add(segment.len);
        let is_another = state == State::SynSent && end != peers[own].end;
        if ended || is_another {
            *peers = opened(segment);
            return Effect::Refresh(State::SynSent);
        }
    }
    let is_open = !matches!(state, State::SynSent | State::SynReceived);
    if is_open || is_another(peers, state, dir, segment) {
        return Effect::Unmatched;
    }
    let [own_peer, other] = [peers[own], peers[dir.other() as usize]];
    if segment.flags.contains(Flags::ACK) {
        let behind = other.end.wrapping_sub(segment.ack);
        if !other.has(SENT_SYN) || behind > SYN_DATA_MAX {
            return out_of_window();
        }
    }
    let is_another = own_peer.has(SENT_SYN) && is_after(segment.seq, own_peer.end);
    if is_another || segment.flags.contains(Flags::FIN) {
        return out_of_window();
    }
    if !own_peer.has(SENT_SYN) {
        peers[own].open(segment);
    } else if segment.flags.contains(Flags::ACK) {
        peers[own].update(segment);
    }
    Effect::Refresh(stage(peers, state))
}

/// A SYN that cannot be of the tracked connection: neither the sender's own again, nor a late copy of it.
pub(crate) fn is_another(
    peers: &[TcpPeer; 2],
    state: State,
    dir: Direction,
    segment: &Segment,
) -> bool {
    let own = &peers[dir as usize];
    let late_max = if state == State::SynReceived { SYN_DATA_MAX } else { LATE_BYTES_MIN };
    let behind = own.end.wrapping_sub(segment.seq.wrapping_add(segment.len));
    is_opening(segment) && own.has(SENT_SYN) && behind > late_max
}

/// The connection of a SYN and its answer, if that acknowledges the SYN exactly. The SYN has direction `dir`.
pub(crate) fn answered(
    syn: &Segment,
    dir: Direction,
    answer: &Segment,
) -> Option<([TcpPeer; 2], State)> {
    let behind = syn.seq.wrapping_add(syn.len).wrapping_sub(answer.ack);
    let is_answer = answer.flags.contains(Flags::ACK) && behind < syn.len;
    let mut peers = [TcpPeer::default(); 2];
    peers[dir as usize].open(syn);
    match (answer.flags.contains(Flags::RST), answer.flags.contains(Flags::SYN)) {
        _ if !is_answer => None,
        (true, _) => Some((peers, State::Reset)),
        (false, true) => {
            peers[dir.other() as usize].open(answer);
            Some((peers, State::SynReceived))
        }
        (false, false) => None,
    }
}

/// Neither SYN nor RST.
#[inline]
fn proceed(sender: &mut TcpPeer, receiver: &TcpPeer, state: State, segment: &Segment) -> Effect {
    let ends = segment.flags.contains(Flags::FIN);
    // Both must have sent, or a stranger's blind segments could establish a connection.
    let behind = receiver.end.wrapping_sub(segment.ack);
    let is_of_it = segment.flags.contains(Flags::ACK)
        && sender.has(SENT_SYN)
        && receiver.has(SENT_SYN)
        && behind <= sender.window(receiver).max(LATE_BYTES_MIN)
        && is_in_window(sender, receiver, segment);
    if !is_of_it {
        let is_refused = ends || !segment.flags.contains(Flags::ACK);
        return if is_refused { out_of_window() } else { Effect::None };
    }
    if state == State::Reset {
        return Effect::None;
    }
    sender.update(segment);
    Effect::Refresh(stage(&[*sender, *receiver], state))
}

/// The state by the two peers' flags; it never goes back.
#[inline]
fn stage(peers: &[TcpPeer; 2], state: State) -> State {
    let [one, other] = peers;
    if state == State::PickedUp && !(one.has(SENT_ACK) && other.has(SENT_ACK)) {
        return state;
    }
    match (one.has(SENT_FIN), other.has(SENT_FIN)) {
        (true, true) if one.ack == other.end && other.ack == one.end => State::TimeWait,
        (true, true) => State::Closing,
        (false, false) if one.has(SENT_ACK) && other.has(SENT_ACK) => State::Established,
        (false, false) if one.has(SENT_SYN) && other.has(SENT_SYN) => State::SynReceived,
        (false, false) => state,
        _ => State::HalfClosed,
    }
}

/// The segment lies in the receiver's window.
#[inline]
fn is_in_window(sender: &TcpPeer, receiver: &TcpPeer, segment: &Segment) -> bool {
    if !receiver.has(SENT_ACK) {
        // The receiver has acknowledged nothing yet: compare with the sender's own data.
        let ahead = segment.seq.wrapping_sub(sender.end) as i32;
        return ahead.unsigned_abs() <= LATE_BYTES_MIN;
    }
    let window = receiver.window(sender);
    let end = segment.seq.wrapping_add(segment.len);
    // A zero-window probe has one byte.
    let limit = receiver.ack.wrapping_add(window.max(1));
    let first = receiver.ack.wrapping_sub(window.max(LATE_BYTES_MIN));
    !is_after(end, limit) && !is_after(first, segment.seq)
}

const fn out_of_window() -> Effect {
    Effect::Drop(NatDrop::OutOfWindow)
}
