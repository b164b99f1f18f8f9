//! Packets to the uplinks, where rules of the host name source addresses (`ip rule from ADDRESS`).
//!
//! The source is known after the translation only: it is the external address of a connection that came to a published
//! port, or the one that a new connection gets. So translation comes first here, and an undeliverable packet may create
//! a connection. Without such rules no packet comes this way.

use nat::{Kind, NatDrop, Realm, Translation, View, Zone};
use wire::icmp_error::IcmpError;

use super::Router;
use super::fib::{NextHop, RouteTarget};
use super::forward::{Delivery, ForwardCtx, Rejection};
use super::from_container::internal;
use crate::datapath::batch::FrameCtx;
use crate::datapath::{DropReason, Verdict};

impl<'a> ForwardCtx<'a> {
    /// Translates a packet and forwards it by the route for its new source; `hop` is that of other sources.
    #[cold]
    pub(super) fn forward_by_source(
        &mut self,
        ctx: &mut FrameCtx,
        view: &View,
        router: &'a Router,
        hop: Option<NextHop>,
    ) {
        const NO_ROUTE: Rejection = Rejection::new(DropReason::NoRoute, IcmpError::NoRoute);
        let from = internal(ctx);
        if !self.is_local(ctx, from, view) {
            return;
        }
        if self.is_shared(ctx) {
            self.hear_source(ctx, view.src);
        }
        let source = router.icmp_source();
        let Some(translated) = self.translate(ctx, from, view) else { return };
        let (edit, appears_as) = match &translated {
            Ok(Translation::Edit { edit, to: Realm::External }) => {
                (Some(edit), Some(edit.src.address))
            }
            Ok(Translation::Edit { edit, to: Realm::Internal(owner, _) }) => {
                return self.deliver(ctx, source, Delivery { edit, owner: *owner });
            }
            Ok(Translation::NotOurs) if matches!(view.kind, Kind::Error(_)) => {
                ctx.verdict = Verdict::Drop(DropReason::NatForgedError);
                return;
            }
            Ok(Translation::NotOurs) => {
                let why = Rejection::new(DropReason::NatUnsupportedProtocol, IcmpError::Prohibited);
                return self.reject(ctx, source, why);
            }
            Err(NatDrop::Protocol) => {
                let policy = router.uplink.as_ref().map(|uplink| &uplink.policy);
                let from = (Zone(ctx.network.0), view.src);
                (None, policy.and_then(|it| it.source_to(from, view.dst)))
            }
            Err(refusal) => return self.drop_refused(ctx, source, *refusal),
        };
        let by_rule = appears_as.and_then(|own| router.fib.outer().lookup_from(own, view.dst));
        let hop = match by_rule {
            None => hop,
            Some((RouteTarget::OnLink(link), _)) => Some(router.on_link(link, view.dst)),
            Some((_, hop)) => hop,
        };
        let Some(hop) = hop else { return self.reject(ctx, source, NO_ROUTE) };
        let Some(link) = router.link(hop.link).filter(|link| link.up) else {
            let why = Rejection::new(DropReason::UplinkDown, IcmpError::NoRoute);
            return self.reject(ctx, source, why);
        };
        let Some(mac) = hop.mac else { return self.await_neighbour(ctx, hop.address, link.port) };
        let adj = link.adjacency(mac, router.mtu);
        match (self.check_forward(ctx, &adj), edit) {
            (Ok(fit), Some(edit)) => {
                self.state.counters.translated += 1;
                self.send(ctx, &adj, Some(edit), fit);
            }
            (Ok(fit), None) => self.forward_portless(ctx, view, router, (&adj, fit)),
            (Err(why), _) => self.reject(ctx, source, why),
        }
    }
}
