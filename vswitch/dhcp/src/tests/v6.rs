//! DHCPv6 (RFC 8415).

use std::net::{IpAddr, Ipv6Addr};

use dhcproto::v6::{
    DhcpOption, DhcpOptions, IAAddr, IANA, IAPD, Message, MessageType, OptionCode, Status,
    StatusCode,
};
use dhcproto::{Decodable, Encodable};

use super::{CLIENT, GATEWAY_LINK_LOCAL, GATEWAY_V6, OWN_V6, datagram, lease, sent};
use crate::{Answer, answer};

const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
const OTHER: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 8);
const SERVER_ID: [u8; 10] = [0, 3, 0, 1, 2, 0, 0, 0, 0, 1];
const XID: [u8; 3] = [1, 2, 3];

fn client() -> DhcpOption {
    DhcpOption::ClientId(vec![0, 4, 9, 9])
}

fn server() -> DhcpOption {
    DhcpOption::ServerId(SERVER_ID.to_vec())
}

fn address(addr: Ipv6Addr, life: u32) -> DhcpOption {
    let (preferred_life, valid_life, opts) = (life, life, DhcpOptions::new());
    DhcpOption::IAAddr(IAAddr { addr, preferred_life, valid_life, opts })
}

fn iana(id: u32, addresses: &[DhcpOption]) -> DhcpOption {
    let opts = addresses.iter().cloned().collect();
    DhcpOption::IANA(IANA { id, t1: 0, t2: 0, opts })
}

fn request(kind: MessageType, options: &[DhcpOption]) -> Message {
    let mut message = Message::new_with_id(kind, XID);
    options.iter().for_each(|option| message.opts_mut().insert(option.clone()));
    message
}

fn ask(message: &Message) -> Answer {
    let (from, to) = (IpAddr::V6(LINK_LOCAL), IpAddr::V6(SERVERS));
    answer(&datagram(from, to, [546, 547], &message.to_vec().unwrap()), &lease())
}

#[track_caller]
fn reply(answer: Answer, kind: MessageType) -> Message {
    let datagram = sent(answer);
    assert_eq!((datagram.src, datagram.ports), (GATEWAY_LINK_LOCAL.into(), [547, 546]));
    assert_eq!((datagram.dst_mac, datagram.dst), (CLIENT, LINK_LOCAL.into()));
    let message = Message::from_bytes(&datagram.message).unwrap();
    assert_eq!((message.msg_type(), message.xid()), (kind, XID));
    assert_eq!(message.opts().get(OptionCode::ServerId), Some(&server()));
    let dns = message.opts().get(OptionCode::DomainNameServers);
    assert_eq!(dns, Some(&DhcpOption::DomainNameServers(vec![GATEWAY_V6])));
    message
}

fn ianas(message: &Message) -> Vec<IANA> {
    let options = message.opts().iter();
    options
        .filter_map(|option| match option {
            DhcpOption::IANA(iana) => Some(iana.clone()),
            _ => None,
        })
        .collect()
}

/// Addresses of an association with their lifetimes.
fn addresses(iana: &IANA) -> Vec<(Ipv6Addr, u32)> {
    let options = iana.opts.iter();
    options
        .filter_map(|option| match option {
            DhcpOption::IAAddr(address) => Some((address.addr, address.valid_life)),
            _ => None,
        })
        .collect()
}

