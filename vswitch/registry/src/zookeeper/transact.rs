//! Transactions: read what the conditions concern, then one `MULTI` that fails where any of it has changed.
//!
//! A folder's version grows with each creation in it. So the `MULTI` compares the folder's version wherever an entry has
//! to be the one that was read, or absent, and writes the folder wherever it creates an entry.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::sleep;

use super::list::revision;
use super::requests::{Request, Stat, Step, code, failed_step};
use super::session::{Failure, Response, Session};
use super::tree::Tree;
use crate::RegistryError;
use crate::key::check_operations;
use crate::limits::{OPERATIONS_MAX, RACE_TRIES, REQUEST_TIMEOUT};
use crate::types::{LeaseId, Operation, Revision};

/// What one try came to.
enum Outcome {
    Done(Revision),
    /// Something changed between reading and writing.
    Raced,
}

/// An operation with what was read of its key.
struct Planned<'a> {
    operation: &'a Operation,
    path: String,
    folder: String,
    stat: Option<Stat>,
}

impl Planned<'_> {
    /// Whether the entry has to be the one that was read, or absent.
    fn compares(&self) -> bool {
        !matches!(self.operation, Operation::Create { .. })
    }

    /// Whether a swap has to make a new node, since the owner of one cannot change.
    fn changes_owner(&self, owner: i64) -> bool {
        let wanted = if self.operation.lease().is_some() { owner } else { 0 };
        self.stat.is_some_and(|stat| stat.owner != wanted)
    }
}

pub(crate) async fn transact(
    tree: &Tree,
    operations: &[Operation],
) -> Result<Revision, RegistryError> {
    check_operations(operations, OPERATIONS_MAX)?;
    let lease = operations.iter().find_map(Operation::lease);
    let session = match lease {
        Some(lease) => tree.leased(lease)?,
        None => tree.reader(),
    };
    for turn in 0..RACE_TRIES {
        let folders = read_folders(tree, operations).await?;
        let plan = read_entries(tree, operations).await?;
        if let Outcome::Done(revision) = write(tree, &session, lease, &folders, &plan).await? {
            return Ok(revision);
        }
        sleep(pause(turn, session.identity().0)).await;
    }
    Err(tree.unreachable(format!("{RACE_TRIES} tries lost the race against other nodes")))
}

/// A pause that grows with each lost race, and differs between sessions, so that they do not meet again.
fn pause(turn: usize, session: i64) -> Duration {
    let most = 4_u64 << turn.min(6);
    let salt = session.unsigned_abs().wrapping_mul(31).wrapping_add(turn as u64 * 7_919);
    Duration::from_millis(salt % most)
}

/// Versions of all folders that the keys lie in; makes those that lack.
async fn read_folders(
    tree: &Tree,
    operations: &[Operation],
) -> Result<BTreeMap<String, i32>, RegistryError> {
    let paths: BTreeSet<_> = operations.iter().map(|o| folder_of(&tree.path(o.key()))).collect();
    let stats = try_join_all(paths.iter().map(|path| tree.stat(path)));
    // Answers come in the order of requests, so all that is read is as new as the leader's state.
    let sync = tree.path("");
    let (_, stats) = tokio::try_join!(tree.read(Request::sync(&sync)), stats)?;
    let mut folders = BTreeMap::new();
    for (path, stat) in paths.into_iter().zip(stats) {
        let version = match stat {
            Some(stat) if stat.data_bytes > 0 => {
                let key = tree.key(&path).unwrap_or(&path);
                let problem = format!("key {key} is an entry: no key can lie below it");
                return Err(RegistryError::BadRequest(problem));
            }
            Some(stat) => stat.version,
            None => {
                make_folders(tree, &path).await?;
                0
            }
        };
        folders.insert(path, version);
    }
    Ok(folders)
}

async fn make_folders(tree: &Tree, path: &str) -> Result<(), RegistryError> {
    let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
    for end in ends {
        let answer = tree.read(Request::create_folder(&path[..end], tree.access)).await?;
        match answer.error {
            0 | code::NODE_EXISTS => {}
            error => return Err(tree.error(error)),
        }
    }
    Ok(())
}

