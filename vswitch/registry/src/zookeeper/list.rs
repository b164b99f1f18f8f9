//! Reads: one entry, and all entries below a node, level by level.

use futures_util::future::try_join_all;

use super::jute::Decoder;
use super::requests::{Request, Stat, code, names, stat};
use super::session::Link;
use super::tree::Tree;
use crate::RegistryError;
use crate::limits::READS_IN_FLIGHT;
use crate::types::{Entry, Listing, Revision, Status};

/// A node with its data.
#[derive(Debug)]
struct Node {
    path: String,
    data: Vec<u8>,
    stat: Stat,
}

/// One entry, as new as the leader has it.
pub(crate) async fn get(tree: &Tree, key: &str) -> Result<Option<Entry>, RegistryError> {
    let path = tree.path(key);
    let (_, node) =
        tokio::try_join!(tree.read(Request::sync(&path)), read_node(tree, path.clone()))?;
    Ok(node.1.and_then(|node| entry(tree, node)))
}

/// One entry as the server at hand has it.
pub(crate) async fn peek(tree: &Tree, path: &str) -> Result<Option<Entry>, RegistryError> {
    let (_, node) = read_node(tree, path.to_owned()).await?;
    Ok(node.and_then(|node| entry(tree, node)))
}

pub(crate) async fn list(tree: &Tree, prefix: &str) -> Result<Listing, RegistryError> {
    let root = tree.path(prefix);
    tree.read(Request::sync(&root)).await?;
    let (mut level, mut entries, mut zxid) = (vec![root.clone()], Vec::new(), 0);
    while !level.is_empty() {
        let mut folders = Vec::new();
        for chunk in level.chunks(READS_IN_FLIGHT) {
            let nodes = chunk.iter().map(|path| read_node(tree, path.clone()));
            for (at, node) in try_join_all(nodes).await? {
                zxid = zxid.max(at);
                let Some(node) = node else { continue };
                if node.stat.children > 0 {
                    folders.push(node.path.clone());
                }
                if node.path != root {
                    entries.extend(entry(tree, node));
                }
            }
        }
        level.clear();
        for chunk in folders.chunks(READS_IN_FLIGHT) {
            let children = chunk.iter().map(|path| read_children(tree, path));
            level.extend(try_join_all(children).await?.into_iter().flatten());
        }
    }
    entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(Listing { prefix: prefix.to_owned(), entries, revision: revision(zxid) })
}

async fn read_node(tree: &Tree, path: String) -> Result<(i64, Option<Node>), RegistryError> {
    let answer = tree.read(Request::get_data(&path)).await?;
    match answer.error {
        0 => {}
        code::NO_NODE => return Ok((answer.zxid, None)),
        error => return Err(tree.error(error)),
    }
    let mut decoder = Decoder(&answer.body);
    let data = decoder.buffer().map_err(|error| tree.protocol(error))?.to_vec();
    let stat = stat(&mut decoder).map_err(|error| tree.protocol(error))?;
    Ok((answer.zxid, Some(Node { path, data, stat })))
}

async fn read_children(tree: &Tree, path: &str) -> Result<Vec<String>, RegistryError> {
    let answer = tree.read(Request::get_children(path)).await?;
    match answer.error {
        0 => {}
        code::NO_NODE => return Ok(Vec::new()),
        error => return Err(tree.error(error)),
    }
    let names = names(&answer.body).map_err(|error| tree.protocol(error))?;
    Ok(names.into_iter().map(|name| format!("{path}/{name}")).collect())
}

/// A node without data is a folder.
fn entry(tree: &Tree, node: Node) -> Option<Entry> {
    let key = tree.key(&node.path)?.to_owned();
    let revision = revision(node.stat.mzxid);
    (!node.data.is_empty()).then_some(Entry { key, value: node.data, revision })
}

pub(crate) fn revision(zxid: i64) -> Revision {
    Revision(u64::try_from(zxid).unwrap_or(0))
}

pub(crate) async fn status(tree: &Tree) -> Result<Status, RegistryError> {
    let answer = tree.read(Request::exists(&tree.path(""))).await?;
    match answer.error {
        0 | code::NO_NODE => {}
        error => return Err(tree.error(error)),
    }
    let endpoint = match &*tree.reader().link().borrow() {
        Link::Up { endpoint, .. } => endpoint.clone(),
        Link::Down(_) | Link::Ended(_) => String::new(),
    };
    Ok(Status { endpoint, revision: revision(answer.zxid) })
}
