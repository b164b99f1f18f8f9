//! IPsec states (`linux/xfrm.h`), whoever made them.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use rustix::net::sockopt::{self, Timeout};
use rustix::net::{RecvFlags, recv};
use vswitch_sys::query;
use vswitch_sys::socket::Socket;

use super::Flow;
use crate::host::limits::NFT_ANSWER_MAX;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const XFRM_MSG_NEWSA: u16 = 0x10;
const XFRM_MSG_GETSA: u16 = 0x12;
/// `nlmsghdr`.
const HEADER: usize = 16;
/// In `xfrm_usersa_info`: destination, protocol, source, family.
const TO: usize = 56;
const PROTOCOL: usize = 76;
const FROM: usize = 80;
const FAMILY: usize = 212;

/// Those of the flows that are between the host and a remote of a state. Blocks.
pub(super) fn users(flows: &BTreeSet<Flow>) -> io::Result<BTreeSet<Flow>> {
    let socket = match Socket::open_xfrm() {
        // A kernel without IPsec.
        Err(error) if error.raw_os_error() == Some(libc::EPROTONOSUPPORT) => {
            return Ok(BTreeSet::new());
        }
        socket => socket?,
    };
    sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(NFT_ANSWER_MAX))?;
    socket.send(&question())?;
    let mut used = BTreeSet::new();
    let mut buffer = vec![0_u8; usize::from(u16::MAX) + 1];
    loop {
        let (len, _) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        for message in query::messages(&buffer[..len]) {
            match message.get(4..6).map(|kind| u16::from_ne_bytes([kind[0], kind[1]])) {
                Some(NLMSG_DONE) => return Ok(used),
                Some(NLMSG_ERROR) => return Err(io::Error::other("the kernel refuses the list")),
                Some(XFRM_MSG_NEWSA) => {
                    let ends = ends(&message[HEADER..]).into_iter().flatten();
                    used.extend(ends.filter(|flow| flows.contains(flow)));
                }
                _ => {}
            }
        }
    }
}

fn question() -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER);
    message.extend((HEADER as u32).to_ne_bytes());
    message.extend(XFRM_MSG_GETSA.to_ne_bytes());
    message.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    message.extend([0; 8]);
    message
}

/// Both ends of a state, one of which is the host.
fn ends(info: &[u8]) -> Option<[Flow; 2]> {
    let protocol = *info.get(PROTOCOL)?;
    let family = u16::from_ne_bytes(info.get(FAMILY..FAMILY + 2)?.try_into().ok()?);
    let address = |at: usize| -> Option<IpAddr> {
        if i32::from(family) == libc::AF_INET {
            return Some(<[u8; 4]>::try_from(info.get(at..at + 4)?).ok()?.into());
        }
        Some(<[u8; 16]>::try_from(info.get(at..at + 16)?).ok()?.into())
    };
    Some([(address(TO)?, protocol), (address(FROM)?, protocol)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_names_both_ends() {
        for (family, to, from) in [
            (libc::AF_INET, "198.51.100.7", "192.0.2.1"),
            (libc::AF_INET6, "2001:db8:f::7", "2001:db8::1"),
        ] {
            let [to, from]: [IpAddr; 2] = [to, from].map(|text| text.parse().unwrap());
            let mut info = [0; 224];
            for (at, address) in [(TO, to), (FROM, from)] {
                let octets = match address {
                    IpAddr::V4(v4) => v4.octets().to_vec(),
                    IpAddr::V6(v6) => v6.octets().to_vec(),
                };
                info[at..at + octets.len()].copy_from_slice(&octets);
            }
            info[PROTOCOL] = 50;
            info[FAMILY..FAMILY + 2].copy_from_slice(&(family as u16).to_ne_bytes());
            assert_eq!(ends(&info), Some([(to, 50), (from, 50)]));
            assert_eq!(ends(&info[..FAMILY]), None);
        }
    }

    #[test]
    fn the_kernel_answers() {
        testkit::in_namespace(|| {
            assert_eq!(users(&BTreeSet::from([([198, 51, 100, 7].into(), 50)])).unwrap().len(), 0);
        });
    }
}
