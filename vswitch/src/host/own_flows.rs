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

use super::netlink::Dumps;
use super::{conntrack, netlink};

/// A remote address and the protocol's number.
pub(super) type Flow = (IpAddr, u8);

/// Where to look.
pub(super) struct Sources {
    handle: Handle,
    dumps: Dumps,
    /// Those that could not be read, for one warning each.
    unread: BTreeSet<&'static str>,
}

impl Sources {
    pub(super) fn new((handle, dumps): (Handle, Dumps)) -> Self {
        Self { handle, dumps, unread: BTreeSet::new() }
    }

    /// Those of the flows that the host itself uses; `local` are its addresses.
    pub(super) async fn used_by_host(
        &mut self,
        flows: BTreeSet<Flow>,
        local: Vec<IpAddr>,
    ) -> BTreeSet<Flow> {
        let tunnels = netlink::tunnels::tunnels(&self.handle, &self.dumps).await;
        let flows = Arc::new(flows);
        let asked = Arc::clone(&flows);
        let read = tokio::task::spawn_blocking(move || {
            let tracked = conntrack::flows_of_host(&asked, &local);
            (raw_sockets::users(&asked), xfrm::users(&asked), tracked)
        });
        let Ok((mut used, states, tracked)) = read.await else {
            tracing::error!("reading what the host uses failed: nothing is handed over");
            return Arc::unwrap_or_clone(flows);
        };
        let tunnels = self.read("tunnel devices", tunnels);
        used.extend(tunnels.into_iter().filter(|flow| flows.contains(flow)));
        used.extend(self.read("IPsec states", states));
        used.extend(self.read("connection tracking", tracked));
        used
    }

    fn read(
        &mut self,
        source: &'static str,
        read: Result<BTreeSet<Flow>, impl Display>,
    ) -> BTreeSet<Flow> {
        match read {
            Ok(flows) => {
                self.unread.remove(source);
                flows
            }
            Err(error) => {
                if self.unread.insert(source) {
                    tracing::warn!(%error, source,
                        "protocols without ports: what the host itself uses may not be seen");
                }
                BTreeSet::new()
            }
        }
    }
}
