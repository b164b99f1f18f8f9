//! A namespace with an attachment.

use std::net::IpAddr;
use std::ops::Deref;

use testkit::Netns;
use vswitch_api::port::PortDetail;

use super::Host;

/// A namespace with an attachment, as `vswitch inspect` describes it.
#[must_use = "dropped, it is gone"]
pub(crate) struct Container {
    netns: Netns,
    detail: PortDetail,
}

impl Container {
    #[track_caller]
    pub(crate) fn attach(host: &Host, netns: Netns, name: &str, args: &[&str]) -> Self {
        let mut command = vec!["attach", "--netns", netns.name(), "--name", name];
        command.extend(args);
        host.ok(&command);
        let detail = host.inspect(name);
        Self { netns, detail }
    }

    pub(crate) fn v4(&self) -> IpAddr {
        self.detail.port.ipv4[0].into()
    }

    pub(crate) fn v6(&self) -> IpAddr {
        self.detail.port.ipv6[0].into()
    }

    /// Next hop of its IPv4 default route.
    pub(crate) fn gateway(&self) -> IpAddr {
        self.detail.gateways[0]
    }

    /// Next hop of its IPv6 default route.
    pub(crate) fn gateway6(&self) -> IpAddr {
        self.detail.gateways[1]
    }

    pub(crate) fn detail(&self) -> &PortDetail {
        &self.detail
    }

    /// Its namespace, without the attachment's description.
    pub(crate) fn into_netns(self) -> Netns {
        self.netns
    }
}

impl Deref for Container {
    type Target = Netns;

    fn deref(&self) -> &Netns {
        &self.netns
    }
}
