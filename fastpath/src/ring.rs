//! Bounded lock-free rings between threads.
//!
//! [`spsc`] has one writer and one reader, for what one worker tells another. Where several threads
//! write (commands to a worker), `crossbeam`'s `ArrayQueue` serves.

pub mod spsc;
