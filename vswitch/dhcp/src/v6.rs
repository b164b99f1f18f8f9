//! DHCPv6 (RFC 8415), as the server of one address.
//!
//! The IA_NA with the lowest identifier gets the address of the port, whatever the order of options. Further ones,
//! temporary addresses and prefixes get a status that says that there is none.

use std::net::Ipv6Addr;

use dhcproto::v6::{
    DhcpOption, DhcpOptions, IAAddr, IANA, IAPD, IATA, Message, MessageType, OptionCode, Status,
    StatusCode, UnknownOption,
};
use dhcproto::{Decodable, Encodable};
use wire::MacAddr;

mod known;

use crate::limits::{LEASE, REBIND, RENEW, seconds};
use crate::{Answer, Asker, PortLease};

/// DUID based on a link-layer address of Ethernet (RFC 8415 section 11.4).
const DUID_LL: [u8; 4] = [0, 3, 0, 1];

/// The preference that ends a client's wait for other servers (RFC 8415 section 18.2.1).
const PREFERENCE: u8 = 255;

/// Answers the message of a client.
pub(crate) fn answer(
    request: &[u8],
    asker: Asker,
    own: Ipv6Addr,
    lease: &PortLease,
) -> Option<Answer> {
    let request = Message::from_bytes(&known::only(request)?).ok()?;
    let server = server_id(lease.network.mac);
    if !is_valid(&request, &server) {
        return None;
    }
    let is_rapid = request.opts().get(OptionCode::RapidCommit).is_some();
    let kind = match request.msg_type() {
        MessageType::Solicit if !is_rapid => MessageType::Advertise,
        _ => MessageType::Reply,
    };
    let mut reply = Message::new_with_id(kind, request.xid());
    let options = reply.opts_mut();
    options.insert(DhcpOption::ServerId(server));
    if let Some(id) = request.opts().get(OptionCode::ClientId) {
        options.insert(id.clone());
    }
    let mut declined = None;
    match request.msg_type() {
        MessageType::Solicit => {
            match is_rapid {
                true => options.insert(DhcpOption::RapidCommit),
                false => options.insert(DhcpOption::Preference(PREFERENCE)),
            }
            associate(request.opts(), own, options);
        }
        MessageType::Request | MessageType::Renew | MessageType::Rebind => {
            associate(request.opts(), own, options);
        }
        MessageType::Confirm => {
            let mut named = addresses(request.opts()).peekable();
            named.peek()?;
            let fits = named.all(|address| address == own);
            options.insert(status(if fits { Status::Success } else { Status::NotOnLink }));
        }
        MessageType::Decline => {
            declined = addresses(request.opts()).find(|&address| address == own);
            options.insert(status(Status::Success));
        }
        MessageType::Release => options.insert(status(Status::Success)),
        _ => {}
    }
    if lease.network.dns {
        options.insert(DhcpOption::DomainNameServers(vec![lease.network.gateway6]));
        if !lease.network.search.is_empty() {
            let list = lease.network.search.encoded();
            let option = UnknownOption::new(OptionCode::DomainSearchList, list.to_vec());
            options.insert(DhcpOption::Unknown(option));
        }
    }
    let message = reply.to_vec().ok()?;
    let frame = lease.network.datagram(&asker, &message);
    Some(Answer { frame, declined: declined.map(Into::into) })
}

/// The server's identifier, which is the same after a restart.
fn server_id(mac: MacAddr) -> Vec<u8> {
    [&DUID_LL[..], &mac.0].concat()
}

/// Whether a message has the identifiers that its type must have, and no others (RFC 8415 section 16).
fn is_valid(request: &Message, server: &[u8]) -> bool {
    let has_client = request.opts().get(OptionCode::ClientId).is_some();
    let named = match request.opts().get(OptionCode::ServerId) {
        Some(DhcpOption::ServerId(id)) => Some(id.as_slice() == server),
        _ => None,
    };
    let asks_for_addresses = request.opts().iter().any(|option| {
        matches!(option, DhcpOption::IANA(_) | DhcpOption::IATA(_) | DhcpOption::IAPD(_))
    });
    match request.msg_type() {
        MessageType::Solicit | MessageType::Confirm | MessageType::Rebind => {
            has_client && named.is_none()
        }
        MessageType::Request | MessageType::Renew | MessageType::Release | MessageType::Decline => {
            has_client && named == Some(true)
        }
        MessageType::InformationRequest => named != Some(false) && !asks_for_addresses,
        _ => false,
    }
}

/// Answers each identity association of a request.
fn associate(request: &DhcpOptions, own: Ipv6Addr, reply: &mut DhcpOptions) {
    let ids = request.iter().filter_map(|option| match option {
        DhcpOption::IANA(IANA { id, .. }) => Some(*id),
        _ => None,
    });
    let mut lowest = ids.min();
    for option in request.iter() {
        let association = match option {
            DhcpOption::IANA(asked) if lowest.take_if(|id| *id == asked.id).is_some() => {
                DhcpOption::IANA(IANA {
                    id: asked.id,
                    t1: seconds(RENEW),
                    t2: seconds(REBIND),
                    opts: leased(&asked.opts, own),
                })
            }
            DhcpOption::IANA(IANA { id, .. }) => {
                let opts = only(Status::NoAddrsAvail);
                DhcpOption::IANA(IANA { id: *id, t1: 0, t2: 0, opts })
            }
            DhcpOption::IATA(IATA { id, .. }) => {
                DhcpOption::IATA(IATA { id: *id, opts: only(Status::NoAddrsAvail) })
            }
            DhcpOption::IAPD(IAPD { id, .. }) => {
                let opts = only(Status::NoPrefixAvail);
                DhcpOption::IAPD(IAPD { id: *id, t1: 0, t2: 0, opts })
            }
            _ => continue,
        };
        reply.insert(association);
    }
}

/// The port's address with its lifetimes, and the others that the client has with none
/// (RFC 8415 section 18.3.4).
fn leased(asked: &DhcpOptions, own: Ipv6Addr) -> DhcpOptions {
    let address = |addr, lifetime| {
        let opts = DhcpOptions::new();
        let (preferred_life, valid_life) = (lifetime, lifetime);
        DhcpOption::IAAddr(IAAddr { addr, preferred_life, valid_life, opts })
    };
    let others = asked.iter().filter_map(|option| match option {
        DhcpOption::IAAddr(IAAddr { addr, .. }) if *addr != own => Some(address(*addr, 0)),
        _ => None,
    });
    std::iter::once(address(own, seconds(LEASE))).chain(others).collect()
}

/// All addresses of the IA_NAs of a request.
fn addresses(request: &DhcpOptions) -> impl Iterator<Item = Ipv6Addr> + '_ {
    let associations = request.iter().filter_map(|option| match option {
        DhcpOption::IANA(association) => Some(&association.opts),
        _ => None,
    });
    associations.flat_map(DhcpOptions::iter).filter_map(|option| match option {
        DhcpOption::IAAddr(address) => Some(address.addr),
        _ => None,
    })
}

fn status(status: Status) -> DhcpOption {
    DhcpOption::StatusCode(StatusCode { status, msg: String::new() })
}

fn only(code: Status) -> DhcpOptions {
    std::iter::once(status(code)).collect()
}
