//! Per-port occupancy for longest-queue-drop (McKenney 1990): a full queue evicts from the port that
//! holds most, so that heavy ports cannot starve light ones.

use fastpath::PortIndex;

/// Entries of each port; ports without entries are absent.
#[derive(Debug)]
pub(super) struct PortOccupancy(Vec<(PortIndex, usize)>);

impl PortOccupancy {
    /// For this many entries in all.
    pub(super) fn new(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Entries of a port.
    pub(super) fn count(&self, port: PortIndex) -> usize {
        self.0.iter().find(|row| row.0 == port).map_or(0, |row| row.1)
    }

    /// Counts an entry.
    pub(super) fn add(&mut self, port: PortIndex) {
        match self.0.iter_mut().find(|row| row.0 == port) {
            Some(row) => row.1 += 1,
            None => self.0.push((port, 1)),
        }
    }

    /// Removes an entry.
    pub(super) fn remove(&mut self, port: PortIndex) {
        let Some(at) = self.0.iter().position(|row| row.0 == port) else { return };
        self.0[at].1 -= 1;
        if self.0[at].1 == 0 {
            self.0.swap_remove(at);
        }
    }

    /// The fullest port, if it would still exceed `port` after one more entry of that.
    pub(super) fn fullest_above(&self, port: PortIndex) -> Option<PortIndex> {
        let (fullest, most) = self.0.iter().copied().max_by_key(|&(_, count)| count)?;
        (most > self.count(port) + 1).then_some(fullest)
    }
}
