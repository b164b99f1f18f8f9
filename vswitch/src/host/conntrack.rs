//! Entries of the kernel's connection tracking that a publication made: they end with it.
//!
//! The kernel decides by the first packet of a flow. So a UDP socket of the host that goes on sending to a
//! published port would keep the container that has gone, and one that sent before the port was published would
//! never reach its container. [`Stale`] names such entries, [`Stale::delete`] ends them by ctnetlink
//! (`linux/netfilter/nfnetlink_conntrack.h`); the next packet of the flow meets the new rules.
//!
//! | change | entries that end |
//! |---|---|
//! | a forward goes | of its protocol and ports, translated to exactly its address and port, or to the proxy's port ([`relayed`](super::proxy::relayed)) |
//! | a forward comes | UDP to its ports at an address of the host, translated to nobody |
//!
//! Flows without ports that the host itself has are read in [`of_host`].
//!
//! No other entry is touched, whoever made it. The kernel is asked for those that may be meant ([`lists`]). It blocks while
//! the kernel walks through its table, so it runs on a blocking thread, after the rules have changed; [`super::stale_flows`] gathers changes.

mod by_port;
mod ctnetlink;
mod lists;
mod of_host;
mod original;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};

use netlink_packet_netfilter::conntrack::{ConntrackAttribute, IPTuple, ProtoTuple, Tuple};
use netlink_packet_netfilter::{NetfilterMessage, NetfilterProtoFamily};
use rtnetlink::packet_core::Nla;
use vswitch_sys::socket::Socket;

use super::nft::{Forward, Protocol, protocol_number};
use by_port::ByPort;
pub(super) use of_host::flows_of_host;
pub(super) use original::OriginalDestinations;

/// `CTA_ID` and `CTA_ZONE`, which tell entries with one tuple apart.
const IDENTITY: [u16; 2] = [12, 18];

/// Entries that a change of the published ports leaves behind.
#[derive(Debug, Default)]
pub(super) struct Stale {
    gone: ByPort,
    fresh: ByPort,
    /// Addresses of the host.
    local: Vec<IpAddr>,
    /// IPv4 and IPv6: the proxy's port for devices that are no uplinks.
    relayed: [Option<u16>; 2],
}

/// Ends the flows of forwards that have gone, and waits for it. Errors are logged: the ports have changed.
pub(crate) async fn end_stale(former: Vec<Forward>, new: Vec<Forward>) {
    let (gone, _) = changed(&former, &new);
    if gone.is_empty() {
        return;
    }
    let stale = Stale::of(gone, Vec::new(), Vec::new());
    if let Err(error) = tokio::task::spawn_blocking(move || stale.end()).await {
        tracing::error!(%error, "ending entries of the kernel's connection tracking failed");
    }
}

/// The forwards that go, and those of UDP that come, where `former` ones are replaced by `new` ones.
pub(super) fn changed(former: &[Forward], new: &[Forward]) -> (Vec<Forward>, Vec<Forward>) {
    let [was, is]: [HashSet<&Forward>; 2] = [former, new].map(|all| all.iter().collect());
    let gone = former.iter().filter(|one| !is.contains(one)).cloned().collect();
    let fresh =
        new.iter().filter(|one| one.published.protocol == Protocol::Udp && !was.contains(one));
    (gone, fresh.cloned().collect())
}

/// The same for forwards that have gone, on the calling thread, which waits for the kernel.
pub(crate) fn end_gone(former: &[Forward]) {
    Stale::after(former, &[], &[]).end();
}

/// The two ends of a flow's packets that a publication fixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    protocol: u8,
    /// Destination of the first packet.
    to: SocketAddr,
    /// Source of the answers: the destination after DNAT.
    answers_from: SocketAddr,
}

impl Stale {
    /// Entries to end once `former` forwards are replaced by `new` ones.
    fn after(former: &[Forward], new: &[Forward], local: &[IpAddr]) -> Self {
        let (gone, fresh) = changed(former, new);
        Self::of(gone, fresh, local.to_vec())
    }

    /// Entries of forwards that have gone, and from before those that have come.
    pub(super) fn of(gone: Vec<Forward>, fresh: Vec<Forward>, local: Vec<IpAddr>) -> Self {
        let (gone, fresh) = (gone.into_iter().collect(), fresh.into_iter().collect());
        Self { gone, fresh, local, relayed: [None; 2] }
    }

    /// The same with entries that lead to the proxy at these ports.
    pub(super) fn with_relayed(self, relayed: [Option<u16>; 2]) -> Self {
        Self { relayed, ..self }
    }

    /// Deletes these entries; errors are logged.
    pub(super) fn end(&self) {
        match self.delete() {
            Ok(0) => {}
            Ok(entries) => {
                tracing::debug!(entries, "ended flows of the host to ports that changed")
            }
            Err(error) => tracing::warn!(
                %error,
                "flows of the host may stay with a container that has gone; is nf_conntrack_netlink \
                 loaded?"
            ),
        }
    }

