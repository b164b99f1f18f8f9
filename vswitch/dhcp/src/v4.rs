//! DHCPv4 (RFC 2131), as the server of one address.
//!
//! Requests are read by `dhcproto`'s view, which leaves options as bytes: its decoder of all options asserts
//! lengths that a client chooses.

use std::net::{IpAddr, Ipv4Addr};

use dhcproto::Encodable;
use dhcproto::v4::borrowed::Message as Request;
use dhcproto::v4::{DhcpOption, HType, Message, MessageType, Opcode, OptionCode, UnknownOption};
use ipnet::Ipv4Net;
use wire::MacAddr;

use crate::limits::{LEASE, REBIND, RENEW, seconds};
use crate::{Answer, Asker, PortLease};

/// Length of an Ethernet address.
const MAC_LEN: u8 = 6;

/// Least and greatest length of an answer: what BOOTP had, which some clients ask for (RFC 1542 section 2.1), and
/// what each client takes in its datagram of 576 bytes (RFC 2131 section 2).
const MESSAGE_MIN: usize = 300;
const MESSAGE_MAX: usize = 576 - 20 - 8;

/// The search list (RFC 3397), as it is encoded already.
const DOMAIN_SEARCH: OptionCode = OptionCode::Unknown(119);

/// The options of a request that the server reads. There are none without the magic cookie of DHCP.
#[derive(Default)]
struct Options {
    kind: Option<MessageType>,
    server: Option<Ipv4Addr>,
    requested: Option<Ipv4Addr>,
    client_id: Option<Vec<u8>>,
    is_rapid: bool,
}

impl Options {
    fn of(request: &Request<'_>) -> Self {
        let mut options = Self::default();
        for option in request.opts() {
            let data = option.data();
            match option.code() {
                OptionCode::MessageType => options.kind = data.first().map(|&kind| kind.into()),
                OptionCode::ServerIdentifier => options.server = address(data),
                OptionCode::RequestedIpAddress => options.requested = address(data),
                OptionCode::RapidCommit => options.is_rapid = true,
                OptionCode::ClientIdentifier => options.client_id = Some(data.to_vec()),
                _ => {}
            }
        }
        options
    }
}

fn address(data: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(data).ok().map(Ipv4Addr::from)
}

/// Answers the message of a client with that MAC address.
pub(crate) fn answer(
    request: &[u8],
    mac: MacAddr,
    own_net: Ipv4Net,
    lease: &PortLease,
) -> Option<Answer> {
    let request = Request::new(request).ok()?;
    // Relays are for servers elsewhere. A longer hardware address would end behind the message.
    let is_client = request.opcode() == Opcode::BootRequest
        && request.htype() == HType::Eth
        && request.hlen() == MAC_LEN
        && request.giaddr().is_unspecified();
    let options = Options::of(&request);
    let is_for_us = options.server.is_none_or(|server| server == lease.network.gateway);
    if !is_client || !is_for_us {
        return None;
    }
    let own = own_net.addr();
    // The address that the client names, or the one that it uses.
    let used = Some(request.ciaddr()).filter(|address| !address.is_unspecified());
    let wanted = options.requested.or(used);
    let kind = match options.kind? {
        // RFC 4039.
        MessageType::Discover if options.is_rapid => MessageType::Ack,
        MessageType::Discover => MessageType::Offer,
        MessageType::Request if wanted == Some(own) => MessageType::Ack,
        MessageType::Request => MessageType::Nak,
        MessageType::Inform if used.is_some() => MessageType::Ack,
        MessageType::Decline => {
            let declined = (wanted == Some(own)).then_some(own.into());
            return Some(Answer { frame: None, declined });
        }
        _ => return None,
    };
    let mut reply = reply(&request, options, kind, own_net, lease);
    let mut message = reply.to_vec().ok()?;
    if message.len() > MESSAGE_MAX {
        // A client with a long identifier looks names up by its own search list.
        reply.opts_mut().remove(DOMAIN_SEARCH);
        message = reply.to_vec().ok()?;
    }
    message.resize(message.len().max(MESSAGE_MIN), 0);
    let frame = lease.network.datagram(&recipient(&request, kind, mac, own), &message);
    Some(Answer { frame, declined: None })
}

fn reply(
    request: &Request<'_>,
    asked: Options,
    kind: MessageType,
    own_net: Ipv4Net,
    lease: &PortLease,
) -> Message {
    let (none, network) = (Ipv4Addr::UNSPECIFIED, &lease.network);
    let is_inform = asked.kind == Some(MessageType::Inform);
    let is_nak = kind == MessageType::Nak;
    let own = if is_inform || is_nak { none } else { own_net.addr() };
    let used = if is_nak { none } else { request.ciaddr() };
    let mut reply = Message::new_with_id(request.xid(), used, own, none, none, request.chaddr());
    reply.set_opcode(Opcode::BootReply).set_flags(request.flags());
    let options = reply.opts_mut();
    options.insert(DhcpOption::MessageType(kind));
    options.insert(DhcpOption::ServerIdentifier(network.gateway));
    // RFC 6842.
    if let Some(id) = asked.client_id {
        options.insert(DhcpOption::ClientIdentifier(id));
    }
    if is_nak {
        return reply;
    }
    if !is_inform {
        options.insert(DhcpOption::AddressLeaseTime(seconds(LEASE)));
        options.insert(DhcpOption::Renewal(seconds(RENEW)));
        options.insert(DhcpOption::Rebinding(seconds(REBIND)));
    }
    options.insert(DhcpOption::SubnetMask(own_net.netmask()));
    options.insert(DhcpOption::BroadcastAddr(own_net.broadcast()));
    if lease.is_default_route {
        options.insert(DhcpOption::Router(vec![network.gateway]));
    }
    if network.dns {
        options.insert(DhcpOption::DomainNameServer(vec![network.gateway]));
        if !network.search.is_empty() {
            let list = network.search.encoded().to_vec();
            let option = UnknownOption::new(DOMAIN_SEARCH, list);
            options.insert(DhcpOption::Unknown(option));
        }
    }
    if asked.is_rapid && asked.kind == Some(MessageType::Discover) {
        options.insert(DhcpOption::RapidCommit);
    }
    options.insert(DhcpOption::InterfaceMtu(u16::try_from(network.mtu).unwrap_or(u16::MAX)));
    if let Some(hostname) = &lease.hostname {
        options.insert(DhcpOption::Hostname(hostname.clone()));
    }
    reply
}

/// The addresses of an answer (RFC 2131 section 4.1).
fn recipient(request: &Request<'_>, kind: MessageType, mac: MacAddr, own: Ipv4Addr) -> Asker {
    let broadcast = Asker { mac: MacAddr::BROADCAST, address: IpAddr::V4(Ipv4Addr::BROADCAST) };
    let used = request.ciaddr();
    match kind {
        MessageType::Nak => broadcast,
        _ if !used.is_unspecified() => Asker { mac, address: used.into() },
        _ if request.flags().broadcast() => broadcast,
        _ => Asker { mac, address: own.into() },
    }
}
