//! ICMP errors (RFC 5508 section 4).
//!
//! # Theory of operation
//!
//! An error quotes its packet as the error's sender received it. The quoted tuple, reversed, is the key of
//! a reply, which finds the connection; the error then goes in the reply's direction. It is accepted if
//!
//! - it comes from the realm that the quoted packet went to,
//! - the connection sent such packets at all,
//! - TCP: the quoted sequence number is sent and unacknowledged (RFC 5927 section 4.1).
//!
//! The sender may be a router on the path: an external source address stays. An internal source becomes
//! the address by which the peer knows the connection (REQ-5: no internal address leaks).
//!
//! An error never ends, refreshes or opens a connection (REQ-4 and REQ-6). One about no connection of the table is not
//! translated: from inside it may be about a packet of the host, which the caller judges.

use super::Nat;
use crate::direction::Direction;
use crate::drop_reason::NatDrop;
use crate::edit::{Edit, Realm, Translation};
use crate::table::flow::Flow;
use crate::table::hash::Key;
use crate::tuple::{Endpoint, Transport};
use crate::view::{Quoted, View};

impl Nat {
    /// Translates an error about a packet of a connection; the caller counts it if it passes.
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
            // The quoted packet has the opposite direction.
            quoted: Some((seen.dst, seen.src)),
        };
        Ok(Translation::Edit { edit, to: flow.to(dir) })
    }

    /// An error without a connection is the host's, unless it comes from outside and names a mapping's port.
    fn stray(&mut self, from: Realm, reply: &Key) -> Result<Translation, NatDrop> {
        if from != Realm::External {
            return Ok(Translation::NotOurs);
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

/// The connection has sent the quoted packet, as far as NAT knows. The error has direction `dir`.
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
