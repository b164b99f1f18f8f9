//! ICMP errors (RFC 5508 section 4).
//!
//! # Theory of operation
//!
//! An error quotes the packet that it is about as whoever complains received it. Reversed, the quoted
//! addresses and ports are those of an answer from there: so the connection is found as for any packet, and
//! the error goes the way that an answer would. It is believed if
//!
//! - it comes from the side on which the quoted packet went out,
//! - such packets were sent at all,
//! - of TCP, the quoted sequence number was sent and is not acknowledged yet (RFC 5927 section 4.1).
//!
//! Whoever complains need not be the peer: a router on the way does. Its address stays if it is outside.
//! From inside an error appears from the address by which the peer of the quoted packet knows the
//! connection (REQ-5: no internal address leaves).
//!
//! An error never ends, refreshes or begins anything (REQ-4 and REQ-6).

use super::Nat;
use crate::direction::Direction;
use crate::drop_reason::NatDrop;
use crate::edit::{Edit, Realm, Translation};
use crate::table::flow::Flow;
use crate::table::hash::Key;
use crate::tuple::{Endpoint, Transport};
use crate::view::{Quoted, View};

impl Nat {
    /// An error about a packet of a connection.
    pub(super) fn error(
        &mut self,
        from: Realm,
        view: &View,
        quoted: &Quoted,
    ) -> Result<Translation, NatDrop> {
        let reply = Key::new(&quoted.tuple, from.zone()).reversed();
        let Some((number, dir)) = self.find(&reply) else { return self.stray(from, &reply) };
        let flow = self.flows.at(number);
        if self.is_over(flow) || flow.from(dir) != from || !is_credible(flow, dir, quoted) {
            return Err(NatDrop::ForgedError);
        }
        let seen = flow.edit(dir, &self.externals);
        let icmp_src = match from {
            Realm::External => view.src,
            Realm::Internal(..) => seen.src.address,
        };
        let edit = Edit {
            src: Endpoint::new(icmp_src, 0),
            dst: Endpoint::new(seen.dst.address, 0),
            // The quoted packet went the other way.
            quoted: Some((seen.dst, seen.src)),
        };
        let to = flow.to(dir);
        self.counters.icmp_errors_translated += 1;
        Ok(Translation::Edit { edit, to })
    }

    /// An error about a packet of no connection: the host's own, unless it is about a port of a mapping.
    fn stray(&mut self, from: Realm, reply: &Key) -> Result<Translation, NatDrop> {
        if from != Realm::External {
            return Err(NatDrop::ForgedError);
        }
        let addr_idx = self.externals.find(reply.dst);
        let ports =
            addr_idx.and_then(|addr_idx| self.externals.port_pool(addr_idx, reply.transport));
        let number = ports.and_then(|ports| ports.mapping(reply.ports.dst()));
        match number {
            Some(number) if !self.is_mapping_revoked(self.mappings.at(number)) => {
                Err(NatDrop::ForgedError)
            }
            _ => Ok(Translation::NotOurs),
        }
    }
}

/// Whether the quoted packet was sent, as far as we can know. The error goes in direction `dir`.
fn is_credible(flow: &Flow, dir: Direction, quoted: &Quoted) -> bool {
    if flow.frames(dir.other()) == 0 {
        return false;
    }
    if flow.transport() != Transport::Tcp {
        return true;
    }
    let (sender, receiver) = (flow.tcp_peers[dir.other() as usize], flow.tcp_peers[dir as usize]);
    quoted.seq.is_some_and(|seq| sender.has_in_flight(&receiver, seq))
}
