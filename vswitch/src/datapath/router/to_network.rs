//! Frames from containers to another network of the switch.
//!
//! Networks do not reach each other unless control says so ([`super::ReachableNetwork`]). Then packets keep their
//! addresses; connections are tracked ([`nat::Nat::track_routed`]), so that the network which may not open any still
//! answers. Only addresses that the switch gave out are reached, and reach others. Isolation ends at the network.

use nat::{NatDrop, OwnerId, Realm, RoutedTarget, Translation, View, Zone};

use super::Router;
use super::compiled::NetworkRoute;
use super::forward::{Adjacency, ForwardCtx, Rejection};
use super::from_container::internal;
use super::unmapped::is_midstream;
use crate::datapath::batch::FrameCtx;
use crate::datapath::snapshot::Network;
use crate::datapath::{DropReason, Key, Verdict};

impl<'a> ForwardCtx<'a> {
    /// Forwards to a container of another network.
    pub(super) fn forward_to_network(
        &mut self,
        ctx: &mut FrameCtx,
        view: &View,
        (network, router): (&'a Network, &'a Router),
        route: NetworkRoute,
    ) {
        let source = router.icmp_source();
        // The answer comes to whom the switch gave the address.
        let owner = network.neighbours.find(view.src).map(|(_, port)| port);
        if owner != Some(ctx.port) {
            return self.reject(ctx, source, Rejection::NOT_ITS_ADDRESS);
        }
        let Some(adj) = self.network_adjacency(route, view, router.mtu) else {
            // Who may open nothing does not learn who is there.
            let why = if route.may_open { Rejection::NO_NEIGHBOUR } else { Rejection::NOT_ALLOWED };
            return self.reject(ctx, source, why);
        };
        let to = RoutedTarget {
            owner: OwnerId(adj.port.get() as u32),
            zone: Zone(route.network.0),
            may_open: route.may_open,
        };
        if !self.is_local_to_pair(ctx, to.owner) {
            return;
        }
        let fit = match self.check_forward(ctx, &adj) {
            Ok(fit) => fit,
            Err(why) => return self.reject(ctx, source, why),
        };
        let Some(tracked) = self.track_to(ctx, internal(ctx), to, view) else { return };
        match &tracked {
            Ok(Translation::Edit { edit, to: Realm::Internal(..) }) => {
                self.state.counters.routed += 1;
                self.send(ctx, &adj, Some(edit), fit);
            }
            // What is routed between containers has no other result.
            Ok(_) => ctx.verdict = Verdict::Drop(DropReason::NoRoute),
            // It may only answer, and what it answers is lost.
            Err(refusal @ NatDrop::NotAllowed) if is_midstream(view) => {
                self.send_reset(ctx, source.mac, view);
                ctx.verdict = Verdict::Drop((*refusal).into());
            }
            Err(refusal) => self.drop_refused(ctx, source, *refusal),
        }
    }

    /// The adjacency of the packet's destination, for packets from a network with this MTU.
    fn network_adjacency(&self, route: NetworkRoute, view: &View, mtu: u32) -> Option<Adjacency> {
        let network = self.snapshot.network(route.network)?;
        let router = network.router.as_deref()?;
        let (mac, port) = network.neighbours.find(view.dst)?;
        let key = Key::new(route.network, 0, mac);
        self.snapshot.reaches(port, key).then(|| Adjacency {
            clamp: Some(router.mtu).filter(|&path| path < mtu),
            ..router.adjacency(port, mac)
        })
    }
}
