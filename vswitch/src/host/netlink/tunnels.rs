//! Tunnel devices of the host.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netlink_packet_route::link::{
    InfoData, InfoGre, InfoGre6, InfoIpTunnel, InfoVti, LinkAttribute, LinkFlags, LinkInfo,
    LinkMessage,
};
use rtnetlink::Handle;

use super::{Dumps, failed};
use crate::host::error::NetlinkError;

/// IPIP, 6in4, ESP, GRE, AH, IPComp, MPLS-in-IP.
const IPIP: u8 = 4;
const IPV6: u8 = 41;
const GRE: u8 = 47;
const ESP: u8 = 50;
const AH: u8 = 51;
const IPCOMP: u8 = 108;
const MPLS: u8 = 137;

/// Remotes of tunnels that are up, with the protocols that come from them.
pub(in crate::host) async fn tunnels(
    handle: &Handle,
    dumps: &Dumps,
) -> Result<BTreeSet<(IpAddr, u8)>, NetlinkError> {
    let links = dumps.run(|| handle.link().get().execute());
    let links: Vec<_> = links.await.map_err(failed(|| "list tunnels of the host".into()))?;
    Ok(links.iter().filter_map(tunnel).flatten().collect())
}

/// A tunnel with a remote of its own. One without gets each packet's from elsewhere.
fn tunnel(link: &LinkMessage) -> Option<impl Iterator<Item = (IpAddr, u8)> + use<>> {
    if !link.header.flags.contains(LinkFlags::Up) {
        return None;
    }
    let (remote, protocols) = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => infos.iter().find_map(|info| match info {
            LinkInfo::Data(data) => remote_of(data),
            _ => None,
        }),
        _ => None,
    })?;
    let is_own = !remote.is_unspecified();
    is_own.then(|| protocols.iter().map(move |protocol| (remote, *protocol)))
}

fn remote_of(data: &InfoData) -> Option<(IpAddr, &'static [u8])> {
    const GRE_ONLY: &[u8] = &[GRE];
    match data {
        InfoData::GreTun(all) | InfoData::GreTap(all) | InfoData::ErSpan(all) => {
            all.iter().find_map(|it| match it {
                InfoGre::Remote(remote) => Some(((*remote).into(), GRE_ONLY)),
                _ => None,
            })
        }
        InfoData::GreTun6(all) | InfoData::GreTap6(all) | InfoData::Ip6ErSpan(all) => {
            all.iter().find_map(|it| match it {
                InfoGre6::Remote(remote) => Some(((*remote).into(), GRE_ONLY)),
                _ => None,
            })
        }
        InfoData::IpTunnel(all) => all.iter().find_map(|it| match it {
            InfoIpTunnel::Remote(remote) => Some((*remote, &[IPIP, IPV6, MPLS][..])),
            _ => None,
        }),
        InfoData::Vti(all) => all.iter().find_map(|it| match it {
            InfoVti::Remote(remote) => Some((*remote, &[ESP, AH, IPCOMP][..])),
            _ => None,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(data: InfoData, flags: LinkFlags) -> LinkMessage {
        let mut link = LinkMessage::default();
        link.header.flags = flags;
        link.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Data(data)]));
        link
    }

    fn of(link: &LinkMessage) -> Vec<(IpAddr, u8)> {
        tunnel(link).into_iter().flatten().collect()
    }

    #[test]
    fn tunnels_that_are_up_have_their_remotes() {
        let up = LinkFlags::Up;
        let gre = |remote: [u8; 4]| InfoData::GreTap(vec![InfoGre::Remote(remote.into())]);
        let remote: IpAddr = [198, 51, 100, 7].into();
        assert_eq!(of(&link(gre([198, 51, 100, 7]), up)), [(remote, GRE)]);
        assert_eq!(of(&link(gre([198, 51, 100, 7]), LinkFlags::empty())), []);
        assert_eq!(of(&link(gre([0; 4]), up)), [], "as the kernel's gre0 has it");
        let sit = InfoData::IpTunnel(vec![InfoIpTunnel::Ttl(64), InfoIpTunnel::Remote(remote)]);
        assert_eq!(of(&link(sit, up)), [(remote, IPIP), (remote, IPV6), (remote, MPLS)]);
        assert_eq!(of(&link(InfoData::Bridge(Vec::new()), up)), []);
    }
}
