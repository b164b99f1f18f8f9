//! A FIFO list of slab indices with removal from the middle.

/// No index.
const NONE: u32 = u32::MAX;

/// The links of one index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Links {
    before: u32,
    behind: u32,
}

impl Links {
    /// The links outside any list.
    pub(super) const FREE: Self = Self { before: NONE, behind: NONE };
}

/// A list; the caller keeps the links of all lists in one array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct List {
    first: u32,
    last: u32,
}

impl List {
    pub(super) const EMPTY: Self = Self { first: NONE, last: NONE };

    /// The oldest index.
    pub(super) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// The next younger index.
    pub(super) fn next(links: &[Links], at: u32) -> Option<u32> {
        let behind = links[at as usize].behind;
        (behind != NONE).then_some(behind)
    }

    /// Appends an index, which must be in no list.
    pub(super) fn push(&mut self, links: &mut [Links], at: u32) {
        links[at as usize] = Links { before: self.last, behind: NONE };
        match self.last {
            NONE => self.first = at,
            last => links[last as usize].behind = at,
        }
        self.last = at;
    }

    /// Removes an index of this list.
    pub(super) fn remove(&mut self, links: &mut [Links], at: u32) {
        let Links { before, behind } = std::mem::replace(&mut links[at as usize], Links::FREE);
        match before {
            NONE => self.first = behind,
            before => links[before as usize].behind = behind,
        }
        match behind {
            NONE => self.last = before,
            behind => links[behind as usize].before = before,
        }
    }
}
