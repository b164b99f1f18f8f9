//! Addresses in the service's namespace: the server's, and one for each address of each port.
//!
//! | | IPv4 | IPv6 |
//! |---|---|---|
//! | client | 100.64.0.0 + number | `fd76:7377:6974:6368::` + number |
//! | server | 100.127.255.252 | `fd76:7377:6974:6368:1::2` |
//!
//! The number of a client is `port * 256 + gateway * 16 + own`: the slot of its port, which of the network's gateway
//! addresses it asked, and which of the port's own addresses it asked from. Slots change hands slowly, since their
//! allocator is next-fit.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastpath::PortIndex;
use fastpath::limits::PORTS_MAX;

use crate::datapath::limits::{SERVICE_GATEWAYS_MAX, SERVICE_OWN_MAX};

/// The number 0 of IPv4, in the shared address space (RFC 6598).
const BASE_V4: u32 = Ipv4Addr::new(100, 64, 0, 0).to_bits();

/// The number 0 of IPv6, in a unique local /64 (RFC 4193).
const BASE_V6: u128 = Ipv6Addr::new(0xfd76, 0x7377, 0x6974, 0x6368, 0, 0, 0, 0).to_bits();

/// The server's IPv4 address.
pub const SERVER_V4: Ipv4Addr = Ipv4Addr::new(100, 127, 255, 252);

/// The server's IPv6 address.
pub const SERVER_V6: Ipv6Addr = Ipv6Addr::from_bits(BASE_V6 | 1 << 48 | 2);

/// Numbers of one port.
const NUMBERS_PER_PORT: usize = SERVICE_GATEWAYS_MAX * SERVICE_OWN_MAX;

const _: () = assert!(PORTS_MAX * NUMBERS_PER_PORT <= 1 << 21, "below the server's address");

/// A client as the server sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceClient {
    /// Its port.
    pub port: PortIndex,
    /// The gateway address that it asks, by its position among the network's.
    pub gateway: usize,
    /// The address that it asks from, by its position among the port's own.
    pub own: usize,
}

impl ServiceClient {
    /// The client of an address; none for an address that no client has.
    #[must_use]
    pub fn of(address: IpAddr) -> Option<Self> {
        let number = match address {
            IpAddr::V4(address) => address.to_bits().checked_sub(BASE_V4)? as usize,
            IpAddr::V6(address) => usize::try_from(address.to_bits().checked_sub(BASE_V6)?).ok()?,
        };
        let (port, rest) = (number / NUMBERS_PER_PORT, number % NUMBERS_PER_PORT);
        let (gateway, own) = (rest / SERVICE_OWN_MAX, rest % SERVICE_OWN_MAX);
        Some(Self { port: PortIndex::new(port)?, gateway, own })
    }

    /// Its address in the family of `like`; none if a position is beyond its limit.
    #[must_use]
    pub fn address(self, like: IpAddr) -> Option<IpAddr> {
        if self.gateway >= SERVICE_GATEWAYS_MAX || self.own >= SERVICE_OWN_MAX {
            return None;
        }
        let number = self.port.get() * NUMBERS_PER_PORT + self.gateway * SERVICE_OWN_MAX + self.own;
        Some(match like {
            IpAddr::V4(_) => Ipv4Addr::from_bits(BASE_V4 + number as u32).into(),
            IpAddr::V6(_) => Ipv6Addr::from_bits(BASE_V6 + number as u128).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILIES: [IpAddr; 2] = [IpAddr::V4(SERVER_V4), IpAddr::V6(SERVER_V6)];

    #[test]
    fn every_client_has_an_address_of_its_own() {
        for like in FAMILIES {
            for port in [0, 1, 255, 256, PORTS_MAX - 1] {
                for (gateway, own) in [(0, 0), (0, 15), (15, 0), (3, 7), (15, 15)] {
                    let port = PortIndex::new(port).expect("a slot");
                    let client = ServiceClient { port, gateway, own };
                    let address = client.address(like).expect("an address");
                    assert_eq!(address.is_ipv4(), like.is_ipv4());
                    assert_eq!(ServiceClient::of(address), Some(client), "{address}");
                }
            }
        }
    }

    #[test]
    fn the_address_can_be_read_by_eye() {
        let client = ServiceClient { port: PortIndex(0x105), gateway: 0, own: 1 };
        let v4: IpAddr = "100.65.5.1".parse().expect("an address");
        let v6: IpAddr = "fd76:7377:6974:6368::1:501".parse().expect("an address");
        assert_eq!(FAMILIES.map(|like| client.address(like)), [Some(v4), Some(v6)]);
        assert_eq!(SERVER_V6.to_string(), "fd76:7377:6974:6368:1::2");
    }

    #[test]
    fn other_addresses_are_no_clients() {
        for address in [
            "100.63.255.255",
            "100.96.0.0",
            "100.127.255.252",
            "10.99.0.2",
            "255.255.255.255",
            "fd76:7377:6974:6367:ffff:ffff:ffff:ffff",
            "fd76:7377:6974:6368::20:0",
            "fd76:7377:6974:6368:1::2",
            "fd76:7377:6974:6369::",
            "fe80::1",
        ] {
            assert_eq!(ServiceClient::of(address.parse().expect("an address")), None, "{address}");
        }
        for (gateway, own) in [(16, 0), (0, 16)] {
            let client = ServiceClient { port: PortIndex(1), gateway, own };
            assert_eq!(client.address(SERVER_V4.into()), None, "{client:?}");
        }
    }
}
