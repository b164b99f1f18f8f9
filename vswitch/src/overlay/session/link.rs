//! The link to the registry: the listing that the watch goes on from, and the node's registration.
//!
//! | Registration | Meaning | Then |
//! |---|---|---|
//! | starting | no answer yet | commands wait |
//! | registering | the lease was lost, or the record | the next request registers |
//! | registered | the lease lives, as far as is known | registering, when it ends |
//! | refused | another node has the name or the VTEP | tried again after each pause: the other may go |
//! | file | a `file://` registry describes the node | refused, when it no longer does |

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use vswitch_registry::record::{Node, VERSION};
use vswitch_registry::{LeaseState, Listing, RegistrationError, RegistryError};

use super::super::command::Reply;
use super::super::error::NodeError;
use super::super::limits::{LATER_FORMAT, RETRY_PAUSE, WRITE_WAIT};
use super::super::request::{Granted, Request};
use super::Session;

#[derive(Debug)]
enum Registered {
    Starting,
    Again,
    Yes(Granted, LeaseState),
    Refused(NodeError),
    /// A file describes the node.
    File,
}

/// Pauses before another try; they differ between nodes, so that not all come at once.
#[derive(Debug)]
pub(crate) struct Retry {
    pause: Duration,
    salt: u32,
    pub(crate) at: Duration,
}

impl Retry {
    fn new(node: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        node.hash(&mut hasher);
        Self { pause: RETRY_PAUSE.0, salt: (hasher.finish() % 256) as u32, at: Duration::ZERO }
    }

    pub(crate) fn failed(&mut self, now: Duration) {
        self.at = now + self.pause + self.pause * self.salt / 512;
        self.pause = (self.pause * 2).min(RETRY_PAUSE.1);
    }

    pub(crate) fn succeeded(&mut self) {
        self.pause = RETRY_PAUSE.0;
        self.at = Duration::ZERO;
    }
}

/// The link's state.
#[derive(Debug)]
pub(crate) struct Link {
    /// Whether a listing was tried.
    is_listed: bool,
    /// Whether the watch goes on.
    is_following: bool,
    /// Whether a listing is asked for, or there is one.
    is_listing: bool,
    list_retry: Retry,
    registered: Registered,
    /// Pauses of requests that write.
    pub(crate) retry: Retry,
    /// Why the last request that writes failed.
    problem: Option<NodeError>,
    /// Why the watch is interrupted.
    interruption: Option<NodeError>,
    endpoint: Option<String>,
    waiting: Vec<Reply<()>>,
}

impl Link {
    pub(crate) fn new(node: &str) -> Self {
        Self {
            is_listed: false,
            is_following: false,
            is_listing: false,
            list_retry: Retry::new(node),
            registered: Registered::Starting,
            retry: Retry::new(node),
            problem: None,
            interruption: None,
            endpoint: None,
            waiting: Vec::new(),
        }
    }

    pub(crate) fn is_listed(&self) -> bool {
        self.is_listed
    }

    pub(crate) fn is_following(&self) -> bool {
        self.is_following
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.is_following && self.problem.is_none()
    }

    /// Why writes cannot be made now; none: they can, or it is not known yet.
    pub(crate) fn away(&self) -> Option<&NodeError> {
        match &self.registered {
            Registered::Refused(error) => Some(error),
            _ => self.problem.as_ref(),
        }
    }

    /// Why the node is not registered for good.
    pub(crate) fn refusal(&self) -> Option<&NodeError> {
        match &self.registered {
            Registered::Refused(error) => Some(error),
            _ => None,
        }
    }

    pub(crate) fn problem(&self) -> Option<String> {
        self.away().or(self.interruption.as_ref()).map(ToString::to_string)
    }

    pub(crate) fn set_problem(&mut self, problem: Option<NodeError>) {
        self.problem = problem;
    }

    pub(crate) fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    pub(crate) fn set_endpoint(&mut self, endpoint: String) {
        self.endpoint = Some(endpoint);
    }

    pub(crate) fn is_registered(&self) -> bool {
        matches!(self.registered, Registered::Yes(..))
    }

    pub(crate) fn is_lease_active(&self) -> bool {
        matches!(self.registered, Registered::Yes(_, LeaseState::Active))
    }

    pub(crate) fn granted(&self) -> Option<(&Granted, LeaseState)> {
        match &self.registered {
            Registered::Yes(granted, state) => Some((granted, *state)),
            _ => None,
        }
    }

    /// Notes the lease's state; whether it has ended.
    pub(crate) fn set_lease(&mut self, now: LeaseState) -> bool {
        let Registered::Yes(_, state) = &mut self.registered else { return false };
        *state = now;
        if now == LeaseState::Ended {
            self.registered = Registered::Again;
        }
        now == LeaseState::Ended
    }

    pub(crate) fn register_again(&mut self) {
        self.registered = Registered::Again;
    }

    /// Answers as soon as it is known whether the node is registered.
    pub(crate) fn wait_registered(&mut self, reply: Reply<()>) {
        match (&self.registered, &self.problem) {
            (Registered::Yes(..) | Registered::File, _) => reply.send(Ok(())),
            (Registered::Refused(error), _) | (_, Some(error)) => reply.send(Err(error.clone())),
            _ => self.waiting.push(reply),
        }
    }