/// Reads the entries that are compared, and checks the conditions.
async fn read_entries<'a>(
    tree: &Tree,
    operations: &'a [Operation],
) -> Result<Vec<Planned<'a>>, RegistryError> {
    let plan = operations.iter().map(|operation| async move {
        let path = tree.path(operation.key());
        let folder = folder_of(&path);
        let mut planned = Planned { operation, path, folder, stat: None };
        if planned.compares() {
            planned.stat = tree.stat(&planned.path).await?;
            if planned.stat.map(|stat| revision(stat.mzxid)) != operation.condition() {
                return Err(conflict(operation));
            }
        }
        Ok(planned)
    });
    try_join_all(plan).await
}

async fn write(
    tree: &Tree,
    session: &Session,
    lease: Option<&LeaseId>,
    folders: &BTreeMap<String, i32>,
    plan: &[Planned<'_>],
) -> Result<Outcome, RegistryError> {
    let (owner, _) = session.identity();
    let (mut compared, mut created) = (BTreeSet::new(), BTreeSet::new());
    // Steps of operations, each with the operation's index.
    let mut steps = Vec::new();
    for (index, planned) in plan.iter().enumerate() {
        let path = planned.path.as_str();
        let version = planned.stat.map_or(-1, |stat| stat.version);
        if planned.compares() {
            compared.insert(planned.folder.as_str());
        }
        let create = |value, lease: &Option<LeaseId>| Step::Create {
            path,
            data: value,
            is_ephemeral: lease.is_some(),
        };
        match planned.operation {
            Operation::Create { value, lease, .. } => {
                created.insert(planned.folder.as_str());
                steps.push((index, create(value, lease)));
            }
            Operation::Swap { value, lease, .. } if planned.changes_owner(owner) => {
                created.insert(planned.folder.as_str());
                steps.push((index, Step::Delete { path, version }));
                steps.push((index, create(value, lease)));
            }
            Operation::Swap { value, .. } => {
                steps.push((index, Step::SetData { path, data: value, version }));
            }
            Operation::Delete { .. } => steps.push((index, Step::Delete { path, version })),
            Operation::Check { revision: Some(_), .. } => {
                steps.push((index, Step::Check { path, version }));
            }
            // The folder's version tells.
            Operation::Check { revision: None, .. } => {}
        }
    }
    let checks = compared.iter().map(|path| Step::Check { path, version: folders[*path] });
    let checks: Vec<_> = checks.collect();
    let touches = created.iter().map(|path| Step::SetData { path, data: &[], version: -1 });
    let all: Vec<_> =
        checks.iter().copied().chain(steps.iter().map(|(_, step)| *step)).chain(touches).collect();
    let request = Request::multi(&all, tree.access);
    let answer = session.call(request, REQUEST_TIMEOUT).await;
    let answer = answer.map_err(|failure| lost(tree, lease, failure))?;
    let Some((step, error)) = failed(tree, &answer)? else {
        return Ok(Outcome::Done(revision(answer.zxid)));
    };
    let operation = step.checked_sub(checks.len()).and_then(|n| steps.get(n));
    match (error, operation) {
        (code::NODE_EXISTS, Some((index, _))) => Err(conflict(plan[*index].operation)),
        (code::BAD_VERSION | code::NO_NODE | code::NODE_EXISTS, _) => Ok(Outcome::Raced),
        _ => Err(tree.error(error)),
    }
}

/// The step that failed, and its error.
fn failed(tree: &Tree, answer: &Response) -> Result<Option<(usize, i32)>, RegistryError> {
    match answer.error {
        0 => failed_step(&answer.body).map_err(|error| tree.protocol(error)),
        error => Ok(Some((0, error))),
    }
}

fn lost(tree: &Tree, lease: Option<&LeaseId>, failure: Failure) -> RegistryError {
    match (failure, lease) {
        (Failure::Ended(_), Some(lease)) => RegistryError::LeaseEnded { lease: lease.to_string() },
        (Failure::Ended(problem) | Failure::NotSent(problem), _) => tree.unreachable(problem),
        (Failure::Lost(problem), _) => tree.unanswered(problem),
    }
}

fn conflict(operation: &Operation) -> RegistryError {
    RegistryError::Conflict { key: operation.key().to_owned() }
}

fn folder_of(path: &str) -> String {
    path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned()
}
