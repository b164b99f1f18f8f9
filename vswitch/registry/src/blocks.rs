//! Blocks of addresses: a node claims one by creating its key, and gives out its addresses by itself from then on.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::api::Registry;
use crate::error::RegistryError;
use crate::limits::RACE_TRIES;
use crate::record::{BLOCK_ADDRESSES, Network, Record, block_of, prefix};

/// Why no block could be claimed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// All blocks have a node.
    #[error(
        "subnet {subnet} of network {network} has no free block of {BLOCK_ADDRESSES} addresses"
    )]
    Exhausted {
        /// Name of the network.
        network: String,
        /// The subnet.
        subnet: IpNet,
    },
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// The blocks of a network with their nodes. Entries that are no records are left out.
///
/// # Errors
/// [`RegistryError`]
pub async fn claimed_blocks(
    registry: &dyn Registry,
    network: &str,
) -> Result<Vec<(IpNet, String)>, RegistryError> {
    let listing = registry.list(&format!("{}{network}/", prefix::BLOCKS)).await?;
    let block = |entry| match Record::decode(entry) {
        Ok(Record::Block { block, node, .. }) => Some((block, node)),
        _ => None,
    };
    Ok(listing.entries.iter().filter_map(block).collect())
}

/// Claims a block of a subnet that nobody has. Nodes begin at different places of the subnet, so that they seldom race.
///
/// # Errors
/// [`BlockError`]
pub async fn claim_block(
    registry: &dyn Registry,
    network: &Network,
    subnet: IpNet,
    node: &str,
) -> Result<IpNet, BlockError> {
    let listed = claimed_blocks(registry, &network.name).await?;
    let mut taken: BTreeSet<IpNet> = listed.into_iter().map(|(block, _)| block).collect();
    let exhausted = || BlockError::Exhausted { network: network.name.clone(), subnet };
    let mut tries = 0;
    loop {
        let block = free_block(subnet, &taken, node).ok_or_else(exhausted)?;
        let record = Record::Block { network: network.name.clone(), block, node: node.to_owned() };
        tries += 1;
        match registry.create(&record.key(), record.value(), None).await {
            Ok(_) => return Ok(block),
            Err(RegistryError::Conflict { .. }) => drop(taken.insert(block)),
            // It may be ours, which reading tells.
            Err(RegistryError::Unanswered { .. }) if tries < RACE_TRIES => {
                match registry.get(&record.key()).await? {
                    Some(entry) if entry.value == record.value() => return Ok(block),
                    Some(_) => drop(taken.insert(block)),
                    None => {}
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The first block that is not taken, from a place that the node's name decides.
fn free_block(subnet: IpNet, taken: &BTreeSet<IpNet>, node: &str) -> Option<IpNet> {
    let (bits, length) = match subnet {
        IpNet::V4(net) => (32, net.prefix_len()),
        IpNet::V6(net) => (128, net.prefix_len()),
    };
    let host_bits = u32::from(bits - length);
    // A subnet below the size of a block lies in one.
    let count = 1_u128.checked_shl(host_bits).unwrap_or(u128::MAX) / u128::from(BLOCK_ADDRESSES);
    let count = count.max(1);
    let mut hasher = DefaultHasher::new();
    node.hash(&mut hasher);
    let start = u128::from(hasher.finish()) % count;
    // One more than there are taken ones: one of these is free, or none at all.
    let looks = count.min(taken.len() as u128 + 1);
    let blocks = (0..looks).map(|n| block_at(subnet, (start + n) % count));
    blocks.into_iter().find(|block| !taken.contains(block))
}

fn block_at(subnet: IpNet, index: u128) -> IpNet {
    let offset = index * u128::from(BLOCK_ADDRESSES);
    let address: IpAddr = match subnet.network() {
        // A block of a subnet of IPv4 has a 32-bit offset.
        IpAddr::V4(base) => {
            Ipv4Addr::from_bits(base.to_bits().wrapping_add(u32::try_from(offset).unwrap_or(0)))
                .into()
        }
        IpAddr::V6(base) => Ipv6Addr::from_bits(base.to_bits().wrapping_add(offset)).into(),
    };
    block_of(address)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::free_block;

    #[test]
    fn every_block_of_a_subnet_is_found() {
        for (subnet, blocks) in [("10.50.0.0/22", 16), ("10.50.0.0/28", 1), ("fd00::/119", 8)] {
            let subnet = subnet.parse().expect("net");
            let mut taken = BTreeSet::new();
            while let Some(block) = free_block(subnet, &taken, "n1") {
                assert!(subnet.contains(&block) || block.contains(&subnet), "{block}");
                assert!(taken.insert(block));
            }
            assert_eq!(taken.len(), blocks, "{subnet}");
        }
    }

    #[test]
    fn nodes_begin_at_different_places() {
        for subnet in ["10.50.0.0/16", "fd00:50::/64", "::/0"] {
            let subnet = subnet.parse().expect("net");
            let first = |node| free_block(subnet, &BTreeSet::new(), node);
            assert_ne!(first("n1"), first("n2"));
        }
    }
}
