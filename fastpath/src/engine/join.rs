//! Datagrams of one flow that leave by one send.
//!
//! A frame for a port of datagrams waits until the round ends. One that holds a single datagram is appended to the last
//! frame of its flow that waits, which the kernel then segments (`UDP_SEGMENT`, udp(7)): one way through its stack
//! instead of many, and the other end's GRO gets them together. So only datagrams of one length are joined, of which the
//! last may be shorter, and only those with one tunnel header: a peer may take no others together. A flow's datagrams stay in order: the last frame of the flow alone decides.

use crate::datagram::{Header, LEN};
use crate::limits::{JOIN_FRAMES_MAX, JOINED_BYTES_MAX, JOINED_DATAGRAMS_MAX};
use crate::pool::{Frame, Pool};

/// Bytes of a tunnel's header (VXLAN: RFC 7348, 5).
const TUNNEL_LEN: usize = 8;

/// Appends `frame` to one of `waiting`; returns it where none takes it.
#[inline]
pub(super) fn append(pool: &mut Pool, waiting: &mut [Frame], frame: Frame) -> Option<Frame> {
    let Some(header) = Header::read(pool.bytes(&frame)).filter(|header| header.segment == 0) else {
        return Some(frame);
    };
    let recent = waiting.iter_mut().rev().take(JOIN_FRAMES_MAX);
    for last in recent {
        let Some(first) = Header::read(pool.bytes(last)) else { continue };
        if (first.peer, first.socket) == (header.peer, header.socket) {
            let is_joined = first.tos == header.tos && join(pool, last, first, &frame);
            if !is_joined {
                return Some(frame);
            }
            pool.release(frame);
            return None;
        }
    }
    Some(frame)
}

