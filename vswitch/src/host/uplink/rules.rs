//! Policy routing: which tables the host's rules (`ip rule`) name for packets of a container, in order. Pure.
//!
//! Rules may have `from`, `to`, `iif`, `not`, `fwmark` and `suppress_prefixlength`; a container's packet has no mark.
//! The lookup follows the kernel's (`fib_rules_lookup`): of the rules that match, the first whose table has a route for
//! the destination. Rules by other properties of a packet are not followed: [`Rules::unread`] names them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};

/// The kernel's table of the host's own addresses, which the switch knows by themselves.
const TABLE_LOCAL: u32 = libc::RT_TABLE_LOCAL as u32;
const TABLE_MAIN: u32 = libc::RT_TABLE_MAIN as u32;
const TABLE_DEFAULT: u32 = libc::RT_TABLE_DEFAULT as u32;

/// The host's rules, in the order of their priority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    unread: Vec<String>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    priority: u32,
    is_v6: bool,
    from: Option<IpNet>,
    to: Option<IpNet>,
    iif: Option<String>,
    /// A packet without a mark may match.
    matches_unmarked: bool,
    is_inverted: bool,
    lookup: Lookup,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Looks up a table, without its routes with prefixes up to a length.
    Table { number: u32, suppressed_len: Option<u8> },
    /// Nothing leaves.
    Unreachable,
}

/// The destinations that a rule applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those of a prefix; all of a family have a prefix of length 0.
    Within(IpNet),
    /// All of the family but these.
    Outside(IpNet),
}

/// A table for the destinations of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RuleLayer {
    pub(crate) scope: Scope,
    pub(crate) lookup: Lookup,
}

/// The kernel's own rules.
impl Default for Rules {
    fn default() -> Self {
        let rule = |is_v6: bool, number: u32, priority: u32| Rule {
            priority,
            is_v6,
            from: None,
            to: None,
            iif: None,
            matches_unmarked: true,
            is_inverted: false,
            lookup: Lookup::Table { number, suppressed_len: None },
        };
        let own = [false, true].into_iter().flat_map(|is_v6| {
            [(TABLE_MAIN, 32_766), (TABLE_DEFAULT, 32_767)].map(|(n, at)| rule(is_v6, n, at))
        });
        Self { rules: own.collect(), unread: Vec::new() }
    }
}

impl Rules {
    /// Reads the kernel's list. A family without any has the kernel's own: it has no policy routing.
    pub(crate) fn read(messages: &[RuleMessage]) -> Self {
        let (mut rules, mut unread) = (Vec::new(), Vec::new());
        for message in messages {
            match parse(message) {
                Ok(rule) => rules.extend(rule),
                Err(text) => unread.push(text),
            }
        }
        for (is_v6, family) in [(false, AddressFamily::Inet), (true, AddressFamily::Inet6)] {
            if !messages.iter().any(|message| message.header.family == family) {
                rules.extend(Self::default().rules.into_iter().filter(|rule| rule.is_v6 == is_v6));
            }
        }
        // Stable: the kernel lists rules of one priority in their order.
        rules.sort_by_key(|rule: &Rule| rule.priority);
        unread.sort_unstable();
        Self { rules, unread }
    }

    /// Rules that are not followed, as `ip rule` shows them.
    pub(crate) fn unread(&self) -> &[String] {
        &self.unread
    }

    /// The tables that any rule names.
    pub(super) fn tables(&self) -> impl Iterator<Item = u32> {
        self.rules.iter().filter_map(|rule| match rule.lookup {
            Lookup::Table { number, .. } => Some(number),
            Lookup::Unreachable => None,
        })
    }

    /// The tables for packets from these addresses that come by a device, in order. A source that is a part of
    /// the addresses only is none of theirs.
    pub(crate) fn layers(&self, iif: &str, from: IpNet) -> Vec<RuleLayer> {
        let is_v6 = from.addr().is_ipv6();
        let same = self.rules.iter().filter(|rule| rule.is_v6 == is_v6);
        same.filter_map(|rule| rule.layer(iif, from)).collect()
    }

    /// Sources that a rule names within these addresses, which have layers of their own, the narrowest first.
    pub(crate) fn sources_within(&self, addresses: IpNet) -> Vec<IpNet> {
        let narrower =
            |from: &IpNet| addresses.contains(from) && from.prefix_len() > addresses.prefix_len();
        let mut sources: Vec<_> =
            self.rules.iter().filter_map(|rule| rule.from).filter(narrower).collect();
        sources.sort_by_key(|from| (u8::MAX - from.prefix_len(), *from));
        sources.dedup();
        sources
    }

