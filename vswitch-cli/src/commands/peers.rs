//! `vswitch peers`: the other nodes of overlay networks, with traffic.

use std::process::ExitCode;

use clap::Args;
use vswitch_api::overlay::Peer;

use crate::error::Outcome;
use crate::global::Global;
use crate::list::{Field, FilterKey, ListArgs, Row};
use crate::{human, table};

/// Show the peers of all overlay networks, with their traffic
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PeersArgs {
    #[command(flatten)]
    list: ListArgs,
}

const EXAMPLES: &str = "\
MTU is the longest packet of a container that the path to the peer carries. LEARNING says whether MAC addresses are
learnt from its frames. NODE is its name in the registry; a static peer has none. Filters are
address, network, node and learning.

Examples:
  vswitch peers
  vswitch peers -o json
  vswitch peers -o wide --sort -tx
  vswitch peers --filter network=blue

Static peers are changed by `vswitch network peer`.";

impl PeersArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let plan = self.list.plan(global.format)?;
        let client = global.client()?;
        plan.show(client.wait(client.peers())?)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Row for Peer {
    const FIELDS: &'static [Field<Self>] = &[
        Field::text("PEER", |peer| peer.address.to_string()),
        Field::text("NODE", |peer| table::list(&peer.node)),
        Field::text("NETWORKS", |peer| table::list(&peer.networks)),
        Field::number("MTU", |peer| peer.mtu.into(), |mtu| mtu.to_string()),
        Field::text("LEARNING", |peer| learning(peer).to_owned()),
        Field::number(
            "RX FRAMES",
            |peer: &Self| peer.traffic.rx_frames,
            |frames| frames.to_string(),
        )
        .wide(),
        Field::number("RX", |peer| peer.traffic.rx_bytes, human::bytes),
        Field::number(
            "TX FRAMES",
            |peer: &Self| peer.traffic.tx_frames,
            |frames| frames.to_string(),
        )
        .wide(),
        Field::number("TX", |peer| peer.traffic.tx_bytes, human::bytes),
        Field::number("DROPS", |peer| peer.traffic.drops, |drops| drops.to_string()),
    ];

    const FILTERS: &'static [FilterKey<Self>] = &[
        ("address", |peer, value| {
            peer.address.to_string() == value || peer.address.ip().to_string() == value
        }),
        ("network", |peer, value| peer.networks.iter().any(|network| network == value)),
        ("node", |peer, value| peer.node.as_deref() == Some(value)),
        ("learning", |peer, value| learning(peer) == value),
    ];

    fn name(&self) -> String {
        self.address.to_string()
    }
}

const fn learning(peer: &Peer) -> &'static str {
    if peer.learning { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use vswitch_api::overlay::VtepTraffic;

    use super::*;
    use crate::output::Format;

    #[test]
    fn a_line_a_peer() {
        let peer = |address: &str, traffic| Peer {
            address: address.parse().unwrap(),
            node: address.starts_with('1').then(|| "n2".to_owned()),
            networks: vec!["blue".into(), "green".into()],
            mtu: 1450,
            learning: true,
            traffic,
        };
        let traffic =
            VtepTraffic { rx_frames: 1, tx_frames: 2, rx_bytes: 60, tx_bytes: 2048, drops: 3 };
        let peers = [peer("192.0.2.2:4789", traffic), peer("[2001:db8::2]:8472", traffic)];
        let plan = ListArgs::default().plan::<Peer>(Format::Table).unwrap();
        let shown = plan.render(&peers);
        assert!(
            shown.starts_with("PEER                NODE  NETWORKS      MTU  LEARNING"),
            "{shown}"
        );
        assert!(shown.contains("192.0.2.2:4789      n2    blue, green  1450  yes"), "{shown}");
        assert!(shown.contains("[2001:db8::2]:8472  -     blue"), "{shown}");
        assert_eq!(shown.lines().count(), 3);
    }
}
