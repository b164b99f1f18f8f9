//! Translation of addresses and ports, without I/O: a packet's view, where it came from and the time go
//! in, the edit to make or a reason against it comes out.
//!
//! | module | what it is about |
//! |---|---|
//! | [`nat`](Nat) | the translator: how connections begin, go on and end |
//! | `table` | where they are kept: by address, by time, by owner |
//! | `mapping`, `port_pool` | by which port of ours the world sees an internal endpoint |
//! | `tcp`, [`state`](State) | what state a connection is in |
//! | [`mod@tuple`] | who talks to whom |
//! | [`Zone`] | the network of an internal address |
//! | [`view`] | what translation must know of a packet |
//! | [`edit`] | which addresses and ports it gets |
//! | [`parse`] | a frame's bytes -> its view |
//! | [`rewrite`](mod@rewrite) | an edit -> the frame's bytes, with their checksums |
//! | [`fragment`] | packets that come in fragments: which connection is theirs |
//! | [`shard_spec`] | which worker translates what, where there are several |
//! | [`policy`], [`CompiledPolicy`] | SNAT addresses and ports, published ports; the same for lookups |
//! | [`drop_reason`] | why a packet is not translated |
//! | [`limits`] | every limit of the crate |

#![forbid(unsafe_code)]

mod address;
mod compiled_policy;
mod direction;
pub mod drop_reason;
pub mod edit;
pub mod fragment;
pub mod limits;
mod mapping;
mod nat;
mod owner;
pub mod parse;
pub mod policy;
mod port_pool;
mod quote;
mod record;
pub mod rewrite;
pub mod shard_spec;
mod state;
mod table;
mod tcp;
pub mod time;
mod translatable;
pub mod tuple;
pub mod view;
mod zone;

pub use compiled_policy::CompiledPolicy;
pub use drop_reason::NatDrop;
pub use edit::{Edit, Realm, Translation};
pub use nat::{Flushing, ImportError, Imported, Nat, NatConfig, Row, Shard};
pub use owner::OwnerId;
pub use policy::{Policy, Published};
pub use shard_spec::ShardSpec;
pub use state::State;
pub use time::Time;
pub use tuple::{Endpoint, Transport, Tuple};
pub use view::{Fragment, Kind, Quoted, Segment, View};
pub use vswitch_counters::{FragmentCounters, NatCounters};
pub use zone::Zone;
