//! Blocks of SNAT ports that the limit of sockets allows, divided among workers and transports.
//!
//! To each, half of an equal part is reserved; whoever comes first has the rest.

/// The blocks of one worker and transport.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanting {
    /// Blocks that it has.
    pub(super) has: usize,
    /// Blocks that there are for it. Zero: it needs no sockets.
    pub(super) all: usize,
}

/// Blocks that the one `at` may have beside its own. `pot`: blocks that sockets suffice for.
pub(super) fn obtainable(pot: usize, shares: &[Wanting], at: usize) -> usize {
    let sharing = shares.iter().filter(|share| share.all > 0).count();
    let reserved = pot / 2 / sharing.max(1);
    let others = shares.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, share)| share);
    let taken: usize = others.map(|share| share.has.max(reserved.min(share.all))).sum();
    pot.saturating_sub(taken + shares[at].has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_one_leaves_half_of_an_equal_part_to_each() {
        let all = 200;
        let mut shares = [0, 0, 0, 0].map(|has| Wanting { has, all });
        assert_eq!(obtainable(400, &shares, 0), 250);
        shares[0].has = 250;
        assert_eq!(obtainable(400, &shares, 0), 0);
        assert_eq!(obtainable(400, &shares, 1), 50);
        shares[1].has = 40;
        assert_eq!((obtainable(400, &shares, 1), obtainable(400, &shares, 0)), (10, 0));
    }

    #[test]
    fn nothing_is_reserved_for_whom_has_all_or_needs_none() {
        let none = Wanting { has: 0, all: 0 };
        let few = Wanting { has: 2, all: 2 };
        assert_eq!(obtainable(100, &[Wanting { has: 16, all: 200 }, few, none], 0), 82);
        assert_eq!(obtainable(1, &[few, few], 0), 0);
    }
}
