//! DHCPv4 (RFC 2131).

use std::net::{IpAddr, Ipv4Addr};

use dhcproto::v4::{DhcpOption, Flags, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable, Encodable};
use wire::MacAddr;

use super::{CLIENT, Datagram, GATEWAY, OWN, SEARCH, datagram, lease, sent};
use crate::{Answer, PortLease, SearchList, answer};

const NONE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 8);

fn request(kind: MessageType, used: Ipv4Addr, options: &[DhcpOption]) -> Message {
    let mut message = Message::new_with_id(0x0102_0304, used, NONE, NONE, NONE, &CLIENT.0);
    message.opts_mut().insert(DhcpOption::MessageType(kind));
    for option in options {
        message.opts_mut().insert(option.clone());
    }
    message
}

fn ask(message: &Message) -> Answer {
    ask_of(message, &lease())
}

fn ask_of(message: &Message, lease: &PortLease) -> Answer {
    let (from, to) = (IpAddr::V4(message.ciaddr()), IpAddr::V4(Ipv4Addr::BROADCAST));
    answer(&datagram(from, to, [68, 67], &message.to_vec().unwrap()), lease)
}

#[track_caller]
fn reply(answer: Answer) -> (Message, Datagram) {
    let datagram = sent(answer);
    assert_eq!((datagram.src, datagram.ports), (GATEWAY.into(), [67, 68]));
    let message = Message::from_bytes(&datagram.message).unwrap();
    assert_eq!((message.opcode(), message.xid()), (Opcode::BootReply, 0x0102_0304));
    assert_eq!(message.chaddr(), CLIENT.0);
    let server = message.opts().get(OptionCode::ServerIdentifier);
    assert_eq!(server, Some(&DhcpOption::ServerIdentifier(GATEWAY)));
    (message, datagram)
}

fn kind(message: &Message) -> MessageType {
    message.opts().msg_type().expect("a type")
}

fn requested(address: Ipv4Addr) -> DhcpOption {
    DhcpOption::RequestedIpAddress(address)
}

#[test]
fn a_discover_is_offered_the_ports_address_with_all_that_a_host_needs() {
    let (offer, datagram) = reply(ask(&request(MessageType::Discover, NONE, &[])));
    assert_eq!((kind(&offer), offer.yiaddr()), (MessageType::Offer, OWN));
    // RFC 2131 section 4.1: unicast to the client's hardware address and to the address that it gets.
    assert_eq!((datagram.dst_mac, datagram.dst), (CLIENT, OWN.into()));
    for option in [
        DhcpOption::AddressLeaseTime(3600),
        DhcpOption::Renewal(1800),
        DhcpOption::Rebinding(3150),
        DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 0, 0)),
        DhcpOption::Router(vec![GATEWAY]),
        DhcpOption::DomainNameServer(vec![GATEWAY]),
        DhcpOption::InterfaceMtu(1400),
        DhcpOption::Hostname("web".to_owned()),
    ] {
        assert_eq!(offer.opts().get(OptionCode::from(&option)), Some(&option));
    }
    assert_eq!(offer.opts().get(OptionCode::DomainName), None, "no domain was configured");
}

#[test]
fn the_search_list_is_told_as_it_is_written_in_messages() {
    let (_, datagram) = reply(ask(&request(MessageType::Discover, NONE, &[])));
    let option = [&[119, SEARCH.len() as u8], SEARCH].concat();
    assert!(datagram.message.windows(option.len()).any(|bytes| bytes == option));
}

#[test]
fn a_network_without_the_default_route_names_no_router_and_one_without_dns_no_server() {
    let (mut second, mut without_dns) = (lease(), lease());
    second.is_default_route = false;
    without_dns.network.dns = false;
    let discover = request(MessageType::Discover, NONE, &[]);
    for (lease, told) in [(second, [false, true, true]), (without_dns, [true, false, false])] {
        let (offer, _) = reply(ask_of(&discover, &lease));
        let codes = [OptionCode::Router, OptionCode::DomainNameServer, OptionCode::DomainSearch];
        assert_eq!(codes.map(|code| offer.opts().get(code).is_some()), told);
    }
}

/// RFC 4039 section 3.1: an acknowledgement at once, with the option.
#[test]
fn a_discover_with_rapid_commit_is_acknowledged() {
    let (ack, _) = reply(ask(&request(MessageType::Discover, NONE, &[DhcpOption::RapidCommit])));
    assert_eq!((kind(&ack), ack.yiaddr()), (MessageType::Ack, OWN));
    assert!(ack.opts().get(OptionCode::RapidCommit).is_some());
    let rapid = [requested(OWN), DhcpOption::RapidCommit];
    let (ack, _) = reply(ask(&request(MessageType::Request, NONE, &rapid)));
    assert_eq!(ack.opts().get(OptionCode::RapidCommit), None, "only a DISCOVER asks for it");
}

/// RFC 1542 section 2.1 and RFC 2131 section 2.
#[test]
fn answers_have_the_least_and_the_greatest_length_that_clients_take() {
    let (_, nak) = reply(ask(&request(MessageType::Request, NONE, &[requested(OTHER)])));
    assert_eq!(nak.message.len(), 300);
    let mut lease = lease();
    lease.hostname = Some("a".repeat(63));
    lease.network.search = SearchList::new([["a".repeat(50), "b".repeat(50)].join(".").as_str()]);
    let discover = |len| {
        let id = DhcpOption::ClientIdentifier(vec![1; len]);
        let (_, datagram) = reply(ask_of(&request(MessageType::Discover, NONE, &[id]), &lease));
        let has_search = datagram.message.windows(2).any(|bytes| bytes == [119, 103]);
        (has_search, datagram.message.len() <= 548)
    };
    assert_eq!((discover(7), discover(100)), ((true, true), (false, true)));
}