/// Appends the datagram of `frame` to `last`, whose header is `first`. False: nothing has changed.
fn join(pool: &mut Pool, last: &mut Frame, first: Header, frame: &Frame) -> bool {
    let (before, added) = (last.len() - LEN, frame.len() - LEN);
    let segment = if first.segment == 0 { before } else { usize::from(first.segment) };
    let is_last_full = segment != 0 && before % segment == 0;
    let fits = (1..=segment).contains(&added)
        && before + added <= JOINED_BYTES_MAX
        && before / segment.max(1) < JOINED_DATAGRAMS_MAX;
    let tunnel = |frame: &Frame| pool.bytes(frame)[LEN..].iter().take(TUNNEL_LEN).copied();
    let is_same_tunnel = tunnel(frame).eq(tunnel(last));
    // Nobody else may have the buffer: it is checked before its length changes.
    if !is_last_full || !fits || !is_same_tunnel || pool.bytes_mut(last).is_none() {
        return false;
    }
    last.set_len(LEN + before + added);
    let Some((from, to)) = pool.bytes_of_both(frame, last) else {
        last.set_len(LEN + before);
        return false;
    };
    to[LEN + before..].copy_from_slice(&from[LEN..]);
    Header { segment: segment as u16, ..first }.write(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: ([u8; 4], u16) = ([192, 0, 2, 1], 4789);

    /// One with this number behind its tunnel header.
    fn datagram(number: usize, len: usize) -> Vec<u8> {
        [vec![0; TUNNEL_LEN], vec![number as u8; len - TUNNEL_LEN]].concat()
    }

    /// Frames that wait when these have been sent: socket, type of service, segment and bytes of each.
    fn waiting(sent: &[(u16, u8, u16, usize)]) -> Vec<(u16, u16, Vec<u8>)> {
        let mut pool = Pool::new(128).unwrap();
        let mut waiting = Vec::new();
        for (number, &(socket, tos, segment, len)) in sent.iter().enumerate() {
            let mut frame = pool.alloc().unwrap();
            frame.set_len(LEN + len);
            let bytes = pool.bytes_mut(&frame).unwrap();
            assert!(Header { peer: PEER.into(), segment, socket, tos }.write(bytes));
            bytes[LEN..LEN + len].copy_from_slice(&datagram(number, len));
            let frame = append(&mut pool, &mut waiting, frame);
            waiting.extend(frame);
        }
        let told = waiting.iter().map(|frame| {
            let bytes = pool.bytes(frame);
            let header = Header::read(bytes).unwrap();
            (header.socket, header.segment, bytes[LEN..].to_vec())
        });
        let told = told.collect();
        waiting.into_iter().for_each(|frame| pool.release(frame));
        assert_eq!(pool.available(), pool.capacity());
        told
    }

    #[test]
    fn equal_datagrams_of_a_flow_become_one_send_and_a_shorter_one_is_its_last() {
        let joined = [datagram(0, 100), datagram(1, 100), datagram(2, 60)].concat();
        let sent = [(1, 0, 0, 100), (1, 0, 0, 100), (1, 0, 0, 60), (1, 0, 0, 60)];
        assert_eq!(waiting(&sent), [(1, 100, joined), (1, 0, datagram(3, 60))]);
    }

    #[test]
    fn a_longer_one_another_class_and_segments_begin_anew() {
        for second in [(1, 0, 0, 101), (1, 2, 0, 100), (1, 0, 50, 100)] {
            let sent = waiting(&[(1, 0, 0, 100), second]);
            assert_eq!(sent.len(), 2, "{second:?}");
        }
        // The last of these segments is short.
        assert_eq!(waiting(&[(1, 0, 40, 100), (1, 0, 0, 40)]).len(), 2);
        let full = waiting(&[(1, 0, 50, 100), (1, 0, 0, 40)]);
        assert_eq!(full, [(1, 50, [datagram(0, 100), datagram(1, 40)].concat())]);
    }

    #[test]
    fn flows_between_each_other_are_joined_each_and_stay_in_order() {
        let sent = [(1, 0, 0, 12), (2, 0, 0, 12), (1, 0, 0, 13), (2, 0, 0, 12), (1, 0, 0, 12)];
        let joined = |a, b| [datagram(a, sent[a].3), datagram(b, sent[b].3)].concat();
        let expected = [(1, 0, datagram(0, 12)), (2, 12, joined(1, 3)), (1, 13, joined(2, 4))];
        assert_eq!(waiting(&sent), expected);
    }

    #[test]
    fn a_send_has_its_limits() {
        let small = vec![(1, 0, 0, 10); JOINED_DATAGRAMS_MAX + 1];
        let lens = |sent| waiting(sent).iter().map(|it| it.2.len()).collect::<Vec<_>>();
        assert_eq!(lens(&small), [10 * JOINED_DATAGRAMS_MAX, 10]);
        let large = vec![(1, 0, 0, 1_458); 45];
        assert_eq!(lens(&large), [1_458 * (JOINED_BYTES_MAX / 1_458), 1_458]);
        let others = (2..).take(JOIN_FRAMES_MAX).map(|socket| (socket, 0, 0, 10));
        let far: Vec<_> =
            [(1, 0, 0, 10)].into_iter().chain(others).chain([(1, 0, 0, 10)]).collect();
        assert_eq!(lens(&far).len(), far.len(), "too many frames between them");
    }

    #[test]
    fn another_tunnel_header_begins_anew() {
        let mut pool = Pool::new(128).unwrap();
        let mut waiting = Vec::new();
        for vni in [1, 1, 2, 1] {
            let mut frame = pool.alloc().unwrap();
            frame.set_len(LEN + 20);
            let bytes = pool.bytes_mut(&frame).unwrap();
            let header = Header { peer: PEER.into(), segment: 0, socket: 1, tos: 0 };
            assert!(header.write(bytes));
            bytes[LEN..].fill(0);
            bytes[LEN + 6] = vni;
            let frame = append(&mut pool, &mut waiting, frame);
            waiting.extend(frame);
        }
        let lens: Vec<_> = waiting.iter().map(|frame| frame.len() - LEN).collect();
        assert_eq!(lens, [40, 20, 20]);
        waiting.into_iter().for_each(|frame| pool.release(frame));
    }
}