    /// Answers when the next registration has succeeded or failed.
    pub(crate) fn wait_next_registration(&mut self, reply: Reply<()>) {
        self.waiting.push(reply);
    }

    fn answer(&mut self, result: &Result<(), NodeError>) {
        for reply in self.waiting.drain(..) {
            reply.send(result.clone());
        }
    }

    /// Whether to list now.
    pub(crate) fn poll_list(&mut self, now: Duration) -> bool {
        let is_due = !self.is_listing && self.list_retry.at <= now;
        self.is_listing |= is_due;
        is_due
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        let retry = (!self.is_listing).then_some(self.list_retry.at);
        let late = (!self.is_listed).then_some(WRITE_WAIT);
        retry.into_iter().chain(late).min()
    }
}

impl Session {
    /// Commands do not wait longer for a listing that gets no answer.
    pub(crate) fn handle_late_listing(&mut self, now: Duration) {
        if !self.link.is_listed && now >= WRITE_WAIT {
            let problem = format!("no answer within {} s", WRITE_WAIT.as_secs());
            let error = RegistryError::Unreachable { registry: self.url.clone(), problem };
            self.link.is_listed = true;
            self.set_away(error.into());
            self.handle_deferred(now);
        }
    }

    fn handle_deferred(&mut self, now: Duration) {
        for command in std::mem::take(&mut self.deferred) {
            self.handle_command(command, now);
        }
    }

    pub(crate) fn handle_listed(&mut self, result: Result<Listing, RegistryError>, now: Duration) {
        self.link.is_listed = true;
        match result {
            Ok(listing) => {
                let knew_something = self.view.counts().0 > 0;
                self.view.handle_relist(now);
                self.view.revision = listing.revision;
                for entry in listing.entries {
                    self.view.handle_put(&entry, now);
                }
                self.link.list_retry.succeeded();
                self.link.is_following = true;
                self.check_file();
                if knew_something {
                    self.begin_grace(now);
                } else {
                    self.ask_status();
                }
                if !self.is_read_only {
                    self.requests.push_back(Request::FindLaterFormat);
                }
            }
            Err(error) => {
                self.link.is_listing = false;
                self.link.list_retry.failed(now);
                self.set_away(error.into());
            }
        }
        self.handle_deferred(now);
    }

    /// Entries of a later format are named; this switch knows nothing of them.
    pub(crate) fn handle_later_format(&mut self, result: Result<usize, RegistryError>) {
        if let Ok(entries @ 1..) = result {
            let problem = format!(
                "{entries} entries of a later format; this switch knows {VERSION} only, so upgrade it"
            );
            self.view.add_fault(LATER_FORMAT, problem);
        }
    }

    pub(crate) fn handle_interrupted(&mut self, error: &RegistryError) {
        self.link.is_following = false;
        self.link.interruption = Some(error.clone().into());
        self.set_away(error.clone().into());
    }

    pub(crate) fn handle_restored(&mut self, now: Duration) {
        self.link.is_following = true;
        self.link.interruption = None;
        self.link.problem = None;
        self.link.retry.succeeded();
        self.begin_grace(now);
    }

    /// The registry is away: nobody waits for it.
    pub(crate) fn set_away(&mut self, error: NodeError) {
        self.link.answer(&Err(error.clone()));
        self.link.problem = Some(error);
        self.answer_without_registry(None);
    }

    pub(crate) fn handle_registered(
        &mut self,
        result: Result<Granted, RegistrationError>,
        now: Duration,
    ) {
        self.lane.end();
        match result {
            Ok(granted) => {
                self.link.registered = Registered::Yes(granted, LeaseState::Active);
                self.link.problem = None;
                self.link.retry.succeeded();
                self.link.answer(&Ok(()));
                // Under the new lease.
                self.local.lose();
            }
            Err(RegistrationError::Registry(error)) => {
                self.link.retry.failed(now);
                self.set_away(error.into());
            }
            Err(error) => {
                if self.link.refusal().is_none() {
                    tracing::error!(node = self.node.name, %error, "not registered");
                }
                self.link.retry.failed(now);
                self.link.problem = None;
                self.set_refused(error.into());
            }
        }
    }

    /// Whether a file describes this node.
    pub(crate) fn check_own_node(&mut self) {
        let Node { name, address, port } = self.node.clone();
        let is_right = self.view.node(&name).is_some_and(|node| **node == self.node);
        let url = self.url.clone();
        let error = NodeError::NodeNotInFile { registry: url, node: name, address, port };
        match is_right {
            true => {
                self.link.registered = Registered::File;
                self.link.answer(&Ok(()));
            }
            false => self.set_refused(error),
        }
    }

    fn set_refused(&mut self, error: NodeError) {
        self.link.answer(&Err(error.clone()));
        self.link.registered = Registered::Refused(error);
        self.answer_without_registry(None);
    }

    pub(crate) fn change_vtep(&mut self, address: IpAddr, port: u16, reply: Reply<()>) {
        if self.is_read_only {
            self.node.address = address;
            self.node.port = port;
            self.check_own_node();
            return reply.send(Ok(()));
        }
        let new = Node { name: self.node.name.clone(), address, port };
        self.lane.change_vtep(new, reply);
    }
}
