//! A namespace that plays a host: its NIC is on a LAN, with addresses and default routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Netns, join};

/// IPv4 address of the host on its LAN.
pub const HOST4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// IPv6 address of the host on its LAN.
pub const HOST6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
/// IPv4 address of the host's default router.
pub const ROUTER4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254));

/// A host and its LAN, joined by a veth pair: `nic0` of the host, `nic1` of the LAN.
#[derive(Debug)]
pub struct HostNet {
    netns: Netns,
    lan: Netns,
}

impl HostNet {
    /// Creates both namespaces and connects them.
    #[track_caller]
    #[allow(clippy::new_without_default, reason = "it makes namespaces")]
    pub fn new() -> Self {
        let host = Self { netns: Netns::new("host"), lan: Netns::new("lan") };
        host.plug_in();
        host
    }

    /// Gives the host its NIC, with addresses and default routes.
    #[track_caller]
    pub fn plug_in(&self) {
        join(&self.netns, "nic0", &self.lan, "nic1");
        self.netns.run_lines(&[
            "ip addr add 192.0.2.1/24 dev nic0",
            "ip addr add 2001:db8::1/64 dev nic0 nodad",
            "ip route add default via 192.0.2.254",
            "ip route add default via 2001:db8::254",
        ]);
    }

    /// Namespace of the host.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Namespace at the other end of the host's NIC.
    pub fn lan(&self) -> &Netns {
        &self.lan
    }
}
