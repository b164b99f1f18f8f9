//! Keys as text and as typed values.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::{Record, VERSION};

/// A key of the registry, as a typed value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A network's name.
    Network(String),
    /// A VNI.
    Vni(u32),
    /// A node's name.
    Node(String),
    /// Address and UDP port of a VTEP.
    Vtep(IpAddr, u16),
    /// Network and block.
    Block(String, IpNet),
    /// Network, block and address.
    Endpoint(String, IpNet, IpAddr),
}

impl Key {
    /// The key that a text is.
    ///
    /// # Errors
    /// The part that is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse(text)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(name) => write!(f, "{VERSION}/networks/{name}"),
            Self::Vni(vni) => write!(f, "{VERSION}/vnis/{vni}"),
            Self::Node(name) => write!(f, "{VERSION}/nodes/{name}"),
            Self::Vtep(address, port) => write!(f, "{VERSION}/vteps/{address}_{port}"),
            Self::Block(network, block) => {
                write!(f, "{VERSION}/blocks/{network}/{}", dashed(*block))
            }
            Self::Endpoint(network, block, address) => {
                write!(f, "{VERSION}/endpoints/{network}/{}/{address}", dashed(*block))
            }
        }
    }
}

impl From<&Record> for Key {
    fn from(record: &Record) -> Self {
        match record {
            Record::Network(network) => Self::Network(network.name.clone()),
            Record::Vni { vni, .. } => Self::Vni(*vni),
            Record::Node(node) => Self::Node(node.name.clone()),
            Record::Vtep { address, port, .. } => Self::Vtep(*address, *port),
            Record::Block { network, block, .. } => Self::Block(network.clone(), *block),
            Record::Endpoint(e) => Self::Endpoint(e.network.clone(), e.block, e.address),
        }
    }
}

/// A subnet as one part of a key: `10.50.0.64-26`.
fn dashed(net: IpNet) -> String {
    format!("{}-{}", net.addr(), net.prefix_len())
}

pub(crate) fn parse(text: &str) -> Result<Key, String> {
    let mut parts = text.split('/');
    match parts.next() {
        Some(VERSION) => {}
        version => {
            let version = version.unwrap_or_default();
            return Err(format!("format version {version:?}; this switch knows {VERSION} only"));
        }
    }
    let parts: Vec<_> = parts.collect();
    match parts[..] {
        ["networks", name] => Ok(Key::Network(name.to_owned())),
        ["vnis", vni] => canonical(vni, "VNI").map(Key::Vni),
        ["nodes", name] => Ok(Key::Node(name.to_owned())),
        ["vteps", vtep] => {
            let (address, port) = vtep.rsplit_once('_').ok_or("a VTEP is ADDRESS_PORT")?;
            Ok(Key::Vtep(canonical(address, "address")?, canonical(port, "port")?))
        }
        ["blocks", network, block] => Ok(Key::Block(network.to_owned(), parse_block(block)?)),
        ["endpoints", network, block, address] => Ok(Key::Endpoint(
            network.to_owned(),
            parse_block(block)?,
            canonical(address, "address")?,
        )),
        _ => Err("no kind of record has such a key".to_owned()),
    }
}

fn parse_block(text: &str) -> Result<IpNet, String> {
    let (address, length) = text.rsplit_once('-').ok_or("a block is ADDRESS-LENGTH")?;
    let net = IpNet::new(canonical(address, "address")?, canonical(length, "prefix length")?);
    net.map_err(|_| format!("{text} is no block of addresses"))
}

/// A value in its one form, so that one thing has one key.
fn canonical<T: FromStr + ToString>(text: &str, what: &str) -> Result<T, String> {
    let value: T = text.parse().map_err(|_| format!("{text:?} is no {what}"))?;
    match value.to_string() {
        form if form == text => Ok(value),
        form => Err(format!("{what} {text} has to be written {form}")),
    }
}
