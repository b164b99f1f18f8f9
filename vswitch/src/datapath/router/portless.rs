//! Protocols without ports, such as GRE, ESP, IPIP and 6in4: translated by address alone.
//!
//! # Theory of operation
//!
//! ```text
//!            a container's packet              no packet for PORTLESS_IDLE, or the container is gone
//!   free ------------> claimed ------> taken ---------------------------------------------> free
//!                         |    control    | told to control each PORTLESS_TELL
//!                         |
//!                         | told to control: the NIC is to hand over what comes from that remote by that protocol
//! ```
//!
//! A claimed flow's packets wait for control beside those that wait for a neighbour ([`super::neighbour_queue`]), so that
//! no answer comes to the host. Without an answer of control they end as those do.
//!
//! What the host itself uses is the host's, whichever came first: control looks, hands nothing over, and notes it
//! here ([`PortlessFlows::refuse`]) for [`PORTLESS_HOST`], again and again while it lasts.
//!
//! Answers have nothing but addresses to tell containers apart. So the first container that uses a protocol with a
//! remote has both; another one is refused, with ICMP "prohibited". Only a container begins: what comes from outside
//! to nobody is the host's. Only addresses change, so fragments need no other fragments. Protocols whose checksum
//! covers the addresses (DCCP, UDP-Lite), or that sign them (AH), are not translated. ICMP errors follow the packet that
//! they quote ([`portless_error`](super::portless_error)).
//!
//! The worker of a flow follows from remote and protocol, in both directions.
//!
//! Limits: [`PORTLESS_FLOWS_MAX`], [`PORTLESS_FLOWS_PER_PORT_MAX`] of one port, [`PORTLESS_HOST_MAX`] notes. Who is at a limit gets no more until
//! one of its flows is idle for long enough.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;

use fastpath::{Nanos, PortIndex};
use nat::OwnerId;

use super::occupancy::PortOccupancy;
use crate::datapath::DropReason;
use crate::datapath::limits::{
    PORTLESS_CLAIM_AGAIN, PORTLESS_FLOWS_MAX, PORTLESS_FLOWS_PER_PORT_MAX, PORTLESS_HOST,
    PORTLESS_HOST_MAX, PORTLESS_IDLE, PORTLESS_TELL,
};

/// A remote address and the protocol's number, for which one container has both.
pub(crate) type Portless = (IpAddr, u8);

#[derive(Debug, Clone, Copy)]
struct Row {
    port: PortIndex,
    /// The container's address.
    internal: IpAddr,
    external: IpAddr,
    seen: Nanos,
    handover: Handover,
}

/// Whether the NIC hands over what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handover {
    /// Packets wait; when control was told last.
    Claimed(Nanos),
    Done,
}

/// Flows of protocols without ports.
#[derive(Debug)]
pub(super) struct PortlessFlows {
    rows: HashMap<Portless, Row>,
    /// What the host itself uses, and until when that is known.
    hosts: HashMap<Portless, Nanos>,
    occupancy: PortOccupancy,
    /// Flows to tell control.
    told: Vec<Portless>,
    tell_at: Nanos,
    /// Control answers claims.
    is_claiming: bool,
}

impl PortlessFlows {
    pub(super) fn new(is_claiming: bool) -> Self {
        Self {
            rows: HashMap::with_capacity(PORTLESS_FLOWS_MAX),
            hosts: HashMap::with_capacity(PORTLESS_HOST_MAX),
            occupancy: PortOccupancy::new(PORTLESS_FLOWS_MAX),
            told: Vec::with_capacity(PORTLESS_FLOWS_MAX),
            tell_at: Nanos(0),
            is_claiming,
        }
    }

    /// Takes a flow for a container's packet, or refreshes it; says whether the packet may leave.
    pub(super) fn take(
        &mut self,
        now: Nanos,
        flow: Portless,
        (port, internal, external): (PortIndex, IpAddr, IpAddr),
    ) -> Result<Handover, DropReason> {
        if self.hosts.get(&flow).is_some_and(|until| now < *until) {
            return Err(DropReason::NatProtocolInUse);
        }
        if let Some(row) = self.rows.get_mut(&flow) {
            let is_its_own = (row.port, row.internal) == (port, internal);
            if !is_its_own && now - row.seen < PORTLESS_IDLE {
                return Err(DropReason::NatProtocolInUse);
            }
            if row.port != port {
                self.occupancy.remove(row.port);
                self.occupancy.add(port);
            }
            let is_over = now - row.seen >= PORTLESS_IDLE && self.is_claiming;
            let mut handover = row.handover;
            // What was idle is handed over no more. A claim may have been lost.
            if is_over
                || matches!(handover, Handover::Claimed(at) if now - at >= PORTLESS_CLAIM_AGAIN)
            {
                handover = Handover::Claimed(now);
                if self.told.len() < PORTLESS_FLOWS_MAX {
                    self.told.push(flow);
                }
            }
            *row = Row { port, internal, external, seen: now, handover };
            return Ok(handover);
        }
        if self.rows.len() >= PORTLESS_FLOWS_MAX
            || self.occupancy.count(port) >= PORTLESS_FLOWS_PER_PORT_MAX
        {
            self.expire(now);
        }
        if self.occupancy.count(port) >= PORTLESS_FLOWS_PER_PORT_MAX {
            return Err(DropReason::NatQuota);
        }
        if self.rows.len() >= PORTLESS_FLOWS_MAX {
            return Err(DropReason::NatTableFull);
        }
        let handover = if self.is_claiming { Handover::Claimed(now) } else { Handover::Done };
        self.rows.insert(flow, Row { port, internal, external, seen: now, handover });
        self.occupancy.add(port);
        if self.told.len() < PORTLESS_FLOWS_MAX {
            self.told.push(flow);
        }
        Ok(handover)
    }

