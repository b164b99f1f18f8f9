//! The parts of nftables that the crate `nftnl` lacks, with a safe interface.
//!
//! `nftnl` 0.9 fixes its expressions to register 1 and has no `fwd`, `dup`, `fib`, `exthdr`, `dynset`, concatenated keys,
//! interval elements, maps, chains of several devices table flags or objects. libnftnl has them: an expression is a name with
//! attributes ([`expr`]), a set or a chain is described by a few more attributes ([`set`], [`chain`]), a table has flags
//! ([`table`]). The
//! unsafe lines are the calls that set these attributes; what may go into them is fixed by the
//! constructors, so no caller can hand libnftnl a length or a type that it does not expect.
//!
//! Messages go into an `nftnl::Batch`, and by a netlink socket ([`socket`]) to the kernel. Queries and answers
//! are plain bytes ([`query`]).
//!
//! Objects of timeouts ([`timeout`]) are plain bytes, too, and so is what rules log ([`log_group`]).
//!
//! Beside these, [`netns`] has the requests of the kernel about the owner of a namespace, and [`parent_death`] ties a
//! program to its parent.

pub mod chain;
pub mod expr;
pub mod limits;
pub mod log_group;
pub mod netns;
pub mod parent_death;
pub mod query;
pub mod set;
pub mod socket;
pub mod table;
#[cfg(test)]
mod tests;
pub mod timeout;

pub use nftnl::{
    Batch, Chain, ChainType, Hook, MsgType, Policy, ProtoFamily, Rule, Table, nft_nlmsg_maxsize,
};
