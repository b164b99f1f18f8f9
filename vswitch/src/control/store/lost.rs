//! Differences of two documents: what one knows and a later one does not.
//!
//! A start takes over what makes sense, and the next write has only that. Whatever a record is, and whyever it
//! makes no sense (a subnet that changed, a name that is taken, a document that was edited), it is found here by its
//! absence.

use std::collections::BTreeSet;

use super::{Attachment, Document};
use crate::control::name::Name;

/// Records of a document that a later one lacks, as descriptions for people. Attachments that are `gone` and all of
/// theirs are not lost: their namespaces have ended.
pub(crate) fn lost(
    before: &Document,
    after: &Document,
    gone: &BTreeSet<(Name, String)>,
) -> Vec<String> {
    let mut lost = Vec::new();
    for network in &before.networks {
        let name = &network.name;
        let Some(kept) = after.networks.iter().find(|it| it.name == *name) else {
            lost.push(format!("network {name}"));
            continue;
        };
        let addresses = network.reserved.iter().filter(|it| !kept.reserved.contains(it));
        lost.extend(addresses.map(|it| format!("reserved address {it} of {name}")));
        let known = kept.options.as_ref().map_or(&[][..], |it| &it.reachable_from);
        let peers = network.overlay.iter().flat_map(|it| &it.peers);
        let peers =
            peers.filter(|it| !kept.overlay.as_ref().is_some_and(|kept| kept.peers.contains(it)));
        lost.extend(peers.map(|it| format!("peer {it} of {name}")));
        let sources = network.options.iter().flat_map(|it| &it.reachable_from);
        let sources = sources.filter(|it| !known.contains(it));
        lost.extend(sources.map(|it| format!("permission of {it} to reach {name}")));
    }
    for attachment in &before.attachments {
        let key = (attachment.name.clone(), attachment.network.clone());
        if !gone.contains(&key) {
            lost_of(attachment, after, &mut lost);
        }
    }
    for entry in before.statics.iter().filter(|it| !after.statics.contains(it)) {
        let owner = entry.port.clone().map(|port| (port, entry.network.clone()));
        if owner.is_none_or(|owner| !gone.contains(&owner)) {
            lost.push(format!("static entry {} of {}", entry.mac, entry.network));
        }
    }
    let pools = before.pools.iter().filter(|pool| {
        let kept = after.pools.iter().find(|it| it.subnet == pool.subnet);
        kept.is_none_or(|kept| pool.taken.iter().any(|it| !kept.taken.contains(it)))
    });
    lost.extend(pools.map(|pool| format!("address pool {}", pool.subnet)));
    lost
}

fn lost_of(attachment: &Attachment, after: &Document, lost: &mut Vec<String>) {
    let (name, network) = (&attachment.name, &attachment.network);
    let mut others = after.attachments.iter();
    let Some(kept) = others.find(|it| it.name == *name && it.network == *network) else {
        return lost.push(format!("attachment {name} on {network}"));
    };
    let published = attachment.publish.iter().map(|it| &it.ports);
    let published = published.filter(|it| !kept.publish.iter().any(|kept| kept.ports == **it));
    lost.extend(published.map(|it| format!("publication {it} of {name}")));
    let addresses = attachment.further_addresses.iter();
    let addresses = addresses.filter(|it| !kept.further_addresses.contains(it));
    lost.extend(addresses.map(|it| format!("address {it} of {name}")));
}