    /// For tests: as if control answered claims.
    #[cfg(test)]
    pub(super) fn await_handover(&mut self) {
        self.is_claiming = true;
    }

    /// Notes that the NIC hands a flow over; says whether packets may have waited for it.
    pub(super) fn admit(&mut self, flow: Portless) -> bool {
        let Some(row) = self.rows.get_mut(&flow) else { return false };
        std::mem::replace(&mut row.handover, Handover::Done) != Handover::Done
    }

    /// Notes for a while that the host itself uses a flow: no container has it. A full table notes nothing, and the
    /// flow is told to control again. Says whether packets may have waited for the answer.
    pub(super) fn refuse(&mut self, now: Nanos, flow: Portless) -> bool {
        let row = self.rows.remove(&flow);
        if let Some(row) = &row {
            self.occupancy.remove(row.port);
        }
        if self.hosts.len() >= PORTLESS_HOST_MAX {
            self.hosts.retain(|_, until| now < *until);
        }
        if self.hosts.len() < PORTLESS_HOST_MAX || self.hosts.contains_key(&flow) {
            self.hosts.insert(flow, now.after(PORTLESS_HOST));
        }
        row.is_some_and(|row| row.handover != Handover::Done)
    }

    /// The container of an answer to an external address.
    pub(super) fn answer(
        &mut self,
        now: Nanos,
        flow: Portless,
        external: IpAddr,
    ) -> Option<(PortIndex, IpAddr)> {
        let known = self.owner(now, flow, external)?;
        self.rows.get_mut(&flow)?.seen = now;
        Some(known)
    }

    /// The same for an error, which does not refresh the flow.
    pub(super) fn owner(
        &self,
        now: Nanos,
        flow: Portless,
        external: IpAddr,
    ) -> Option<(PortIndex, IpAddr)> {
        let row = self.rows.get(&flow)?;
        let is_live = row.external == external && now - row.seen < PORTLESS_IDLE;
        is_live.then_some((row.port, row.internal))
    }

    fn expire(&mut self, now: Nanos) {
        self.retain(|row| now - row.seen < PORTLESS_IDLE);
    }

    pub(super) fn forget_port(&mut self, port: PortIndex) {
        self.retain(|row| row.port != port);
    }

    fn retain(&mut self, keep: impl Fn(&Row) -> bool) {
        let occupancy = &mut self.occupancy;
        self.rows.retain(|_, row| {
            let stays = keep(row);
            if !stays {
                occupancy.remove(row.port);
            }
            stays
        });
    }

    /// Tells control again what is in use.
    pub(super) fn tick(&mut self, now: Nanos) {
        if self.rows.is_empty() || now < self.tell_at {
            return;
        }
        self.tell_at = now.after(PORTLESS_TELL);
        self.expire(now);
        self.told.clear();
        self.told.extend(self.rows.keys());
    }