    /// A rule names this source, or a prefix around it.
    pub(crate) fn names_source(&self, source: IpAddr) -> bool {
        self.rules.iter().filter_map(|rule| rule.from).any(|from| from.contains(&source))
    }
}

impl Rule {
    fn layer(&self, iif: &str, from: IpNet) -> Option<RuleLayer> {
        let is_source = self.from.is_none_or(|it| it.contains(&from));
        let is_device = self.iif.as_deref().is_none_or(|it| it == iif);
        let is_match = is_source && is_device && self.matches_unmarked;
        let scope = match (is_match, self.is_inverted, self.to) {
            (true, false, to) => Scope::Within(to.unwrap_or(all(self.is_v6))),
            (false, true, _) => Scope::Within(all(self.is_v6)),
            (true, true, Some(to)) => Scope::Outside(to),
            (true, true, None) | (false, false, _) => return None,
        };
        Some(RuleLayer { scope, lookup: self.lookup })
    }
}

/// All addresses of a family.
fn all(is_v6: bool) -> IpNet {
    let any: IpAddr =
        if is_v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    IpNet::new_assert(any, 0)
}

/// A rule; none if no container's packet can match it, an error with its text if it is not followed.
fn parse(message: &RuleMessage) -> Result<Option<Rule>, String> {
    let header = &message.header;
    let is_v6 = match header.family {
        AddressFamily::Inet => false,
        AddressFamily::Inet6 => true,
        _ => return Ok(None),
    };
    let mut rule = Rule {
        priority: 0,
        is_v6,
        from: None,
        to: None,
        iif: None,
        matches_unmarked: true,
        is_inverted: header.flags.contains(RuleFlags::Invert),
        lookup: Lookup::Unreachable,
    };
    let (mut table, mut suppressed_len) = (u32::from(header.table), None);
    let (mut mark, mut mask, mut others) = (0, None, Vec::new());
    let net = |address: IpAddr, len: u8| IpNet::new(address, len).ok().map(|net| net.trunc());
    if header.tos != 0 {
        others.push(format!("tos {:#x}", header.tos));
    }
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Table(number) => table = *number,
            RuleAttribute::Source(address) => rule.from = net(*address, header.src_len),
            RuleAttribute::Destination(address) => rule.to = net(*address, header.dst_len),
            RuleAttribute::Iifname(name) => rule.iif = Some(name.clone()),
            RuleAttribute::FwMark(number) => mark = *number,
            RuleAttribute::FwMask(number) => mask = Some(*number),
            // The kernel names no length by its largest number.
            RuleAttribute::SuppressPrefixLen(len) => suppressed_len = u8::try_from(*len).ok(),
            // Only packets of sockets that are bound to a device match.
            RuleAttribute::Oifname(_) => rule.matches_unmarked = false,
            RuleAttribute::L3MDev(true) if !rule.is_inverted => return Ok(None),
            RuleAttribute::L3MDev(true) => others.push("l3mdev".to_owned()),
            RuleAttribute::UidRange(_) => others.push("uidrange".to_owned()),
            RuleAttribute::IpProtocol(_) => others.push("ipproto".to_owned()),
            RuleAttribute::SourcePortRange(_) => others.push("sport".to_owned()),
            RuleAttribute::DestinationPortRange(_) => others.push("dport".to_owned()),
            RuleAttribute::TunId(id) if *id != 0 => others.push("tun_id".to_owned()),
            _ => {}
        }
    }
    rule.matches_unmarked &= mark & mask.unwrap_or(u32::MAX) == 0;
    rule.lookup = match header.action {
        RuleAction::ToTable if table == TABLE_LOCAL => return Ok(None),
        RuleAction::ToTable => Lookup::Table { number: table, suppressed_len },
        RuleAction::Blackhole | RuleAction::Unreachable | RuleAction::Prohibit => {
            Lookup::Unreachable
        }
        RuleAction::Nop => return Ok(None),
        RuleAction::Goto => {
            others.push("goto".to_owned());
            Lookup::Unreachable
        }
        _ => return Ok(None),
    };
    if others.is_empty() { Ok(Some(rule)) } else { Err(text_of(&rule, &others)) }
}

/// A rule as `ip rule` begins to show it, with what the switch does not follow.
fn text_of(rule: &Rule, others: &[String]) -> String {
    let from = rule.from.map_or("all".to_owned(), |from| from.to_string());
    let to = rule.to.map(|to| format!(" to {to}")).unwrap_or_default();
    let iif = rule.iif.as_ref().map(|iif| format!(" iif {iif}")).unwrap_or_default();
    let family = if rule.is_v6 { "-6 " } else { "" };
    format!("{family}{}: from {from}{to}{iif} {}", rule.priority, others.join(" "))
}

#[cfg(test)]
mod tests;
