//! Networks in the registry: created, deleted and written again.

use std::sync::Arc;

use ipnet::IpNet;
use vswitch_registry::record::{Endpoint, Network, Record, prefix};
use vswitch_registry::{Entry, Operation, Registry, RegistryError, Revision};

use super::conf::NewNetwork;
use super::error::NodeError;
use super::limits::{RACE_TRIES, VNI_FIRST};
use super::request::Restored;

/// The highest VNI: it has 24 bits.
const VNI_LAST: u32 = (1 << 24) - 1;

/// Creates a network with its VNI in one transaction. `doubted` networks count as well, although the registry lacks them.
///
/// No key stands for a subnet. So two networks that overlap and are created at the same time are found afterwards, and
/// the later one goes.
pub(crate) async fn create(
    registry: &dyn Registry,
    wanted: &NewNetwork,
    doubted: &[Arc<Network>],
) -> Result<(Network, Revision), NodeError> {
    for _ in 0..RACE_TRIES {
        let networks = list(registry).await?;
        let all = networks.iter().map(|(network, _)| network);
        let all: Vec<_> = all.chain(doubted.iter().map(|network| &**network)).collect();
        if all.iter().any(|network| network.name == wanted.name) {
            return Err(NodeError::NetworkExists(wanted.name.clone()));
        }
        if let Some(error) = overlap(&wanted.subnets, all.iter().copied()) {
            return Err(error);
        }
        let network = wanted.with_vni(choose_vni(registry, wanted.vni, &all).await?);
        let revision = match registry.transact(&creation(&network)).await {
            Ok(revision) => revision,
            Err(RegistryError::Conflict { .. }) => continue,
            Err(error @ RegistryError::Unanswered { .. }) => {
                match written(registry, &network).await? {
                    Some(revision) => revision,
                    None => return Err(error.into()),
                }
            }
            Err(error) => return Err(error.into()),
        };
        let others = list(registry).await?;
        let earlier = others.iter().filter(|(other, at)| *at < revision && *other != network);
        if let Some(error) = overlap(&network.subnets, earlier.map(|(network, _)| network)) {
            undo(registry, &network, revision).await?;
            return Err(error);
        }
        return Ok((network, revision));
    }
    Err(RegistryError::Conflict { key: prefix::NETWORKS.to_owned() }.into())
}

fn creation(network: &Network) -> [Operation; 2] {
    let vni = Record::Vni { vni: network.vni, network: network.name.clone() };
    [Record::Network(network.clone()), vni].map(|record| Operation::Create {
        key: record.key(),
        value: record.value(),
        lease: None,
    })
}

/// The revision of a network that was written by a request without an answer.
async fn written(
    registry: &dyn Registry,
    network: &Network,
) -> Result<Option<Revision>, RegistryError> {
    let record = Record::Network(network.clone());
    let entry = registry.get(&record.key()).await?;
    Ok(entry.filter(|entry| entry.value == record.value()).map(|entry| entry.revision))
}

async fn undo(
    registry: &dyn Registry,
    network: &Network,
    revision: Revision,
) -> Result<(), RegistryError> {
    let keys = creation(network).map(|operation| operation.key().to_owned());
    registry.transact(&keys.map(|key| Operation::Delete { key, revision })).await.map(drop)
}

/// All networks with their revision; entries that are none are left out.
async fn list(registry: &dyn Registry) -> Result<Vec<(Network, Revision)>, RegistryError> {
    let listing = registry.list(prefix::NETWORKS).await?;
    let network = |entry: &Entry| match Record::decode(entry) {
        Ok(Record::Network(network)) => Some((network, entry.revision)),
        _ => None,
    };
    Ok(listing.entries.iter().filter_map(network).collect())
}

fn overlap<'a>(subnets: &[IpNet], others: impl Iterator<Item = &'a Network>) -> Option<NodeError> {
    let pairs = others.flat_map(|network| network.subnets.iter().map(move |net| (network, *net)));
    let mut found = pairs.filter_map(|(network, other)| {
        let overlaps = |subnet: &&IpNet| subnet.contains(&other) || other.contains(*subnet);
        let subnet = *subnets.iter().find(overlaps)?;
        Some(NodeError::SubnetOverlaps { subnet, network: network.name.clone(), other })
    });
    found.next()
}

/// The VNI that is asked for, or the lowest free one.
async fn choose_vni(
    registry: &dyn Registry,
    wanted: Option<u32>,
    networks: &[&Network],
) -> Result<u32, NodeError> {
    let listing = registry.list(prefix::VNIS).await?;
    let vnis = listing.entries.iter().filter_map(|entry| match Record::decode(entry) {
        Ok(Record::Vni { vni, network }) => Some((vni, network)),
        _ => None,
    });
    let of_networks = networks.iter().map(|network| (network.vni, network.name.clone()));
    let mut taken: Vec<_> = vnis.chain(of_networks).collect();
    taken.sort_unstable();
    if let Some(vni) = wanted {
        return match taken.into_iter().find(|(number, _)| *number == vni) {
            Some((_, network)) => Err(NodeError::VniTaken { vni, network }),
            None => Ok(vni),
        };
    }
    let is_free = |vni: &u32| taken.binary_search_by_key(vni, |(number, _)| *number).is_err();
    let mut all = (VNI_FIRST..=VNI_LAST).chain(1..VNI_FIRST);
    all.find(is_free).ok_or(NodeError::NoVni)
}

