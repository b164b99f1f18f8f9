//! All changes to the host, and how each is undone.
//!
//! | change | module | undone by |
//! |---|---|---|
//! | the bridge's TAP with the gateway addresses and their routes | [`bridge`] | closing its queues |
//! | permanent entries for containers' addresses on it | [`neighbours`] | detach; the end of the interface |
//! | its IPv6 settings under `/proc/sys/net/ipv6/conf/BRIDGE` | [`sysctl`] | the end of the interface |
//! | a TAP in a container's namespace with addresses, settings and default routes | [`container`] | closing its queues |
//! | the uplink: a TAP, nftables tables, reserved ports and sockets | [`uplink`], which lists it | [`uplink::Uplink::stop`], [`uplink::restore_after_crash`]; `Uplink::into_parts` hands it over |
//! | UDP sockets of the tunnel port on the underlay | `fastpath::udp`, [`underlay`] | closing them |
//! | the service's namespace with a TAP and sockets | [`service`] | closing them |
//! | the text of a container's `resolv.conf` in its engine's folder | `control::containers` | detach |
//! | programs of cut-through on a cgroup | `control::cut_through`, noted in [`cut_through_note`] | `down`, also after a crash |
//! | `lo` up in a container's namespace | [`container`] | never: the namespace is the container's |
//!
//! Nothing else changes: no other firewall, no kernel bridge, no other file outside the state directory,
//! the sockets and the note beside that of the API ([`state_note`]). A TAP lives as long as its descriptors, so the
//! kernel removes it after a crash ([`left_over`]).
//!
//! Requests to the kernel go by rtnetlink ([`Netlink`]): one connection in the host's namespace, and one
//! for each task in a container's ([`netns_exec`]), in a thread that ends with the task. No descriptor of
//! a container's namespace stays open: it would keep the namespace alive after its last process.

pub(crate) mod bridge;
pub(crate) mod conntrack;
pub(crate) mod container;
pub(crate) mod cut_through_note;
pub(crate) mod departures;
pub(crate) mod dying;
mod error;
pub(crate) mod left_over;
pub(crate) mod limits;
pub(crate) mod link_changes;
mod link_messages;
pub(crate) mod neighbours;
pub(crate) mod netlink;
pub(crate) mod netns;
pub(crate) mod netns_exec;
pub(crate) mod nft;
pub(crate) mod own_device;
mod own_flows;
pub(crate) mod plugin_note;
mod proxy;
pub(crate) mod reserve;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod stale_flows;
pub(crate) mod state_note;
mod sysctl;
mod task;
#[cfg(test)]
mod tests;
pub(crate) mod underlay;
pub(crate) mod uplink;

pub(crate) use error::HostError;
pub(crate) use neighbours::Neighbours;
pub(crate) use netlink::Netlink;
pub(crate) use netns::NetnsError;
pub(crate) use proxy::counters as proxy_counters;
pub(crate) use state_note::StateNote;
pub use state_note::read as noted_state_dir;
