//! A node's part in overlay networks that a registry describes.
//!
//! ```text
//! control --commands--> Overlay ==> task --requests--> registry (etcd, ZooKeeper, Consul, file)
//!         <--changes---             session <--watch, lease, answers--
//! ```
//!
//! [`Overlay::start`] gives control one handle with async methods, and one receiver of changes, [`OverlayChanges`]. Control
//!
//! - makes networks, VTEPs and remote endpoints of what [`OverlayChange`] tells. An endpoint may come before its node or
//!   network, so control joins them by name: a network's flood list is the nodes of its endpoints;
//! - attaches by [`allocate`](Overlay::allocate), then [`announce`](Overlay::announce), and detaches by
//!   [`withdraw`](Overlay::withdraw), then [`release`](Overlay::release). After a restart it announces each endpoint that it
//!   kept, and reserves addresses that have none yet;
//! - keeps networks ([`OverlayChange::NetworkSet`]) and own blocks ([`OverlayChange::BlockSet`]) in its document, and gives
//!   them back as [`Remembered`] after a restart, so that the node attaches although the registry is away;
//! - fails `up` when [`registered`](Overlay::registered) does not succeed within the lease's time to live: an old
//!   record of the same node under another address lives that long.
//!
//! # States
//!
//! | The registry is | Others | This node |
//! |---|---|---|
//! | there | believed as the watch tells; a deletion [`REMOVAL_DELAY`](limits::REMOVAL_DELAY) later | each write waits for the registry |
//! | away | nobody is believed gone | endpoints in own blocks go on and are told later; others are refused |
//! | back, for [`GRACE`](limits::GRACE) | nobody is believed gone | registers, then writes all endpoints, networks in use and own blocks again |
//!
//! So a registry that lost its data takes nobody's traffic: all nodes write again before anybody believes the loss.
//!
//! Conflicts: an address is whose key it is. Two nodes that want one address, block, VNI, name or VTEP race for its key,
//! one wins and the other is told. An endpoint that was told later and lost is told as
//! [`OverlayChange::AddressRefused`]; it is tried again when the other's entry goes.
//!
//! A `file://` registry is read only. Networks, nodes and endpoints come from the file. An endpoint of this node is attached
//! only where the file gives this node its address: [`AddressRequest::Any`] finds it by the endpoint's name,
//! [`AddressRequest::Fixed`] by the address, and the MAC address must be the file's, since other nodes send to that one.
//! The names in the file are those that other nodes know.
//!
//! # Files
//!
//! The core is sans-I/O: `session.rs` has all decisions, on a view of the registry (`view.rs`) and a table of this
//! node's own endpoints (`local.rs`). `task.rs` brings events and time, `perform.rs` carries out requests.

mod addresses;
mod change;
mod command;
mod conf;
mod error;
mod handle;
pub mod limits;
mod local;
mod networks;
mod perform;
mod request;
mod session;
mod status;
mod task;
mod view;

pub use addresses::gateway_of;
pub use change::{OverlayChange, RemoteEndpoint};
pub use command::{AddressRequest, Allocation, Progress};
pub use conf::{NewNetwork, OverlayConf, Remembered};
pub use error::NodeError;
pub use handle::{Overlay, OverlayChanges};
pub use status::{LeaseStatus, OverlayStatus};

#[cfg(test)]
mod tests;
