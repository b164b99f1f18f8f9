//! Who has how much of what there is little of: so that one more of somebody who has little takes the place of one of
//! whoever has most (longest queue drop, McKenney 1990), and nobody is kept out by those who ask for much.

use fastpath::PortIndex;

/// How many each port has, without those that have none.
#[derive(Debug)]
pub(super) struct PortOccupancy(Vec<(PortIndex, usize)>);

impl PortOccupancy {
    /// For so many in all.
    pub(super) fn new(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// What a port has.
    pub(super) fn count(&self, port: PortIndex) -> usize {
        self.0.iter().find(|row| row.0 == port).map_or(0, |row| row.1)
    }

    /// A port has one more.
    pub(super) fn add(&mut self, port: PortIndex) {
        match self.0.iter_mut().find(|row| row.0 == port) {
            Some(row) => row.1 += 1,
            None => self.0.push((port, 1)),
        }
    }

    /// A port has one less.
    pub(super) fn remove(&mut self, port: PortIndex) {
        let Some(at) = self.0.iter().position(|row| row.0 == port) else { return };
        self.0[at].1 -= 1;
        if self.0[at].1 == 0 {
            self.0.swap_remove(at);
        }
    }

    /// The port that has most, if it has more than `port` would have with one more.
    pub(super) fn fullest_above(&self, port: PortIndex) -> Option<PortIndex> {
        let (fullest, most) = self.0.iter().copied().max_by_key(|&(_, count)| count)?;
        (most > self.count(port) + 1).then_some(fullest)
    }
}
