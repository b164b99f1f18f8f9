//! Everything that is done to the host, on one list, with how it is undone.
//!
//! | what | where | undone by |
//! |---|---|---|
//! | the bridge's TAP with the gateway addresses, and the routes that follow from them | [`bridge`] | closing its queues |
//! | permanent entries for containers' addresses on it | [`neighbours`] | at detach; go with the interface |
//! | its IPv6 settings under `/proc/sys/net/ipv6/conf/BRIDGE` | [`sysctl`] | go with the interface |
//! | a TAP in a container's namespace with addresses, settings and default routes | [`container`] | closing its queues |
//! | the uplink: a TAP, nftables tables, reserved ports and sockets | [`uplink`], which lists it | [`uplink::Uplink::stop`], [`uplink::restore_after_crash`] |
//! | `lo` up in a container's namespace | [`container`] | stays: the namespace is the container's |
//!
//! Nothing else is touched: nobody else's firewall, no kernel bridge, no file outside the state
//! directory and the socket. Because a TAP lives exactly as long as its descriptors, a crash leaves
//! none: the kernel takes the interfaces down with the process, a moment after its death.
//!
//! The kernel is spoken to by rtnetlink ([`Netlink`]): by a connection of the host's namespace to make
//! the bridge, and by connections for each visit to a container's ([`netns_exec`]), made and closed by a
//! thread that lives as long as the visit. No descriptor of a container's namespace is kept open: it would keep the namespace alive
//! after its last process has left.

pub(crate) mod bridge;
pub(crate) mod container;
mod error;
pub(crate) mod limits;
pub(crate) mod neighbours;
pub(crate) mod netlink;
pub(crate) mod netns;
pub(crate) mod netns_exec;
pub(crate) mod nft;
mod proxy;
pub(crate) mod reserve;
pub(crate) mod routes;
mod sysctl;
mod task;
#[cfg(test)]
mod tests;
pub(crate) mod uplink;

pub(crate) use error::HostError;
pub(crate) use neighbours::Neighbours;
pub(crate) use netlink::Netlink;
pub(crate) use netns::NetnsError;
