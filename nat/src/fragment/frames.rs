//! Frames that wait, in queues that share one bounded store.

/// No slot.
const NONE: u32 = u32::MAX;

/// Frames that wait together, in the order in which they came.
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

/// The store. A frame that goes in comes out by [`pop`](Self::pop).
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

    /// Puts a frame behind the others of the queue; gives it back where there is no room.
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

    /// Takes the first frame of the queue.
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
