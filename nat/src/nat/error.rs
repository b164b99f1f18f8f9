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
//! connection (REQ-5: no inner address leaves).
//!
//! An error never ends, refreshes or begins anything (REQ-4 and REQ-6).

use super::Nat;
use crate::edit::{Edit, Side, Translation};
use crate::refusal::Refusal;
use crate::table::flow::{Flow, Way};
use crate::table::hash::Key;
use crate::tuple::{Endpoint, Transport};
use crate::view::{Quoted, View};

impl Nat {
    /// An error about a packet of a connection.
    pub(super) fn error(
        &mut self,
        from: Side,
        view: &View,
        quoted: &Quoted,
    ) -> Result<Translation, Refusal> {
        let answer = Key::from(&quoted.tuple).reversed();
        let Some((number, way)) = self.find(&answer) else { return self.stray(from, &answer) };
        let flow = self.flows.at(number);
        if self.is_over(flow) || flow.from(way) != from || !is_credible(flow, way, quoted) {
            return Err(Refusal::ForgedError);
        }
        let seen = flow.edit(way, &self.locals);
        let complainer = match from {
            Side::Outside => view.src,
            Side::Inside(_) => seen.src.address,
        };
        let edit = Edit {
            src: Endpoint::new(complainer, 0),
            dst: Endpoint::new(seen.dst.address, 0),
            // The quoted packet went the other way.
            quoted: Some((seen.dst, seen.src)),
        };
        let to = flow.to(way);
        self.counters.errors += 1;
        Ok(Translation::Edit { edit, to })
    }

    /// An error about a packet of no connection: the host's own, unless it is about a port of a mapping.
    fn stray(&mut self, from: Side, answer: &Key) -> Result<Translation, Refusal> {
        if from != Side::Outside {
            return Err(Refusal::ForgedError);
        }
        let local = self.locals.find(answer.dst);
        let ports = local.and_then(|local| self.locals.ports_of(local, answer.transport));
        let number = ports.and_then(|ports| ports.mapping(answer.ports.dst()));
        match number {
            Some(number) if !self.is_mapping_withdrawn(self.mappings.at(number)) => {
                Err(Refusal::ForgedError)
            }
            _ => Ok(Translation::NotOurs),
        }
    }
}

/// Whether the quoted packet was sent, as far as we can know. The error goes `way`.
fn is_credible(flow: &Flow, way: Way, quoted: &Quoted) -> bool {
    if flow.frames(way.other()) == 0 {
        return false;
    }
    if flow.transport != Transport::Tcp {
        return true;
    }
    let (sender, receiver) = (flow.halves[way.other() as usize], flow.halves[way as usize]);
    quoted.seq.is_some_and(|seq| sender.has_in_flight(&receiver, seq))
}
