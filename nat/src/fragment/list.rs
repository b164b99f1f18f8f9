//! First in, first out, over indices into a slab: an index can leave from the middle.

/// No index.
const NONE: u32 = u32::MAX;

/// Who stands before and behind an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Links {
    before: u32,
    behind: u32,
}

impl Links {
    /// Of an index that stands in no list.
    pub(super) const FREE: Self = Self { before: NONE, behind: NONE };
}

/// A list. Its links lie with the caller, in an array that all lists of one kind share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct List {
    first: u32,
    last: u32,
}

impl List {
    pub(super) const EMPTY: Self = Self { first: NONE, last: NONE };

    /// The one that has been in it longest.
    pub(super) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// The one that came after this one.
    pub(super) fn next(links: &[Links], at: u32) -> Option<u32> {
        let behind = links[at as usize].behind;
        (behind != NONE).then_some(behind)
    }

    /// Puts an index that stands in no list behind all others.
    pub(super) fn push(&mut self, links: &mut [Links], at: u32) {
        links[at as usize] = Links { before: self.last, behind: NONE };
        match self.last {
            NONE => self.first = at,
            last => links[last as usize].behind = at,
        }
        self.last = at;
    }

    /// Takes an index out that stands in this list.
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
