//! The connections, by number.

use super::flow::Flow;
use super::link::{Link, NIL};

/// A slab of fixed capacity; memory is touched on first use.
#[derive(Debug)]
pub(crate) struct Slab {
    flows: Vec<Flow>,
    capacity: usize,
    free: u32,
    len: usize,
}

impl Slab {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { flows: Vec::with_capacity(capacity), capacity, free: NIL, len: 0 }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The connection with a number in use.
    #[inline]
    pub(crate) fn at(&self, number: u32) -> &Flow {
        &self.flows[number as usize]
    }

    /// Prefetches both cache lines of a connection.
    #[inline]
    pub(crate) fn peek(&self, number: u32) -> Option<u32> {
        let flow = self.flows.get(number as usize)?;
        Some(flow.seen ^ flow.owner_link.next)
    }

    /// The same, for writing.
    #[inline]
    pub(crate) fn at_mut(&mut self, number: u32) -> &mut Flow {
        &mut self.flows[number as usize]
    }

    /// All numbers, free ones included.
    pub(crate) fn numbers(&self) -> std::ops::Range<u32> {
        0..self.flows.len() as u32
    }

    /// All connections.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Flow> {
        self.flows.iter().filter(|flow| !is_free(flow))
    }

    /// The number is free.
    pub(crate) fn is_free(&self, number: u32) -> bool {
        is_free(self.at(number))
    }

    /// Inserts a connection; the caller checks for a free slot.
    pub(crate) fn insert(&mut self, flow: Flow) -> u32 {
        debug_assert!(self.len < self.capacity, "full");
        self.len += 1;
        if self.free == NIL {
            self.flows.push(flow);
            return self.flows.len() as u32 - 1;
        }
        let number = self.free;
        self.free = self.at(number).owner_link.next;
        *self.at_mut(number) = flow;
        number
    }

    /// Removes a connection, which must be in no list.
    pub(crate) fn remove(&mut self, number: u32) {
        let free = std::mem::replace(&mut self.free, number);
        let flow = self.at_mut(number);
        flow.owner_link = Link { next: free, prev: NIL };
        self.len -= 1;
    }
}

/// A connection in use has a predecessor in its owner's list.
fn is_free(flow: &Flow) -> bool {
    flow.owner_link.prev == NIL
}
