//! Sans-I/O NAT: takes a parsed packet, its ingress side and `now`; returns the rewrite or a drop reason.
//!
//! | module | contents |
//! |---|---|
//! | [`nat`](Nat) | the translator: connections are created, tracked, expired, revoked, exported |
//! | `table` | the connection table: hash index, timing wheel, lists of owners |
//! | `mapping`, `port_pool`, `port_blocks` | SNAT mappings of internal endpoints; free ports; the blocks that ports come from |
//! | [`policy`], [`CompiledPolicy`] | SNAT addresses and ports, published ports; the same for lookups |
//! | [`sources`] | SNAT addresses by destination |
//! | `tcp`, [`state`](State) | connection states and their timeouts |
//! | [`mod@tuple`], [`Zone`], [`OwnerId`] | addresses and ports, the network of internal ones, whose they are |
//! | [`view`], [`parse`] | the fields of a packet that NAT reads; frame -> view |
//! | [`edit`], [`rewrite`](mod@rewrite) | the new addresses and ports; edit -> frame with its checksums |
//! | [`fragment`] | fragments: the first decides for the others |
//! | [`shard_spec`] | the worker that translates a packet, where there are several |
//! | [`drop_reason`] | why a packet is dropped |
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
mod port_blocks;
mod port_pool;
mod quote;
mod record;
pub mod rewrite;
pub mod shard_spec;
pub mod sources;
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
pub use nat::{
    BlockRequest, Flushing, ImportError, Imported, Nat, NatConfig, RoutedTarget, Row, Shard,
};
pub use owner::OwnerId;
pub use policy::{Policy, Published};
pub use shard_spec::ShardSpec;
pub use sources::{SourceSet, Sources};
pub use state::State;
pub use time::Time;
pub use tuple::{Endpoint, Transport, Tuple};
pub use view::{Fragment, Kind, Quoted, Segment, View};
pub use vswitch_counters::{FragmentCounters, NatCounters};
pub use zone::Zone;