    /// Deletes these entries, in the network namespace of the calling thread. Returns how many there were.
    ///
    /// # Errors
    /// The kernel has no ctnetlink, or refuses.
    fn delete(&self) -> io::Result<usize> {
        if self.gone.is_empty() && self.fresh.is_empty() {
            return Ok(0);
        }
        let socket = ctnetlink::open()?;
        let ours = self.find(&socket)?;
        for message in &ours {
            ctnetlink::delete(&socket, message)?;
        }
        Ok(ours.len())
    }

    /// Requests that delete the entries.
    fn find(&self, socket: &Socket) -> io::Result<Vec<NetfilterMessage>> {
        let mut found = Vec::new();
        for filter in lists::lists(self.gone.all(), self.fresh.all()) {
            ctnetlink::list(socket, filter, |family, attributes| {
                found.extend(self.stale(family, attributes));
            })?;
        }
        Ok(found)
    }

    fn stale(
        &self,
        family: NetfilterProtoFamily,
        attributes: Vec<ConntrackAttribute>,
    ) -> Option<NetfilterMessage> {
        if !self.has(&Entry::parse(&attributes)?) {
            return None;
        }
        let names_it = |attribute: &ConntrackAttribute| match attribute {
            ConntrackAttribute::CtaTupleOrig(_) => true,
            other => IDENTITY.contains(&other.kind()),
        };
        let name = attributes.into_iter().filter(names_it).collect();
        Some(ctnetlink::deletion(family, name))
    }

    fn has(&self, entry: &Entry) -> bool {
        let was_made_by = |forward: &&Forward| {
            let offset = entry.to.port().wrapping_sub(*forward.published.ports.start());
            let target = match entry.to {
                SocketAddr::V4(_) => forward.to4.map(IpAddr::V4),
                SocketAddr::V6(_) => forward.to6.map(IpAddr::V6),
            };
            let port = forward.to_port.wrapping_add(offset);
            // A flow straight to the container has the same ends if the ports are equal.
            let is_translated = entry.to != entry.answers_from;
            let relay = self.relayed[usize::from(entry.to.is_ipv6())];
            let ends = [target.map(|to| (to, port)), relay.map(|port| (entry.to.ip(), port))];
            is_translated
                && entry.is_for(forward)
                && ends.contains(&Some(entry.answers_from_pair()))
        };
        let is_before =
            |forward: &&Forward| entry.is_for(forward) && entry.to == entry.answers_from;
        let to = entry.to.ip();
        let is_local = to.is_loopback() || self.local.contains(&to);
        let of = |all: &'_ ByPort, which: &dyn Fn(&&Forward) -> bool| {
            all.candidates(entry.protocol, entry.to.port()).any(|forward| which(&forward))
        };
        of(&self.gone, &was_made_by) || is_local && of(&self.fresh, &is_before)
    }
}

impl Entry {
    /// Reads an entry; `None` for one without ports.
    fn parse(attributes: &[ConntrackAttribute]) -> Option<Self> {
        let (mut original, mut reply) = (None, None);
        for attribute in attributes {
            match attribute {
                ConntrackAttribute::CtaTupleOrig(tuple) => original = Some(tuple),
                ConntrackAttribute::CtaTupleReply(tuple) => reply = Some(tuple),
                _ => {}
            }
        }
        let (protocol, [_, to]) = ends(original?)?;
        let (_, [answers_from, _]) = ends(reply?)?;
        Some(Self { protocol, to, answers_from })
    }

    /// Whether its first packet went to the published ports.
    fn is_for(&self, forward: &Forward) -> bool {
        let published = &forward.published;
        let is_there = published.address.is_none_or(|address| {
            let to = self.to.ip();
            address == to || address.is_unspecified() && address.is_ipv4() == to.is_ipv4()
        });
        self.protocol == protocol_number(published.protocol)
            && published.ports.contains(&self.to.port())
            && is_there
    }

    fn answers_from_pair(&self) -> (IpAddr, u16) {
        (self.answers_from.ip(), self.answers_from.port())
    }
}

/// Protocol, source and destination of a tuple with ports.
fn ends(tuple: &[Tuple]) -> Option<(u8, [SocketAddr; 2])> {
    let (mut protocol, mut addresses, mut ports) = (None, [None; 2], [None; 2]);
    for part in tuple {
        match part {
            Tuple::Ip(parts) => parts.iter().for_each(|part| match part {
                IPTuple::SourceAddress(address) => addresses[0] = Some(*address),
                IPTuple::DestinationAddress(address) => addresses[1] = Some(*address),
                _ => {}
            }),
            Tuple::Proto(parts) => parts.iter().for_each(|part| match part {
                ProtoTuple::Protocol(number) => protocol = Some(u8::from(*number)),
                ProtoTuple::SourcePort(port) => ports[0] = Some(*port),
                ProtoTuple::DestinationPort(port) => ports[1] = Some(*port),
                _ => {}
            }),
            _ => {}
        }
    }
    let end = |n: usize| Some(SocketAddr::new(addresses[n]?, ports[n]?));
    Some((protocol?, [end(0)?, end(1)?]))
}