    /// Removes flows for control.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Portless> {
        self.told.drain(..)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Stands for a container where a worker is chosen: all workers choose the same one for a flow.
pub(super) fn group_of(flow: Portless) -> OwnerId {
    OwnerId(BuildHasherDefault::<DefaultHasher>::default().hash_one(flow) as u32)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Nanos = Nanos(1_000_000_000_000);

    fn address(n: usize) -> IpAddr {
        std::net::Ipv4Addr::from(0xc633_6400 + n as u32).into()
    }

    fn own(port: u16) -> (PortIndex, IpAddr, IpAddr) {
        (PortIndex(port), [10, 99, 0, port as u8].into(), [192, 0, 2, 1].into())
    }

    #[test]
    fn the_first_container_has_a_remote_and_a_protocol_until_it_is_idle() {
        let mut flows = PortlessFlows::new(false);
        let (first, second) = (own(2), own(3));
        assert_eq!(flows.take(NOW, (address(1), 47), first), Ok(Handover::Done));
        let refused = Err(DropReason::NatProtocolInUse);
        assert_eq!(flows.take(NOW, (address(1), 47), second), refused);
        assert_eq!(
            flows.take(NOW, (address(1), 50), second),
            Ok(Handover::Done),
            "another protocol"
        );
        assert_eq!(flows.take(NOW, (address(2), 47), second), Ok(Handover::Done), "another remote");
        assert_eq!(flows.answer(NOW, (address(1), 47), first.2), Some((first.0, first.1)));
        assert_eq!(flows.answer(NOW, (address(1), 47), address(9)), None, "another address");
        assert_eq!(flows.answer(NOW, (address(3), 47), first.2), None);
        let later = NOW.after(PORTLESS_IDLE);
        assert_eq!(flows.answer(later, (address(1), 47), first.2), None);
        assert_eq!(flows.take(later, (address(1), 47), second), Ok(Handover::Done));
        assert_eq!(flows.drain().count(), 3);
        flows.tick(later);
        assert_eq!(flows.drain().collect::<Vec<_>>(), [(address(1), 47)], "others are idle");
        flows.tick(later.after(Duration::from_secs(1)));
        assert_eq!(flows.drain().count(), 0);
        flows.forget_port(PortIndex(3));
        assert!(flows.is_empty());
    }

    #[test]
    fn packets_wait_until_the_nic_hands_the_answers_over() {
        let mut flows = PortlessFlows::new(true);
        let (own, flow) = (own(2), (address(1), 47));
        assert_eq!(flows.take(NOW, flow, own), Ok(Handover::Claimed(NOW)));
        assert_eq!(flows.take(NOW, flow, own), Ok(Handover::Claimed(NOW)), "the next one, too");
        assert_eq!(flows.drain().collect::<Vec<_>>(), [flow], "claimed once");
        let later = NOW.after(PORTLESS_CLAIM_AGAIN);
        assert_eq!(flows.take(later, flow, own), Ok(Handover::Claimed(later)), "it was lost");
        assert_eq!(flows.drain().count(), 1);
        assert!(flows.admit(flow));
        assert!(!flows.admit(flow), "nothing waits");
        assert_eq!(flows.take(later, flow, own), Ok(Handover::Done));
        // Idle for long: its element is gone.
        let idle = later.after(PORTLESS_IDLE);
        assert_eq!(flows.take(idle, flow, own), Ok(Handover::Claimed(idle)));
        assert!(!flows.admit((address(2), 47)), "nobody's");
    }

    #[test]
    fn what_the_host_uses_is_nobody_elses_while_it_is_noted() {
        let mut flows = PortlessFlows::new(false);
        let (first, flow) = (own(2), (address(1), 50));
        assert_eq!(flows.take(NOW, flow, first), Ok(Handover::Done));
        flows.refuse(NOW, flow);
        assert_eq!(flows.answer(NOW, flow, first.2), None, "it goes to the host");
        assert_eq!(flows.take(NOW, flow, first), Err(DropReason::NatProtocolInUse));
        assert_eq!(
            flows.take(NOW, (address(1), 47), first),
            Ok(Handover::Done),
            "another protocol"
        );
        let later = NOW.after(PORTLESS_HOST);
        assert_eq!(flows.take(later, flow, first), Ok(Handover::Done));
        // Notes have a limit, and expired ones make room.
        for n in 0..=PORTLESS_HOST_MAX {
            flows.refuse(NOW, (address(n), 4));
        }
        assert_eq!(flows.hosts.len(), PORTLESS_HOST_MAX);
        let last = (address(PORTLESS_HOST_MAX), 4);
        assert_eq!(flows.take(NOW, last, first), Ok(Handover::Done), "told to control once more");
        flows.refuse(later, last);
        assert_eq!(flows.take(later, last, first), Err(DropReason::NatProtocolInUse));
        assert_eq!(flows.hosts.len(), 1);
        assert_eq!(flows.occupancy.count(first.0), 2, "refused flows do not count");
    }

    #[test]
    fn each_port_has_its_share_of_the_flows() {
        let mut flows = PortlessFlows::new(false);
        for n in 0..PORTLESS_FLOWS_PER_PORT_MAX {
            assert_eq!(flows.take(NOW, (address(n), 47), own(2)), Ok(Handover::Done));
        }
        let one_more = (address(PORTLESS_FLOWS_PER_PORT_MAX), 47);
        assert_eq!(flows.take(NOW, one_more, own(2)), Err(DropReason::NatQuota));
        assert_eq!(flows.take(NOW, one_more, own(3)), Ok(Handover::Done));
    }
}
