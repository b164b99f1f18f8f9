//! What the uplink brings.

use nat::{Kind, Realm, Translation};
use wire::icmp_error::IcmpSource;
use wire::meta::{L3, L4};

use super::room::Room;
use super::{Router, UplinkConf};
use crate::datapath::batch::Slot;
use crate::datapath::{DropReason, Verdict};

impl<'a> Room<'a> {
    /// Gives a frame from the uplink its verdict. None goes to a container but by a connection or a published
    /// port, and none is flooded or learnt.
    pub(super) fn outside(
        &mut self,
        slot: &mut Slot,
        (router, uplink): (&'a Router, &'a UplinkConf),
    ) {
        let is_ip = matches!(slot.meta.l3, L3::Ipv4 | L3::Ipv6);
        // The TAP's own: what the host's stack says of its own accord on every link.
        let is_own = slot.meta.src == uplink.tap_mac || slot.meta.dst.is_multicast();
        if !is_ip || is_own {
            slot.verdict = Verdict::Drop(DropReason::HostTraffic);
            return;
        }
        let view = nat::parse::view(&slot.meta, self.ethernet(slot));
        // Nor does anybody pass for a container (BCP 38): nftables drop these before, unless somebody took the rules.
        if router.subnets.iter().any(|subnet| subnet.contains(&view.src)) {
            slot.verdict = Verdict::Drop(DropReason::SpoofedInternal);
            return;
        }
        if !self.is_here(slot, Realm::External, &view, &uplink.policy) {
            return;
        }
        let Some(translated) = self.translate(slot, Realm::External, &view, &uplink.policy) else {
            return;
        };
        match &translated {
            Ok(Translation::Edit { edit, to: Realm::Internal(owner) }) => {
                self.deliver(slot, uplink.face(), (edit, *owner));
            }
            Ok(Translation::Edit { to: Realm::External, .. }) => {
                slot.verdict = Verdict::Drop(DropReason::HostTraffic);
            }
            Ok(Translation::NotOurs) => {
                let is_icmp = matches!(slot.meta.l4, L4::Icmpv4 | L4::Icmpv6);
                if is_icmp || matches!(view.kind, Kind::Tail(_)) {
                    slot.verdict = Verdict::Drop(DropReason::HostTraffic);
                } else {
                    self.give_back(slot, uplink);
                }
            }
            // The sender is a stranger: it is told nothing of why.
            Err(refusal) => slot.verdict = Verdict::Drop((*refusal).into()),
        }
    }

    /// To the host, by the TAP that it came from: only frames with another destination than the TAP's are handed
    /// on to the device.
    fn give_back(&mut self, slot: &mut Slot, uplink: &UplinkConf) {
        let bytes = self.pool.bytes_mut(&slot.frame);
        let to = bytes.and_then(|bytes| bytes.get_mut(super::room::DESTINATION));
        slot.verdict = match to {
            Some(to) => {
                to.copy_from_slice(&uplink.tap_mac.0);
                self.memory.counters.given_back += 1;
                Verdict::Unicast(uplink.port)
            }
            None => Verdict::Drop(DropReason::NoBuffer),
        };
    }
}

impl UplinkConf {
    /// What the outside sees of the router.
    fn face(&self) -> IcmpSource<'_> {
        let (ipv4, ipv6) = (self.policy.external_v4, self.policy.external_v6);
        IcmpSource { mac: self.device_mac, ipv4, ipv6, broadcasts: &[] }
    }
}
