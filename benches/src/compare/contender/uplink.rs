//! The world outside: a namespace that plays a remote host, at the far end of a veth pair whose near end
//! is the uplink of a contender's host. Both ends segment as veth does (TSO on), the host's default route
//! leads there, and the addresses are those of RFC 5737. It goes away with its guard.

use anyhow::Result;
use testkit::Netns;

use super::Endpoint;
use crate::shell;

/// The host's end of the pair.
pub(crate) const DEVICE: &str = "nic0";
const HOST: &str = "198.51.100.1";
const REMOTE: &str = "198.51.100.2";

/// The remote's end.
const FAR_DEVICE: &str = "eth0";

/// Who is at the two ends of an uplink.
#[derive(Debug, Clone)]
pub(crate) struct Outside {
    pub(crate) remote: Endpoint,
    /// The address of the host, at which ports are published, if the host publishes any.
    pub(crate) published_at: Option<String>,
}

/// The remote host.
#[derive(Debug)]
pub(crate) struct Uplink {
    remote: Netns,
}

impl Uplink {
    pub(crate) fn new(host: &Netns) -> Result<Self> {
        let uplink = Self { remote: Netns::create("remote")? };
        let name = uplink.remote.name();
        shell::ip_batch(
            host.path(),
            &format!("link add {DEVICE} type veth peer name {FAR_DEVICE} netns {name}\n"),
        )?;
        shell::ip_batch(
            uplink.remote.path(),
            &format!("addr add {REMOTE}/24 dev {FAR_DEVICE}\nlink set {FAR_DEVICE} up\n"),
        )?;
        shell::ip_batch(
            host.path(),
            &format!(
                "addr add {HOST}/24 dev {DEVICE}\nlink set {DEVICE} up\n\
                 route add default via {REMOTE}\n"
            ),
        )?;
        Ok(uplink)
    }

    /// The host's end.
    pub(crate) fn host_address(&self) -> &'static str {
        HOST
    }

    pub(crate) fn outside(&self) -> Outside {
        let remote = Endpoint::new(self.remote.path(), REMOTE);
        Outside { remote, published_at: Some(HOST.to_owned()) }
    }
}

impl Drop for Uplink {
    fn drop(&mut self) {
        // The kernel takes a namespace's devices away some time after the namespace: a host that
        // stays, as Docker's does, would find the old one in its way.
        shell::clean_up(
            shell::in_netns(self.remote.path(), "ip").args(["link", "del", FAR_DEVICE]),
        );
    }
}
