//! Received byte ranges of a packet's payload.

use crate::limits::FRAGMENT_RANGES_MAX;
use crate::view::Fragment;

/// Fragments but the last are multiples of this many bytes.
const UNIT: u32 = 8;

/// The longest payload of an IP packet.
const PAYLOAD_MAX: u32 = 65_535;

/// The relation of a fragment to earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// New; recorded.
    New,
    /// Duplicate: all bytes are received.
    Duplicate,
    /// Overlap, or a different end of the packet.
    Conflict,
    /// Invalid: no bytes, an end that is no multiple of eight, or beyond the longest packet.
    Impossible,
    /// Too many disjoint ranges.
    TooMany,
}

/// Disjoint byte ranges, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ranges {
    stretches: [(u16, u16); FRAGMENT_RANGES_MAX],
    len: u8,
    /// The packet's length, from its last fragment.
    end: Option<u16>,
}

impl Ranges {
    pub(super) const NONE: Self =
        Self { stretches: [(0, 0); FRAGMENT_RANGES_MAX], len: 0, end: None };

    /// Start and end of a fragment, if valid.
    pub(super) fn bounds(fragment: &Fragment) -> Option<(u16, u16)> {
        let end = fragment.offset.checked_add(fragment.len)?;
        let is_whole = !fragment.more || fragment.len.is_multiple_of(UNIT);
        let is_possible = fragment.len != 0 && is_whole && end <= PAYLOAD_MAX;
        is_possible.then_some((fragment.offset as u16, end as u16))
    }

    /// Records a fragment that overlaps none.
    pub(super) fn add(&mut self, fragment: &Fragment) -> Fit {
        let Some((start, end)) = Self::bounds(fragment) else { return Fit::Impossible };
        let known = &self.stretches[..usize::from(self.len)];
        if known.iter().any(|(from, to)| *from <= start && end <= *to) {
            return if fragment.more || self.end == Some(end) {
                Fit::Duplicate
            } else {
                Fit::Conflict
            };
        }
        let overlaps = known.iter().any(|(from, to)| start < *to && *from < end);
        let reaches = known.last().map_or(0, |(_, to)| *to);
        let ends_elsewhere = match (self.end, fragment.more) {
            (Some(known), true) => end >= known,
            (Some(known), false) => end != known,
            (None, false) => reaches > end,
            (None, true) => false,
        };
        if overlaps || ends_elsewhere {
            return Fit::Conflict;
        }
        if !self.insert(start, end) {
            return Fit::TooMany;
        }
        if !fragment.more {
            self.end = Some(end);
        }
        Fit::New
    }

    /// All bytes are received.
    pub(super) fn is_complete(&self) -> bool {
        self.len == 1 && self.end.is_some_and(|end| self.stretches[0] == (0, end))
    }

    /// Inserts a disjoint range and joins adjacent ones; false if there are too many.
    fn insert(&mut self, start: u16, end: u16) -> bool {
        let len = usize::from(self.len);
        let at = self.stretches[..len].partition_point(|(from, _)| *from < start);
        let joins_before = at > 0 && self.stretches[at - 1].1 == start;
        let joins_behind = at < len && self.stretches[at].0 == end;
        match (joins_before, joins_behind) {
            (true, true) => {
                self.stretches[at - 1].1 = self.stretches[at].1;
                self.stretches.copy_within(at + 1..len, at);
                self.len -= 1;
            }
            (true, false) => self.stretches[at - 1].1 = end,
            (false, true) => self.stretches[at].0 = start,
            (false, false) if len == FRAGMENT_RANGES_MAX => return false,
            (false, false) => {
                self.stretches.copy_within(at..len, at + 1);
                self.stretches[at] = (start, end);
                self.len += 1;
            }
        }
        true
    }
}
