//! Translation of addresses and ports, without I/O: a packet's view, where it came from and the time go
//! in, the edit to make or a reason against it comes out.
//!
//! | module | what it is about |
//! |---|---|
//! | [`nat`](Nat) | the translator: how connections begin, go on and end |
//! | `table` | where they are kept: by address, by time, by owner |
//! | `mapping`, `ports` | by which port of ours the world sees an inner endpoint |
//! | `rules` | the policy, compiled |
//! | `tcp`, [`state`](State) | what state a connection is in |
//! | [`mod@tuple`] | who talks to whom |
//! | [`view`] | what translation must know of a packet |
//! | [`edit`] | which addresses and ports it gets |
//! | [`parse`] | a frame's bytes -> its view |
//! | [`rewrite`](mod@rewrite) | an edit -> the frame's bytes, with their checksums |
//! | [`hop`] | time to live and hop limit, down by one |
//! | [`answer`](mod@answer) | the ICMP errors that a router sends |
//! | [`clamp`](mod@clamp) | the MSS of SYNs, lowered |
//! | [`split`](mod@split) | fragmentation of IPv4 |
//! | [`fragment`] | packets that come in fragments: which connection is theirs |
//! | [`share`] | which worker translates what, where there are several |
//! | [`policy`] | from which address and ports the inside appears, and what is published |
//! | [`refusal`] | why a packet is not translated |
//! | [`limits`] | every limit of the crate |

#![forbid(unsafe_code)]

mod address;
pub mod answer;
pub mod clamp;
mod counters;
pub mod edit;
pub mod fragment;
pub mod hop;
pub mod limits;
mod mapping;
mod nat;
pub mod parse;
pub mod policy;
mod ports;
mod quote;
pub mod refusal;
pub mod rewrite;
mod rules;
pub mod share;
pub mod split;
mod state;
mod table;
mod tcp;
pub mod time;
pub mod tuple;
pub mod view;

pub use counters::Counters;
pub use edit::{Edit, Side, Translation};
pub use nat::{Flushing, Nat, NatConfig, Place, Row};
pub use policy::{Policy, Published};
pub use refusal::Refusal;
pub use share::Share;
pub use state::State;
pub use time::Time;
pub use tuple::{Endpoint, OwnerId, Transport, Tuple};
pub use view::{Fragment, Kind, Quoted, Segment, View};
