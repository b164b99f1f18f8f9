//! The connection table, with lookup by key, time and owner.
//!
//! # Theory of operation
//!
//! A connection ([`flow::Flow`]) takes 128 bytes in a slab of fixed capacity; its slot is its number.
//! One [`index::Index`] holds both keys, one for each direction, in eight bytes each: number and
//! direction. A lookup reads one cache line of the index and two of the connection.
//!
//! A connection is in two lists through the slab: the wheel's ([`wheel`]), by expiry, and its
//! owner's ([`owners`]), in the order of eviction.
//!
//! The table reserves its memory once. Pages are touched on first use, or prefaulted in idle moments for
//! hash tables ([`pages`]). Nothing is allocated for a frame.

pub(crate) mod external_addrs;
pub(crate) mod filter;
pub(crate) mod flow;
pub(crate) mod hash;
pub(crate) mod index;
pub(crate) mod link;
pub(crate) mod other_syns;
pub(crate) mod owners;
pub(crate) mod pages;
pub(crate) mod pinholes;
pub(crate) mod refusals;
pub(crate) mod slab;
pub(crate) mod wheel;
