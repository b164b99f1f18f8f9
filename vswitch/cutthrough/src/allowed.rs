//! The handshakes that the switch has seen: which two sockets may be joined.
//!
//! A hash table with four ways in memory that the programs read while workers write it. An entry is needed for the
//! moment between the SYN-ACK and the two sockets' being established, so the oldest of a bucket makes room: what is
//! lost is a connection that stays on the normal path.
//!
//! An entry's first word is the connection's id, [`BUSY`] while a worker writes the others. A worker that meets another
//! one there takes another entry; a program that sees the id change has not found the entry.

#[cfg(feature = "bpf")]
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(feature = "bpf")]
use crate::Error;
use crate::Tuple;
use crate::layout::{ALLOWED_BUCKETS, ALLOWED_WAYS, ALLOWED_WORDS};
use crate::shared::Words;

#[cfg(test)]
mod tests;

/// Both ends of a connection whose SYN-ACK has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// The end that has sent the SYN.
    pub client: Tuple,
    /// The end that has sent the SYN-ACK.
    pub server: Tuple,
    /// The next sequence number of the client: the SYN-ACK's acknowledgment number.
    pub client_next: u32,
    /// The next sequence number of the server: the SYN-ACK's sequence number and one.
    pub server_next: u32,
}

/// The table. Workers share it.
#[derive(Debug)]
pub struct Allowed {
    words: Words,
    seed: u64,
    next_id: AtomicU64,
}

/// An entry that is being written.
const BUSY: u64 = u64::MAX;

/// Words of the table.
const WORDS: usize = ALLOWED_BUCKETS * ALLOWED_WAYS * ALLOWED_WORDS;

impl Allowed {
    /// A table that no program reads.
    #[must_use]
    pub fn detached(seed: u64) -> Self {
        let words = Words::Own((0..WORDS).map(|_| AtomicU64::new(0)).collect());
        Self { words, seed, next_id: AtomicU64::new(1) }
    }

    /// The table in a map of the kernel. Ids begin with `first_id`, so that no connection of before has the same.
    #[cfg(feature = "bpf")]
    pub(crate) fn of_map(map: BorrowedFd<'_>, seed: u64, first_id: u64) -> Result<Self, Error> {
        let words = Words::of_map(map, WORDS)?;
        Ok(Self { words, seed, next_id: AtomicU64::new(first_id) })
    }

    /// Allows the two sockets of a handshake to be joined. A SYN-ACK that is sent again is allowed again.
    pub fn allow(&self, handshake: &Handshake) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let Handshake { client, server, client_next, server_next } = handshake;
        self.write(id, server, [*server_next, *client_next], 1);
        // The client is established first, so its end comes last.
        self.write(id, client, [*client_next, *server_next], 0);
    }

    fn write(&self, id: u64, tuple: &Tuple, [sent, received]: [u32; 2], side: u64) {
        let words = tuple.words();
        let bucket = self.bucket(&words);
        let numbers = numbers(sent, received);
        let end = words.into_iter().chain([numbers]);
        let age = |way: &[AtomicU64; ALLOWED_WORDS]| {
            let mut both = way[1..].iter().zip(end.clone());
            // One that was sent again stands where it stood, so that both ends have the same id.
            let is_again = both.all(|(it, word)| it.load(Ordering::Relaxed) == word);
            if is_again { 0 } else { way[0].load(Ordering::Relaxed) }
        };
        let ways = bucket.as_chunks::<ALLOWED_WORDS>().0;
        let mut tries = (0..ALLOWED_WAYS).filter_map(|_| {
            let way = ways.iter().min_by_key(|way| age(way))?;
            let before = way[0].load(Ordering::Relaxed);
            let taken = way[0].compare_exchange(before, BUSY, Ordering::Acquire, Ordering::Relaxed);
            (before != BUSY && taken.is_ok()).then_some(way)
        });
        let Some(way) = tries.next() else { return };
        fence(Ordering::Release);
        for (to, from) in way[1..].iter().zip(words.into_iter().chain([numbers, side])) {
            to.store(from, Ordering::Relaxed);
        }
        way[0].store(id, Ordering::Release);
    }

    /// What a program finds for an end whose socket has these next sequence numbers, sent and received: the
    /// connection's id, and whether it is the server's end.
    #[must_use]
    pub fn find(&self, end: &Tuple, [sent, received]: [u32; 2]) -> Option<(u64, bool)> {
        let words = end.words();
        let ways = self.bucket(&words).as_chunks::<ALLOWED_WORDS>().0;
        let wanted = words.into_iter().chain([numbers(sent, received)]);
        let mut found = ways.iter().filter(|way| {
            way[1..].iter().zip(wanted.clone()).all(|(it, word)| it.load(Ordering::Relaxed) == word)
        });
        let way = found.next()?;
        let id = way[0].load(Ordering::Acquire);
        (id != 0 && id != BUSY).then(|| (id, way[8].load(Ordering::Relaxed) == 1))
    }

    /// The ways of a tuple's bucket.
    fn bucket(&self, words: &[u64; 6]) -> &[AtomicU64] {
        const BUCKET: usize = ALLOWED_WAYS * ALLOWED_WORDS;
        let hash = words.iter().fold(self.seed, |hash, word| {
            let hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^ (hash >> 32)
        });
        let index = hash as usize & (ALLOWED_BUCKETS - 1);
        &self.words.all()[index * BUCKET..(index + 1) * BUCKET]
    }
}

/// Two sequence numbers as they lie in memory one after the other.
fn numbers(sent: u32, received: u32) -> u64 {
    let both = [sent.to_ne_bytes(), received.to_ne_bytes()];
    u64::from_ne_bytes(std::array::from_fn(|i| both[i / 4][i % 4]))
}
