//! What the host itself uses of protocols without ports: no container gets it.
//!
//! | source | what it shows |
//! |---|---|
//! | tunnel devices that are up | GRE, IPIP, 6in4, VTI with a remote |
//! | IPsec states ([`xfrm`]) | ESP and others from and to a remote |
//! | raw sockets ([`raw_sockets`]) | programs, such as a PPTP client; one that is not connected counts for all remotes |
//! | connection tracking ([`conntrack`]) | whatever has sent to a remote, what the kernel masquerades included |
//!
//! The kernel tracks while a publication or a container's flow without ports is there. A source that cannot be read is
//! left out, with a warning.

mod raw_sockets;
mod xfrm;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;

use rtnetlink::Handle;

use super::{conntrack, netlink};

/// A remote address and the protocol's number.
pub(super) type Flow = (IpAddr, u8);

/// Those of the flows that the host itself uses.
pub(super) async fn used_by_host(
    handle: &Handle,
    flows: BTreeSet<Flow>,
    local: Vec<IpAddr>,
) -> BTreeSet<Flow> {
    let mut used = match netlink::tunnels::tunnels(handle).await {
        Ok(tunnels) => tunnels.intersection(&flows).copied().collect(),
        Err(error) => unread("tunnel devices", &error),
    };
    let flows = Arc::new(flows);
    let asked = Arc::clone(&flows);
    let read = tokio::task::spawn_blocking(move || {
        let sockets = raw_sockets::users(&asked);
        let states = xfrm::users(&asked).unwrap_or_else(|error| unread("IPsec states", &error));
        let tracked = conntrack::flows_of_host(&asked, &local)
            .unwrap_or_else(|error| unread("connection tracking", &error));
        [sockets, states, tracked]
    });
    match read.await {
        Ok(read) => used.extend(read.into_iter().flatten()),
        Err(error) => {
            // Nothing is handed over that may be the host's.
            tracing::error!(%error, "reading what the host uses failed");
            used.extend(flows.iter());
        }
    }
    used
}

fn unread(source: &str, error: &dyn Display) -> BTreeSet<Flow> {
    tracing::warn!(%error, source, "protocols without ports: what the host itself uses may not be seen");
    BTreeSet::new()
}
