//! Routes and rules of a container that is on several networks.
//!
//! Each interface has a table: its subnet on the link, the subnets of the container's other networks and all
//! else by its gateway. A reply leaves by it whatever its destination; a frame with the address of another
//! interface would meet the source guard.
//!
//! | priority | rule | leads to |
//! |---|---|---|
//! | [`PRIORITY_SUBNETS`] | from an address of the container: all but the default route of that interface's table | subnets of the switch |
//! | [`PRIORITY_MAIN`] | all but default routes of the main table | its subnets, and routes of its own |
//! | [`PRIORITY_SOURCE`] | from an address of the container | a default route by that address's interface |
//! | 32766 (the kernel's) | the main table | the default route |

use std::net::IpAddr;

use ipnet::IpNet;

use crate::host::error::NetlinkError;
use crate::host::netlink::rules::{Rule, TableRoute};
use crate::host::netlink::{Link, Netlink};

const PRIORITY_SUBNETS: u32 = 30_000;
const PRIORITY_MAIN: u32 = 30_001;
const PRIORITY_SOURCE: u32 = 30_002;

/// Table of the interface with index 0; that of another follows by its index.
const TABLE: u32 = 30_000;

/// A way out of the container.
#[derive(Debug, Clone)]
pub(super) struct Hop<'a> {
    pub(super) link: &'a Link,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) gateway: IpAddr,
    pub(super) subnet: IpNet,
}

impl Hop<'_> {
    fn table(&self) -> u32 {
        TABLE + self.link.index
    }

    fn rules(&self) -> impl Iterator<Item = Rule> {
        let table = self.table();
        self.addresses.iter().flat_map(move |&address| {
            let from = Some(address);
            [
                Rule { priority: PRIORITY_SUBNETS, from, table, takes_default: false },
                Rule { priority: PRIORITY_SOURCE, from, table, takes_default: true },
            ]
        })
    }

    /// The routes of its table, where the container is on these networks. Internal networks may share
    /// addresses: those of its own subnet are on its link.
    fn routes(&self, all: &[Self]) -> Vec<TableRoute> {
        let (table, device) = (self.table(), self.link.index);
        let by_gateway = |destination: IpNet| TableRoute {
            table,
            destination,
            gateway: Some(self.gateway),
            device,
        };
        let on_link = TableRoute { gateway: None, ..by_gateway(self.subnet) };
        let default = IpNet::new(unspecified(self.gateway), 0).unwrap_or_default();
        let mut routes = vec![on_link, by_gateway(default)];
        for other in all.iter().map(|hop| hop.subnet) {
            let is_new = !routes.iter().any(|route| route.destination == other);
            if is_new && !self.subnet.contains(&other) {
                routes.push(by_gateway(other));
            }
        }
        routes
    }
}

fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Brings routes and rules of one family in line with these ways; the first one is the default.
pub(super) async fn sync(
    inside: &Netlink,
    hops: &[Hop<'_>],
    is_ipv6: bool,
) -> Result<(), NetlinkError> {
    let several = if hops.len() > 1 { hops } else { &[] };
    let mut wanted: Vec<Rule> = several.iter().flat_map(Hop::rules).collect();
    if !several.is_empty() {
        let table = libc::RT_TABLE_MAIN.into();
        wanted.push(Rule { priority: PRIORITY_MAIN, from: None, table, takes_default: false });
    }
    let routes: Vec<_> = several.iter().flat_map(|hop| hop.routes(hops)).collect();
    let is_ours = |table: u32| hops.iter().any(|hop| hop.table() == table);
    inside.set_tables(&routes, is_ours, is_ipv6).await?;
    let mut known = inside.rules(is_ipv6).await?;
    known.retain(|rule| (PRIORITY_SUBNETS..=PRIORITY_SOURCE).contains(&rule.priority));
    for rule in wanted.iter().filter(|rule| !known.contains(rule)) {
        inside.add_rule(*rule, is_ipv6).await?;
    }
    for rule in known.iter().filter(|rule| !wanted.contains(rule)) {
        inside.remove_rule(*rule, is_ipv6).await?;
    }
    set_default(inside, hops, is_ipv6).await
}

/// Sets the default route of the main table, unless another interface of the container has one.
async fn set_default(
    inside: &Netlink,
    hops: &[Hop<'_>],
    is_ipv6: bool,
) -> Result<(), NetlinkError> {
    let Some(first) = hops.first() else { return Ok(()) };
    let defaults = inside.default_routes(is_ipv6).await?;
    let is_ours = |device: u32| hops.iter().any(|hop| hop.link.index == device);
    if defaults.iter().any(|(device, _)| *device == first.link.index || !is_ours(*device)) {
        return Ok(());
    }
    for (_, route) in defaults {
        inside.remove_route(route).await?;
    }
    inside.add_default_route(first.link, first.gateway).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop<'a>(link: &'a Link, address: &str, subnet: &str) -> Hop<'a> {
        let [address, gateway] = [address, "10.0.0.1"].map(|it| it.parse().unwrap());
        Hop { link, addresses: vec![address], gateway, subnet: subnet.parse().unwrap() }
    }

    fn shown(routes: &[TableRoute]) -> Vec<String> {
        let kind =
            |route: &TableRoute| if route.gateway.is_some() { "by the gateway" } else { "on link" };
        routes.iter().map(|route| format!("{} {}", route.destination, kind(route))).collect()
    }

    #[test]
    fn a_table_leads_into_other_networks_by_the_gateway_unless_they_share_its_addresses() {
        let links = [1, 2, 3, 4].map(|index| Link::new(index, format!("eth{index}")));
        let hops = [
            hop(&links[0], "10.5.0.9", "10.5.0.0/24"),
            hop(&links[1], "10.6.0.9", "10.6.0.0/24"),
            hop(&links[2], "10.5.0.9", "10.5.0.0/24"),
            hop(&links[3], "10.5.7.9", "10.5.0.0/16"),
        ];
        let (on_link, gateway) = ("10.5.0.0/24 on link", "0.0.0.0/0 by the gateway");
        let (other, around) = ("10.6.0.0/24 by the gateway", "10.5.0.0/16 by the gateway");
        assert_eq!(shown(&hops[0].routes(&hops)), [on_link, gateway, other, around]);
        let other = "10.6.0.0/24 by the gateway";
        assert_eq!(shown(&hops[3].routes(&hops)), ["10.5.0.0/16 on link", gateway, other]);
        assert!(hops[1].routes(&hops).iter().all(|route| route.table == TABLE + 2));
    }
}
