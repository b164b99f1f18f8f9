//! Queues of waiting frames in one bounded store.

/// No slot.
const NONE: u32 = u32::MAX;

/// One queue of frames, first in, first out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Queue {
    first: u32,
    last: u32,
}

impl Queue {
    pub(super) const EMPTY: Self = Self { first: NONE, last: NONE };
}

#[derive(Debug)]
struct Slot<F> {
    frame: Option<F>,
    next: u32,
}

/// The store; a frame leaves by [`pop`](Self::pop).
#[derive(Debug)]
pub(super) struct Frames<F> {
    slots: Vec<Slot<F>>,
    free: u32,
    len: usize,
}

impl<F> Frames<F> {
    pub(super) fn new(capacity: usize) -> Self {
        let next = |n: usize| if n + 1 == capacity { NONE } else { n as u32 + 1 };
        let slots = (0..capacity).map(|n| Slot { frame: None, next: next(n) }).collect();
        Self { slots, free: if capacity == 0 { NONE } else { 0 }, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_full(&self) -> bool {
        self.free == NONE
    }

    /// Appends a frame to a queue; returns it if the store is full.
    pub(super) fn push(&mut self, queue: &mut Queue, frame: F) -> Result<(), F> {
        let at = self.free;
        let Some(slot) = self.slots.get_mut(at as usize) else { return Err(frame) };
        self.free = std::mem::replace(&mut slot.next, NONE);
        slot.frame = Some(frame);
        match queue.last {
            NONE => queue.first = at,
            last => self.slots[last as usize].next = at,
        }
        queue.last = at;
        self.len += 1;
        Ok(())
    }

    /// Removes the first frame of a queue.
    pub(super) fn pop(&mut self, queue: &mut Queue) -> Option<F> {
        let at = queue.first;
        let slot = self.slots.get_mut(at as usize)?;
        let frame = slot.frame.take()?;
        queue.first = std::mem::replace(&mut slot.next, self.free);
        if queue.first == NONE {
            queue.last = NONE;
        }
        self.free = at;
        self.len -= 1;
        Some(frame)
    }
}