fn status(options: &DhcpOptions) -> Option<Status> {
    match options.get(OptionCode::StatusCode)? {
        DhcpOption::StatusCode(StatusCode { status, .. }) => Some(*status),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_solicit_is_advertised_the_ports_address() {
    let solicit = request(MessageType::Solicit, &[client(), iana(5, &[])]);
    let advert = reply(ask(&solicit), MessageType::Advertise);
    assert_eq!(advert.opts().get(OptionCode::ClientId), Some(&client()));
    assert_eq!(advert.opts().get(OptionCode::Preference), Some(&DhcpOption::Preference(255)));
    let [iana] = &ianas(&advert)[..] else { panic!("one association") };
    assert_eq!((iana.id, iana.t1, iana.t2), (5, 1800, 3150));
    assert_eq!(addresses(iana), [(OWN_V6, 3600)]);
}

#[test]
fn a_solicit_with_rapid_commit_is_replied_to() {
    let options = [client(), DhcpOption::RapidCommit, iana(5, &[])];
    let answer = reply(ask(&request(MessageType::Solicit, &options)), MessageType::Reply);
    assert!(answer.opts().get(OptionCode::RapidCommit).is_some());
    assert_eq!(addresses(&ianas(&answer)[0]), [(OWN_V6, 3600)]);
}

#[test]
fn request_renew_and_rebind_lease_the_ports_address_and_end_any_other() {
    for (kind, id) in [
        (MessageType::Request, Some(server())),
        (MessageType::Renew, Some(server())),
        (MessageType::Rebind, None),
    ] {
        let had = iana(5, &[address(OTHER, 100), address(OWN_V6, 100)]);
        let options: Vec<_> = [client(), had].into_iter().chain(id).collect();
        let answer = reply(ask(&request(kind, &options)), MessageType::Reply);
        assert_eq!(addresses(&ianas(&answer)[0]), [(OWN_V6, 3600), (OTHER, 0)]);
    }
}

#[test]
fn there_is_one_address_and_no_prefix() {
    let prefix = DhcpOption::IAPD(IAPD { id: 1, t1: 0, t2: 0, opts: DhcpOptions::new() });
    let options = [client(), iana(5, &[]), iana(6, &[]), prefix];
    let answer = reply(ask(&request(MessageType::Solicit, &options)), MessageType::Advertise);
    let mut associations = ianas(&answer);
    associations.sort_by_key(|iana| iana.id);
    let [first, second] = &associations[..] else { panic!("two associations") };
    assert_eq!(addresses(first), [(OWN_V6, 3600)]);
    assert_eq!((addresses(second), status(&second.opts)), (vec![], Some(Status::NoAddrsAvail)));
    match answer.opts().get(OptionCode::IAPD) {
        Some(DhcpOption::IAPD(iapd)) => {
            assert_eq!(status(&iapd.opts), Some(Status::NoPrefixAvail));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_confirm_tells_whether_the_address_is_right() {
    let confirm = |addresses: &[DhcpOption]| {
        ask(&request(MessageType::Confirm, &[client(), iana(5, addresses)]))
    };
    let right = reply(confirm(&[address(OWN_V6, 9)]), MessageType::Reply);
    assert_eq!(status(right.opts()), Some(Status::Success));
    let wrong = reply(confirm(&[address(OWN_V6, 9), address(OTHER, 9)]), MessageType::Reply);
    assert_eq!(status(wrong.opts()), Some(Status::NotOnLink));
    assert_eq!(confirm(&[]), Answer::default());
}

#[test]
fn an_information_request_gets_the_dns_server() {
    for options in [&[client()][..], &[], &[server()]] {
        let answer = ask(&request(MessageType::InformationRequest, options));
        assert!(ianas(&reply(answer, MessageType::Reply)).is_empty());
    }
    let with_address = request(MessageType::InformationRequest, &[iana(5, &[])]);
    assert_eq!(ask(&with_address), Answer::default());
}

#[test]
fn release_and_decline_succeed_and_a_decline_is_reported() {
    let options = [client(), server(), iana(5, &[address(OWN_V6, 9)])];
    let released = ask(&request(MessageType::Release, &options));
    assert_eq!(released.declined, None);
    assert_eq!(status(reply(released, MessageType::Reply).opts()), Some(Status::Success));
    let declined = ask(&request(MessageType::Decline, &options));
    assert_eq!(declined.declined, Some(OWN_V6.into()));
    assert_eq!(status(reply(declined, MessageType::Reply).opts()), Some(Status::Success));
}

/// RFC 8415 section 16: which identifiers a message must have.
#[test]
fn messages_without_their_identifiers_are_discarded() {
    let other = DhcpOption::ServerId(vec![0, 3, 0, 1, 6, 6, 6, 6, 6, 6]);
    let named = [MessageType::Request, MessageType::Renew, MessageType::Release];
    let unnamed = [MessageType::Solicit, MessageType::Confirm, MessageType::Rebind];
    let held = iana(5, &[address(OWN_V6, 9)]);
    let mut bad = Vec::new();
    for kind in named {
        bad.push(request(kind, &[client(), held.clone()]));
        bad.push(request(kind, &[client(), held.clone(), other.clone()]));
        bad.push(request(kind, &[server(), held.clone()]));
    }
    for kind in unnamed {
        bad.push(request(kind, std::slice::from_ref(&held)));
        bad.push(request(kind, &[client(), server(), held.clone()]));
    }
    bad.push(request(MessageType::InformationRequest, &[other]));
    for kind in [MessageType::Advertise, MessageType::Reply, MessageType::Reconfigure] {
        bad.push(request(kind, &[client(), server(), held.clone()]));
    }
    for message in bad {
        assert_eq!(ask(&message), Answer::default(), "{message:?}");
    }
}

#[test]
fn only_link_local_clients_are_answered() {
    let solicit = request(MessageType::Solicit, &[client(), iana(5, &[])]).to_vec().unwrap();
    for from in [OTHER, Ipv6Addr::UNSPECIFIED] {
        let frame = datagram(from.into(), SERVERS.into(), [546, 547], &solicit);
        assert_eq!(answer(&frame, &lease()), Answer::default());
    }
}
