//! Where two lists of entries differ.

use std::ops::Range;

use crate::policy::Published;

/// The parts of two lists between their common start and their common end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) former: Range<usize>,
    pub(super) now: Range<usize>,
}

impl Changed {
    /// Both are empty ranges at 0 where the lists are equal.
    pub(super) fn between(former: &[Published], now: &[Published]) -> Self {
        let start = former.iter().zip(now).take_while(|(one, other)| one == other).count();
        if start == former.len() && start == now.len() {
            return Self::default();
        }
        let pairs = former[start..].iter().rev().zip(now[start..].iter().rev());
        let end = pairs.take_while(|(one, other)| one == other).count();
        Self { former: start..former.len() - end, now: start..now.len() - end }
    }

    /// A list of numbers of the former entries, without those that go, and with the numbers that the others have now.
    pub(super) fn renumbered<T: Copy>(&self, list: &[(T, u32)]) -> Vec<(T, u32)> {
        let (former, now) = (&self.former, &self.now);
        let mut renumbered =
            Vec::with_capacity((list.len() + now.len()).saturating_sub(former.len()));
        renumbered.extend(list.iter().filter_map(|&(start, number)| {
            let at = number as usize;
            match at {
                _ if at < former.start => Some((start, number)),
                _ if at < former.end => None,
                _ => Some((start, (at - former.end + now.end) as u32)),
            }
        }));
        renumbered
    }
}
