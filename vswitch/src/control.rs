//! The desired state, and the operations that bring host and datapath in line with it.
//!
//! | file | what it does |
//! |---|---|
//! | [`model`] | holds the desired state; pure |
//! | [`start`], [`replay`], [`store`], [`save`] | start the switch, attach stored endpoints again, keep the document |
//! | [`kept`], [`left_overs`], [`progress`] | keep and retry what could not be attached, wait for what a crash left, show how far the start is |
//! | [`attach`], [`detach`], [`port`], [`plan`] | attach and detach endpoints, as steps of a plan; end the switch |
//! | [`containers`] | attach containers of engines, also after their restart |
//! | [`overlay`] | opens the tunnel port, changes static peers, follows the underlay's MTU |
//! | [`network`], [`connect`] | create and remove networks, and put a container on several |
//! | [`runtime`], [`runtime_names`], [`runtime_ports`] | hand TAPs out to a runtime that configures namespaces itself, and take names from it |
//! | [`publish`], [`republish`], [`published_ports`] | open ports of the host |
//! | [`upkeep`] | restores parts of the switch that other programs remove |
//! | [`uplink`] | follows the host's routes and neighbours |
//! | [`snat_blocks`], [`block_requests`], [`block_share`], [`socket_shares`] | claims SNAT ports on the host for the workers |
//! | [`cut_through`] | starts the programs of cut-through, and shows their connections |
//! | [`service`] | starts the service port |
//! | [`events`] | handles the events of the workers |
//! | [`dhcp`] | answers hosts that configure themselves |
//! | [`event_feed`] | reports what happens to clients that listen |
//! | [`rename`], [`prune`] | rename attachments, and clean up those that nobody reaches |
//! | [`pools`] | address pools of IPAM clients |
//! | [`addresses`], [`fdb`], [`port_settings`] | change reservations, static entries, and settings of ports |
//! | [`dns`] | keeps the table of names, runs the DNS server |
//! | [`views`], [`conntrack`] | show the state as types of the API |
//!
//! Each change runs in a task of its own, so that a client that hangs up leaves no half of a change.
//! Changes of different endpoints overlap: they share only the model, locked for moments.
//! A change is acknowledged when it works *and* is on the disk.

mod addresses;
mod attach;
mod block_requests;
mod block_share;
mod cleanup;
mod connect;
mod conntrack;
mod containers;
mod cut_through;
mod detach;
mod dhcp;
mod dns;
mod ended_netns;
mod error;
mod event_feed;
mod events;
mod failed_writes;
mod fdb;
mod handover;
mod inner;
pub(crate) mod ipam;
mod kept;
mod left_overs;
pub(crate) mod limits;
pub(crate) mod model;
pub(crate) mod name;
mod network;
mod overlay;
mod plan;
pub(crate) mod pools;
mod port;
mod port_settings;
mod progress;
mod prune;
mod publish;
mod published_ports;
mod random;
mod rename;
mod replay;
mod republish;
mod runtime;
mod runtime_names;
mod runtime_ports;
mod runtime_state;
mod save;
mod service;
mod snat_blocks;
mod socket_shares;
mod start;
mod stats;
pub(crate) mod store;
mod task;
mod text;
mod upkeep;
mod uplink;
mod views;

use std::sync::Arc;

use wire::MacAddr;

use crate::dataplane::DataplaneError;
pub use cleanup::{Cleanup, CleanupError, clean_up_after_crash};
pub use error::ControlError;
pub(crate) use event_feed::{StreamEnd, Subscription};
use inner::Inner;
pub(crate) use ipam::PoolError;
pub(crate) use network::NetworkError;
pub(crate) use overlay::OverlayError;
pub use progress::Progress;
pub(crate) use progress::Reporter;
pub(crate) use replay::ReplayReport;
pub(crate) use runtime::{HandedOut, Label, RuntimeRequest};
pub(crate) use runtime_names::RuntimeNames;
pub(crate) use start::StoredState;

/// Control. Clones are handles on the same one.
#[derive(Debug, Clone)]
pub(crate) struct Control(Arc<Inner>);

impl Control {
    /// Events from now on.
    pub(crate) fn subscribe(&self) -> Result<Subscription, ControlError> {
        self.0.feed.subscribe().map_err(|error| self.count_limit_hit(error))
    }

    /// Ends all streams of events, so that their connections end.
    pub(crate) fn close_feed(&self) {
        self.0.feed.close();
    }

    /// Counts an error that a limit causes.
    fn count_limit_hit(&self, error: ControlError) -> ControlError {
        let limit = match &error {
            ControlError::PortsMax(_) => Some("ports"),
            ControlError::Network(NetworkError::Max | NetworkError::OpenFiles) => Some("networks"),
            ControlError::Network(NetworkError::ReachableFromMax) => Some("reachable-from"),
            ControlError::Network(NetworkError::SubnetsMax) => Some("subnets"),
            ControlError::Network(NetworkError::PoolsMax) => Some("address-pools"),
            ControlError::Overlay(OverlayError::PeersMax(_)) => Some("network-peers"),
            ControlError::Overlay(OverlayError::VtepsMax) => Some("peers"),
            ControlError::StaticsMax => Some("static-entries"),
            ControlError::WaitingMax(_) => Some("waiting-containers"),
            ControlError::ReservationsMax => Some("reservations"),
            ControlError::PublicationsMax(_) => Some("publications"),
            ControlError::AllowFromMax(_) => Some("allow-from-prefixes"),
            ControlError::AddressesMax(_) => Some("further-addresses"),
            ControlError::AliasesMax(_) => Some("aliases"),
            ControlError::LabelsMax(_) => Some("labels"),
            ControlError::NoFreePort(_) => Some("host-port-tries"),
            ControlError::Busy(..) => Some("detach-wait"),
            ControlError::EventClientsMax => Some("event-clients"),
            ControlError::Dataplane(DataplaneError::Busy(_)) => Some("worker-commands"),
            _ => None,
        };
        limit.inspect(|limit| self.count_refusal(limit));
        error
    }
}

/// Refuses an address that no interface may have.
fn unicast_mac(mac: MacAddr) -> Result<MacAddr, ControlError> {
    if mac.is_broadcast() {
        return Err(ControlError::MacNotUnicast(mac, "broadcast"));
    }
    if mac.is_multicast() {
        return Err(ControlError::MacNotUnicast(mac, "multicast"));
    }
    if !mac.is_unicast() {
        return Err(ControlError::MacNotUnicast(mac, "zero"));
    }
    Ok(mac)
}
