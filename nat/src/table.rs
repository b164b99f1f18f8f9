//! The connection table: what is found by hashing, what is found by time, what is found by owner.
//!
//! # Theory of operation
//!
//! A connection ([`flow::Flow`]) is 128 bytes in a slab of fixed capacity, and is named by its number
//! there. It is known under two keys, one for each direction; both lie in one [`index::Index`], each
//! with the number and the direction: eight bytes an entry. So a lookup costs one cache line of the
//! index and the two of the connection.
//!
//! A connection is in two lists that run through the slab: that of the wheel ([`wheel`]), by the
//! time when it may expire, and that of its owner ([`owners`]), by how much it would be missed.
//!
//! Capacity is taken once, memory is touched as it is used or, of what is found by hashing, in idle moments before
//! ([`pages`]); nothing is allocated for a frame.

pub(crate) mod external_addrs;
pub(crate) mod filter;
pub(crate) mod flow;
pub(crate) mod hash;
pub(crate) mod index;
pub(crate) mod link;
pub(crate) mod owners;
pub(crate) mod pages;
pub(crate) mod pinholes;
pub(crate) mod slab;
pub(crate) mod wheel;
