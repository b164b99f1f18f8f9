//! Changes of the host's routes and addresses.
//!
//! # Theory of operation
//!
//! A policy with other SNAT addresses by destination starts an epoch. A connection from before it is revoked at its
//! next packet, or by the sweep ([`super::revoke`]), if its route now wants another address:
//!
//! | connection | is revoked |
//! |---|---|
//! | UDP, echo | if its address is no longer a candidate of the route: the next packet from inside gets a new mapping |
//! | TCP, SCTP | if its address is the host's by another device only: it goes on where the address holds |
//! | to a published port, between containers | never: the peer knows its address |
//!
//! An IPv4 address that is gone revokes its connections at once, an IPv6 address after [`GONE_DELAY`]: routers and
//! address managers take one away and put it back within seconds.

use super::Nat;
use crate::address::Address;
use crate::limits::GONE_DELAY;
use crate::state::{CoarseTime, units};
use crate::table::flow::{Flow, FlowFlags};
use crate::tuple::Transport;

/// An IPv6 address that is gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone {
    address: Address,
    /// The first tick without it.
    since: Option<CoarseTime>,
}

impl Nat {
    /// The route of a connection from before a change wants another SNAT address.
    pub(super) fn is_rerouted(&self, flow: &Flow) -> bool {
        let flags = flow.flags;
        let is_inbound = flags.has(FlowFlags::FROM_EXTERNAL);
        let keeps = flags.has(FlowFlags::HAIRPIN)
            || is_inbound && !flags.has(FlowFlags::SERVER_MAPPED)
            || self.revoked.routes_since.is_none_or(|since| flow.created_epoch >= since);
        if keeps {
            return false;
        }
        let (own, other) = (usize::from(is_inbound), usize::from(!is_inbound));
        let Some(address) = self.externals.address(flow.aliases[own]) else { return false };
        let remote = flow.peers[other];
        let from = (flow.zones[own], flow.peers[own]);
        let Some(wanted) = self.policy.source_for(from, remote) else { return false };
        let sources = self.policy.sources_for(from, remote);
        match flow.transport() {
            // Of several candidates, such as prefixes of one device, another may suit the destination better since.
            Transport::Udp | Transport::Echo => {
                wanted != address && !sources.is_some_and(|sources| sources.offers(address.ip()))
            }
            Transport::Tcp | Transport::Sctp => {
                self.policy.is_external(address)
                    && sources.is_some_and(|sources| !sources.holds(address.ip()))
            }
        }
    }

    /// Notes the IPv6 addresses with connections that the host no longer has.
    pub(super) fn note_gone(&mut self) {
        let is_gone = |&(addr_idx, address): &(u16, Address)| {
            let is_used = self.externals.is_used(addr_idx);
            is_used && !address.is_v4() && !self.policy.is_external(address)
        };
        let noted = self.externals.numbers().filter(is_gone).map(|(_, address)| {
            let known = self.gone.iter().find(|gone| gone.address == address);
            known.copied().unwrap_or(Gone { address, since: None })
        });
        self.gone = noted.collect();
    }

    /// Revokes connections with addresses that have been gone for [`GONE_DELAY`].
    #[cold]
    pub(super) fn revoke_gone(&mut self) {
        let now = self.now;
        let mut is_due = false;
        for at in (0..self.gone.len()).rev() {
            let since = *self.gone[at].since.get_or_insert(now);
            if now.since(since) < units(GONE_DELAY) {
                continue;
            }
            if !std::mem::replace(&mut is_due, true) {
                self.revoked.next_epoch();
            }
            let Gone { address, .. } = self.gone.swap_remove(at);
            if let Some(addr_idx) = self.externals.find(address) {
                self.externals.revoke(addr_idx, self.revoked.epoch);
            }
        }
        if is_due {
            self.start_sweep();
        }
    }
}
