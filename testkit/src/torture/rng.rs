//! Numbers that look random and follow from a seed (splitmix64).

/// A number that two others determine.
pub(super) fn mix(seed: u64, n: u64) -> u64 {
    let z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A sequence of them.
#[derive(Clone, Debug)]
pub(super) struct Rng {
    seed: u64,
    n: u64,
}

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, n: 0 }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.n += 1;
        mix(self.seed, self.n)
    }

    /// A number from `low` to `high`.
    pub(super) fn within(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    /// True so many times of a thousand.
    pub(super) fn is_one_of(&mut self, per_thousand: u64) -> bool {
        self.next() % 1000 < per_thousand
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.within(0, from.len() - 1)]
    }
}
