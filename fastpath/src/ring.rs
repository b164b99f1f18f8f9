//! Bounded lock-free rings between threads.
//!
//! [`spsc`] connects two workers. Commands to a worker have several producers and use `crossbeam`'s
//! `ArrayQueue`.

pub mod spsc;
