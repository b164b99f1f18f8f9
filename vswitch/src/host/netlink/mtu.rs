//! Sizes of packets: MTU and the largest GSO frame of an interface.

use netlink_packet_route::link::LinkAttribute;
use rtnetlink::{LinkMessageBuilder, LinkUnspec};

use super::{Link, Netlink};
use crate::host::error::NetlinkError;

impl Netlink {
    /// Sets the MTU of an interface, and the size of its largest GSO frame where one is given.
    pub(crate) async fn set_mtu(
        &self,
        link: &Link,
        mtu: u32,
        gso_max_size: Option<u32>,
    ) -> Result<(), NetlinkError> {
        let message = LinkUnspec::new_with_index(link.index).mtu(mtu);
        let message = with_gso_max_size(message, gso_max_size).build();
        self.set(message, || format!("set MTU {mtu} of {}", link.name)).await
    }
}

/// Adds the size of the largest GSO frame to a request. Since 6.3 the kernel takes it over for IPv4, too.
pub(super) fn with_gso_max_size(
    message: LinkMessageBuilder<LinkUnspec>,
    gso_max_size: Option<u32>,
) -> LinkMessageBuilder<LinkUnspec> {
    match gso_max_size {
        Some(size) => message.append_extra_attribute(LinkAttribute::GsoMaxSize(size)),
        None => message,
    }
}