#[test]
fn a_client_that_cannot_hear_unicast_gets_broadcast() {
    let mut discover = request(MessageType::Discover, NONE, &[]);
    discover.set_flags(Flags::default().set_broadcast());
    let (offer, datagram) = reply(ask(&discover));
    assert!(offer.flags().broadcast());
    assert_eq!(datagram.dst_mac, MacAddr::BROADCAST);
    assert_eq!(datagram.dst, IpAddr::V4(Ipv4Addr::BROADCAST));
}

#[test]
fn a_request_for_the_ports_address_is_acknowledged() {
    let selecting = [requested(OWN), DhcpOption::ServerIdentifier(GATEWAY)];
    for options in [&selecting[..], &[requested(OWN)]] {
        let (ack, _) = reply(ask(&request(MessageType::Request, NONE, options)));
        assert_eq!((kind(&ack), ack.yiaddr(), ack.ciaddr()), (MessageType::Ack, OWN, NONE));
    }
}

#[test]
fn a_renewal_is_acknowledged_by_unicast() {
    let (ack, datagram) = reply(ask(&request(MessageType::Request, OWN, &[])));
    assert_eq!((kind(&ack), ack.yiaddr(), ack.ciaddr()), (MessageType::Ack, OWN, OWN));
    assert_eq!((datagram.dst_mac, datagram.dst), (CLIENT, OWN.into()));
}

#[test]
fn a_request_for_another_address_is_refused_by_broadcast() {
    let wrong = [
        request(MessageType::Request, NONE, &[requested(OTHER)]),
        request(MessageType::Request, OTHER, &[]),
        request(MessageType::Request, NONE, &[]),
    ];
    for message in wrong {
        let (nak, datagram) = reply(ask(&message));
        assert_eq!((kind(&nak), nak.yiaddr()), (MessageType::Nak, NONE));
        assert_eq!(nak.opts().get(OptionCode::AddressLeaseTime), None);
        assert_eq!(datagram.dst, IpAddr::V4(Ipv4Addr::BROADCAST));
    }
}

#[test]
fn a_request_of_another_server_is_not_answered() {
    let options = [requested(OWN), DhcpOption::ServerIdentifier(OTHER)];
    assert_eq!(ask(&request(MessageType::Request, NONE, &options)), Answer::default());
}

#[test]
fn an_inform_gets_parameters_without_a_lease() {
    let (ack, datagram) = reply(ask(&request(MessageType::Inform, OTHER, &[])));
    assert_eq!((kind(&ack), ack.yiaddr()), (MessageType::Ack, NONE));
    assert_eq!(ack.opts().get(OptionCode::AddressLeaseTime), None);
    assert!(ack.opts().get(OptionCode::Router).is_some());
    assert_eq!(datagram.dst, IpAddr::V4(OTHER));
}

#[test]
fn a_decline_is_reported_and_a_release_changes_nothing() {
    let options = [requested(OWN), DhcpOption::ServerIdentifier(GATEWAY)];
    let declined = ask(&request(MessageType::Decline, NONE, &options));
    assert_eq!(declined, Answer { frame: None, declined: Some(OWN.into()) });
    let other = ask(&request(MessageType::Decline, NONE, &[requested(OTHER)]));
    assert_eq!(other, Answer::default());
    let release = request(MessageType::Release, OWN, &options[1..]);
    assert_eq!(ask(&release), Answer::default());
}

/// RFC 6842: the client's identifier is returned.
#[test]
fn the_client_identifier_comes_back_in_each_answer() {
    let id = DhcpOption::ClientIdentifier(vec![255, 1, 2, 3]);
    for message in [
        request(MessageType::Discover, NONE, std::slice::from_ref(&id)),
        request(MessageType::Request, NONE, &[id.clone(), requested(OTHER)]),
    ] {
        let (answer, _) = reply(ask(&message));
        assert_eq!(answer.opts().get(OptionCode::ClientIdentifier), Some(&id));
    }
}

#[test]
fn relays_replies_and_other_hardware_are_not_answered() {
    let discover = || request(MessageType::Discover, NONE, &[]);
    let mut relayed = discover();
    relayed.set_giaddr(OTHER);
    let mut reply = discover();
    reply.set_opcode(Opcode::BootReply);
    let mut long = discover();
    long.set_chaddr(&[1; 16]);
    let no_type = Message::new_with_id(1, NONE, NONE, NONE, NONE, &CLIENT.0);
    for message in [relayed, reply, long, no_type] {
        assert_eq!(ask(&message), Answer::default(), "{message:?}");
    }
    let mut bootp = discover().to_vec().unwrap();
    bootp[236] = 0;
    let frame = datagram(NONE.into(), Ipv4Addr::BROADCAST.into(), [68, 67], &bootp);
    assert_eq!(answer(&frame, &lease()), Answer::default());
}

#[test]
fn a_network_without_dhcp_has_no_answer() {
    let mut lease = lease();
    lease.network.dhcp = false;
    let discover = request(MessageType::Discover, NONE, &[]).to_vec().unwrap();
    let frame = datagram(NONE.into(), Ipv4Addr::BROADCAST.into(), [68, 67], &discover);
    assert_eq!(answer(&frame, &lease), Answer::default());
}