/// Deletes a network with its VNI and blocks, unless it has endpoints.
///
/// An endpoint that is written meanwhile is found afterwards; then the network is written again.
pub(crate) async fn delete(registry: &dyn Registry, name: &str) -> Result<(), NodeError> {
    let mut may_be_deleted = false;
    for _ in 0..RACE_TRIES {
        let networks = list(registry).await?;
        let found = networks.into_iter().find(|(network, _)| network.name == name);
        let Some((network, revision)) = found else {
            return match may_be_deleted {
                true => Ok(()),
                false => Err(NodeError::UnknownNetwork(name.to_owned())),
            };
        };
        check_unused(registry, name).await?;
        let key = Record::Network(network.clone()).key();
        let mut operations = vec![Operation::Delete { key, revision }];
        operations.extend(vni_deletion(registry, &network).await?);
        let blocks = registry.list(&format!("{}{name}/", prefix::BLOCKS)).await?;
        let mut blocks = blocks.entries.into_iter();
        let delete = |Entry { key, revision, .. }| Operation::Delete { key, revision };
        let free = registry.operations_max() - operations.len();
        operations.extend(blocks.by_ref().take(free).map(delete));
        match registry.transact(&operations).await {
            Ok(_) => {}
            Err(RegistryError::Conflict { .. }) => continue,
            Err(RegistryError::Unanswered { .. }) => {
                may_be_deleted = true;
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        if let Err(error) = check_unused(registry, name).await {
            restore(registry, &[network], &[], "").await?;
            return Err(error);
        }
        let rest: Vec<_> = blocks.map(delete).collect();
        for operations in rest.chunks(registry.operations_max()) {
            // Their owners delete them, too.
            match registry.transact(operations).await {
                Ok(_) | Err(RegistryError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        return Ok(());
    }
    Err(RegistryError::Conflict { key: format!("{}{name}", prefix::NETWORKS) }.into())
}

async fn vni_deletion(
    registry: &dyn Registry,
    network: &Network,
) -> Result<Option<Operation>, RegistryError> {
    let record = Record::Vni { vni: network.vni, network: network.name.clone() };
    let entry = registry.get(&record.key()).await?;
    let own = entry.filter(|entry| Record::decode(entry).as_ref() == Ok(&record));
    Ok(own.map(|Entry { key, revision, .. }| Operation::Delete { key, revision }))
}

/// Whether the registry has no endpoint of a network.
pub(crate) async fn check_unused(registry: &dyn Registry, name: &str) -> Result<(), NodeError> {
    let listing = registry.list(&format!("{}{name}/", prefix::ENDPOINTS)).await?;
    let endpoints = listing.entries.iter().filter_map(|entry| match Record::decode(entry) {
        Ok(Record::Endpoint(endpoint)) => Some(endpoint),
        _ => None,
    });
    let endpoints: Vec<Endpoint> = endpoints.collect();
    match endpoints.first() {
        None => Ok(()),
        Some(Endpoint { node, .. }) => Err(NodeError::NetworkInUse {
            network: name.to_owned(),
            endpoints: endpoints.len(),
            node: node.clone(),
        }),
    }
}

/// Writes networks, and blocks of a node, again where the registry lacks them. What another node has put in their place
/// stays; a VNI that another network has is replaced.
pub(crate) async fn restore(
    registry: &dyn Registry,
    networks: &[Network],
    blocks: &[(String, IpNet)],
    node: &str,
) -> Result<Restored, RegistryError> {
    let mut restored = Restored::default();
    for network in networks {
        let same = NewNetwork {
            name: network.name.clone(),
            vni: Some(network.vni),
            subnets: network.subnets.clone(),
            mtu: network.mtu,
            options: network.options.clone(),
        };
        let mut result = create(registry, &same, &[]).await;
        if matches!(result, Err(NodeError::VniTaken { .. })) {
            result = create(registry, &NewNetwork { vni: None, ..same }, &[]).await;
        }
        match result {
            // Another node was faster.
            Ok(_) | Err(NodeError::NetworkExists(_)) => {}
            Err(NodeError::Registry(error)) if error.is_transient() => return Err(error),
            Err(error) => restored.refused.push((network.name.clone(), error)),
        }
    }
    let create = |(network, block): &(String, IpNet)| {
        let record =
            Record::Block { network: network.clone(), block: *block, node: node.to_owned() };
        Operation::Create { key: record.key(), value: record.value(), lease: None }
    };
    let blocks: Vec<_> = blocks.iter().map(create).collect();
    for operations in blocks.chunks(registry.operations_max()) {
        match registry.transact(operations).await {
            Err(RegistryError::Conflict { .. }) => one_by_one(registry, operations).await?,
            result => drop(result?),
        }
    }
    Ok(restored)
}

async fn one_by_one(
    registry: &dyn Registry,
    operations: &[Operation],
) -> Result<(), RegistryError> {
    for operation in operations {
        match registry.transact(std::slice::from_ref(operation)).await {
            Err(RegistryError::Conflict { .. }) => {}
            result => drop(result?),
        }
    }
    Ok(())
}

/// Deletes a node's blocks, as far as they still are its own.
pub(crate) async fn drop_blocks(
    registry: &dyn Registry,
    blocks: &[(String, IpNet)],
    node: &str,
) -> Result<(), RegistryError> {
    for (network, block) in blocks {
        let record =
            Record::Block { network: network.clone(), block: *block, node: node.to_owned() };
        let entry = registry.get(&record.key()).await?;
        let Some(entry) = entry.filter(|entry| Record::decode(entry).as_ref() == Ok(&record))
        else {
            continue;
        };
        match registry.delete(&entry.key, entry.revision).await {
            Ok(_) | Err(RegistryError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
