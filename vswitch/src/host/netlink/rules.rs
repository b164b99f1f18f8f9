//! Routing rules, and default routes of tables.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::{IpVersion, RouteMessageBuilder};

use super::{Link, Netlink, failed};
use crate::host::error::NetlinkError;

/// A routing rule. One without a source skips default routes of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) priority: u32,
    pub(crate) from: Option<IpAddr>,
    pub(crate) table: u32,
}

impl Rule {
    fn message(self, is_ipv6: bool) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header.family = if is_ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
        message.header.action = RuleAction::ToTable;
        message.attributes =
            vec![RuleAttribute::Priority(self.priority), RuleAttribute::Table(self.table)];
        match self.from {
            Some(address) => {
                message.header.src_len = if is_ipv6 { 128 } else { 32 };
                message.attributes.push(RuleAttribute::Source(address));
            }
            None => message.attributes.push(RuleAttribute::SuppressPrefixLen(0)),
        }
        message
    }

    fn parse(message: &RuleMessage) -> Self {
        let mut rule = Self { priority: 0, from: None, table: message.header.table.into() };
        for attribute in &message.attributes {
            match attribute {
                RuleAttribute::Priority(priority) => rule.priority = *priority,
                RuleAttribute::Source(address) => rule.from = Some(*address),
                RuleAttribute::Table(table) => rule.table = *table,
                _ => {}
            }
        }
        rule
    }
}

impl Netlink {
    /// The rules of a family.
    pub(crate) async fn rules(&self, is_ipv6: bool) -> Result<Vec<Rule>, NetlinkError> {
        let version = if is_ipv6 { IpVersion::V6 } else { IpVersion::V4 };
        let rules = self.0.rule().get(version).execute();
        let rules: Vec<RuleMessage> =
            rules.try_collect().await.map_err(failed(|| "list routing rules".into()))?;
        Ok(rules.iter().map(Rule::parse).collect())
    }

    /// Adds a rule.
    pub(crate) async fn add_rule(&self, rule: Rule, is_ipv6: bool) -> Result<(), NetlinkError> {
        let mut request = self.0.rule().add();
        *request.message_mut() = rule.message(is_ipv6);
        let what = || format!("add the routing rule {rule:?}");
        let added =
            if is_ipv6 { request.v6().execute().await } else { request.v4().execute().await };
        added.map_err(failed(what))
    }

    /// Removes a rule.
    pub(crate) async fn remove_rule(&self, rule: Rule, is_ipv6: bool) -> Result<(), NetlinkError> {
        let what = || format!("remove the routing rule {rule:?}");
        self.0.rule().del(rule.message(is_ipv6)).execute().await.map_err(failed(what))
    }

    /// Default routes of the main table, with their devices.
    pub(crate) async fn default_routes(
        &self,
        is_ipv6: bool,
    ) -> Result<Vec<(u32, RouteMessage)>, NetlinkError> {
        let message = if is_ipv6 {
            RouteMessageBuilder::<Ipv6Addr>::new().build()
        } else {
            RouteMessageBuilder::<Ipv4Addr>::new().build()
        };
        let routes = self.0.route().get(message).execute();
        let routes: Vec<RouteMessage> =
            routes.try_collect().await.map_err(failed(|| "list routes".into()))?;
        let is_default = |route: &RouteMessage| {
            route.header.destination_prefix_length == 0 && route.header.table == libc::RT_TABLE_MAIN
        };
        let device = |route: &RouteMessage| {
            route.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Oif(index) => Some(*index),
                _ => None,
            })
        };
        let defaults = routes.into_iter().filter(is_default);
        Ok(defaults.filter_map(|route| Some((device(&route)?, route))).collect())
    }

    /// Removes a route.
    pub(crate) async fn remove_route(&self, route: RouteMessage) -> Result<(), NetlinkError> {
        let removed = self.0.route().del(route).execute().await;
        match removed.map_err(failed(|| "remove a default route".into())) {
            Err(error) if error.errno() != Some(libc::ESRCH) => Err(error),
            _ => Ok(()),
        }
    }

    /// Sets the default route of a table.
    pub(crate) async fn set_default_route_in(
        &self,
        table: u32,
        link: &Link,
        gateway: IpAddr,
    ) -> Result<(), NetlinkError> {
        let what =
            || format!("set the default route of table {table} by {gateway} on {}", link.name);
        let message = default_route_in(table, link, gateway);
        self.0.route().add(message).replace().execute().await.map_err(failed(what))
    }

    /// Removes the default route of a table, if it has one.
    pub(crate) async fn remove_default_route_in(
        &self,
        table: u32,
        link: &Link,
        gateway: IpAddr,
    ) -> Result<(), NetlinkError> {
        self.remove_route(default_route_in(table, link, gateway)).await
    }
}

fn default_route_in(table: u32, link: &Link, gateway: IpAddr) -> RouteMessage {
    match gateway {
        IpAddr::V4(gateway) => RouteMessageBuilder::<Ipv4Addr>::new()
            .table_id(table)
            .gateway(gateway)
            .output_interface(link.index)
            .build(),
        IpAddr::V6(gateway) => RouteMessageBuilder::<Ipv6Addr>::new()
            .table_id(table)
            .gateway(gateway)
            .output_interface(link.index)
            .build(),
    }
}
