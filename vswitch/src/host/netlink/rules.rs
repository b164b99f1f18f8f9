//! Routing rules, and routes of tables.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteScope};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::{IpVersion, RouteMessageBuilder};

use super::{Netlink, failed, ip};
use crate::host::error::NetlinkError;

/// A routing rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) priority: u32,
    pub(crate) from: Option<IpAddr>,
    pub(crate) table: u32,
    /// It takes default routes of the table, too.
    pub(crate) takes_default: bool,
}

impl Rule {
    fn message(self, is_ipv6: bool) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header.family = if is_ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
        message.header.action = RuleAction::ToTable;
        message.attributes =
            vec![RuleAttribute::Priority(self.priority), RuleAttribute::Table(self.table)];
        if let Some(address) = self.from {
            message.header.src_len = if is_ipv6 { 128 } else { 32 };
            message.attributes.push(RuleAttribute::Source(address));
        }
        if !self.takes_default {
            message.attributes.push(RuleAttribute::SuppressPrefixLen(0));
        }
        message
    }

    fn parse(message: &RuleMessage) -> Self {
        let table = message.header.table.into();
        let mut rule = Self { priority: 0, from: None, table, takes_default: true };
        for attribute in &message.attributes {
            match attribute {
                RuleAttribute::Priority(priority) => rule.priority = *priority,
                RuleAttribute::Source(address) => rule.from = Some(*address),
                RuleAttribute::Table(table) => rule.table = *table,
                // The kernel names no length by its largest number.
                RuleAttribute::SuppressPrefixLen(length) => rule.takes_default = *length != 0,
                _ => {}
            }
        }
        rule
    }
}

/// A route of a table: by a gateway, or on the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TableRoute {
    pub(crate) table: u32,
    pub(crate) destination: IpNet,
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) device: u32,
}

impl TableRoute {
    fn message(self) -> RouteMessage {
        let (destination, length) = (self.destination.network(), self.destination.prefix_len());
        match destination {
            IpAddr::V4(destination) => {
                let mut builder = RouteMessageBuilder::<Ipv4Addr>::new()
                    .table_id(self.table)
                    .destination_prefix(destination, length)
                    .output_interface(self.device);
                builder = match self.gateway {
                    Some(IpAddr::V4(gateway)) => builder.gateway(gateway),
                    _ => builder.scope(RouteScope::Link),
                };
                builder.build()
            }
            IpAddr::V6(destination) => {
                let mut builder = RouteMessageBuilder::<Ipv6Addr>::new()
                    .table_id(self.table)
                    .destination_prefix(destination, length)
                    .output_interface(self.device);
                if let Some(IpAddr::V6(gateway)) = self.gateway {
                    builder = builder.gateway(gateway);
                }
                builder.build()
            }
        }
    }

    fn parse(message: &RouteMessage, is_ipv6: bool) -> Option<Self> {
        let length = message.header.destination_prefix_length;
        let any =
            if is_ipv6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { Ipv4Addr::UNSPECIFIED.into() };
        let (mut table, mut destination) = (u32::from(message.header.table), any);
        let (mut gateway, mut device) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Table(number) => table = *number,
                RouteAttribute::Destination(address) => destination = ip(address)?,
                RouteAttribute::Gateway(address) => gateway = ip(address),
                RouteAttribute::Oif(index) => device = Some(*index),
                _ => {}
            }
        }
        let destination = IpNet::new(destination, length).ok()?;
        Some(Self { table, destination, gateway, device: device? })
    }
}

impl Netlink {
    /// The rules of a family.
    pub(crate) async fn rules(&self, is_ipv6: bool) -> Result<Vec<Rule>, NetlinkError> {
        let version = if is_ipv6 { IpVersion::V6 } else { IpVersion::V4 };
        let all = || self.handle.rule().get(version.clone()).execute();
        let rules: Vec<RuleMessage> =
            self.dumps.run(all).await.map_err(failed(|| "list routing rules".into()))?;
        Ok(rules.iter().map(Rule::parse).collect())
    }

    /// Adds a rule.
    pub(crate) async fn add_rule(&self, rule: Rule, is_ipv6: bool) -> Result<(), NetlinkError> {
        let mut request = self.handle.rule().add();
        *request.message_mut() = rule.message(is_ipv6);
        let what = || format!("add the routing rule {rule:?}");
        let added =
            if is_ipv6 { request.v6().execute().await } else { request.v4().execute().await };
        added.map_err(failed(what))
    }

    /// Removes a rule.
    pub(crate) async fn remove_rule(&self, rule: Rule, is_ipv6: bool) -> Result<(), NetlinkError> {
        let what = || format!("remove the routing rule {rule:?}");
        self.handle.rule().del(rule.message(is_ipv6)).execute().await.map_err(failed(what))
    }

    /// Default routes of the main table, with their devices.
    pub(crate) async fn default_routes(
        &self,
        is_ipv6: bool,
    ) -> Result<Vec<(u32, RouteMessage)>, NetlinkError> {
        let main = u32::from(libc::RT_TABLE_MAIN);
        let is_default =
            |route: &TableRoute| route.table == main && route.destination.prefix_len() == 0;
        let routes = self.parsed_routes(is_ipv6).await?;
        let defaults = routes.into_iter().filter(|(route, _)| is_default(route));
        Ok(defaults.map(|(route, message)| (route.device, message)).collect())
    }

    /// Brings tables of a family in line with these routes. `is_ours` knows the tables.
    pub(crate) async fn set_tables(
        &self,
        wanted: &[TableRoute],
        is_ours: impl Fn(u32) -> bool,
        is_ipv6: bool,
    ) -> Result<(), NetlinkError> {
        let known = self.parsed_routes(is_ipv6).await?;
        let known: Vec<_> = known.into_iter().filter(|(route, _)| is_ours(route.table)).collect();
        for (_, message) in known.iter().filter(|(route, _)| !wanted.contains(route)) {
            self.remove_route(message.clone()).await?;
        }
        let is_known = |route: &TableRoute| known.iter().any(|(other, _)| other == route);
        for &route in wanted.iter().filter(|route| !is_known(route)) {
            let what = || format!("set the route {route:?}");
            let request = self.handle.route().add(route.message()).replace();
            request.execute().await.map_err(failed(what))?;
        }
        Ok(())
    }

    async fn parsed_routes(
        &self,
        is_ipv6: bool,
    ) -> Result<Vec<(TableRoute, RouteMessage)>, NetlinkError> {
        let message = if is_ipv6 {
            RouteMessageBuilder::<Ipv6Addr>::new().build()
        } else {
            RouteMessageBuilder::<Ipv4Addr>::new().build()
        };
        let all = || self.handle.route().get(message.clone()).execute();
        let routes: Vec<RouteMessage> =
            self.dumps.run(all).await.map_err(failed(|| "list routes".into()))?;
        let parsed = routes.into_iter();
        Ok(parsed.filter_map(|it| Some((TableRoute::parse(&it, is_ipv6)?, it))).collect())
    }

    /// Removes a route.
    pub(crate) async fn remove_route(&self, route: RouteMessage) -> Result<(), NetlinkError> {
        let removed = self.handle.route().del(route).execute().await;
        match removed.map_err(failed(|| "remove a default route".into())) {
            Err(error) if error.errno() != Some(libc::ESRCH) => Err(error),
            _ => Ok(()),
        }
    }
}
