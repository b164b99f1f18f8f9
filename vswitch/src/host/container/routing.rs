//! Routes and rules of a container that is on several networks.
//!
//! | priority | rule | leads to |
//! |---|---|---|
//! | [`PRIORITY_MAIN`] | all but default routes of the main table | its subnets, and routes of its own |
//! | [`PRIORITY_SOURCE`] | from an address of the container | a default route by that address's interface |
//! | 32766 (the kernel's) | the main table | the default route |

use std::net::IpAddr;

use crate::host::error::NetlinkError;
use crate::host::netlink::rules::Rule;
use crate::host::netlink::{Link, Netlink};

const PRIORITY_MAIN: u32 = 30_000;
const PRIORITY_SOURCE: u32 = 30_001;

/// Table of the interface with index 0; that of another follows by its index.
const TABLE: u32 = 30_000;

/// A way out of the container.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hop<'a> {
    pub(super) link: &'a Link,
    pub(super) address: IpAddr,
    pub(super) gateway: IpAddr,
}

/// Brings routes and rules of one family in line with these ways; the first one is the default.
pub(super) async fn sync(
    inside: &Netlink,
    hops: &[Hop<'_>],
    is_ipv6: bool,
) -> Result<(), NetlinkError> {
    let several = if hops.len() > 1 { hops } else { &[] };
    let mut wanted: Vec<Rule> = several
        .iter()
        .map(|hop| Rule {
            priority: PRIORITY_SOURCE,
            from: Some(hop.address),
            table: TABLE + hop.link.index,
        })
        .collect();
    if !several.is_empty() {
        wanted.push(Rule {
            priority: PRIORITY_MAIN,
            from: None,
            table: libc::RT_TABLE_MAIN.into(),
        });
    }
    for hop in hops {
        let table = TABLE + hop.link.index;
        match several.is_empty() {
            true => inside.remove_default_route_in(table, hop.link, hop.gateway).await?,
            false => inside.set_default_route_in(table, hop.link, hop.gateway).await?,
        }
    }
    let mut known = inside.rules(is_ipv6).await?;
    known.retain(|rule| [PRIORITY_MAIN, PRIORITY_SOURCE].contains(&rule.priority));
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
