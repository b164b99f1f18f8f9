//! The task that drives a session: the registry's watch and lease, commands, requests, the consumer, the clock.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use vswitch_registry::{LeaseState, Watch, WatchEvent};

use super::change::OverlayChange;
use super::command::Command;
use super::conf::OverlayConf;
use super::perform::{Done, Performer};
use super::request::Outcome;
use super::session::Session;

pub(crate) struct Task {
    session: Session,
    performer: Performer,
    commands: mpsc::Receiver<Command>,
    consumer: mpsc::Sender<Vec<OverlayChange>>,
    watch: Option<Watch>,
    lease: Option<watch::Receiver<LeaseState>>,
    running: FuturesUnordered<BoxFuture<'static, Done>>,
    began: Instant,
}

/// What the task woke for.
enum Event {
    Command(Option<Command>),
    Watch(Option<WatchEvent>),
    Lease(LeaseState),
    Done(Box<Done>),
    /// The time has come for something, or the consumer has taken changes.
    Time,
    /// The consumer is gone.
    NoConsumer,
}

impl Task {
    pub(crate) fn new(
        conf: OverlayConf,
        commands: mpsc::Receiver<Command>,
        consumer: mpsc::Sender<Vec<OverlayChange>>,
    ) -> Self {
        let performer = Performer {
            registry: conf.registry.clone(),
            node: conf.node.name.clone(),
            ttl: conf.ttl,
            registration: None,
        };
        let operations_max = performer.registry.operations_max();
        Self {
            session: Session::new(conf, operations_max),
            performer,
            commands,
            consumer,
            watch: None,
            lease: None,
            running: FuturesUnordered::new(),
            began: Instant::now(),
        }
    }

    /// Runs until it is closed, or nobody has a handle or takes changes any more.
    pub(crate) async fn run(mut self) {
        loop {
            let now = self.now();
            self.session.handle_timeout(now);
            while let Some(request) = self.session.poll_request(now) {
                self.running.push(Box::pin(self.performer.clone().perform(request)));
            }
            let event = self.next_event(now).await;
            let now = self.now();
            match event {
                Event::Command(None) | Event::NoConsumer => return,
                Event::Command(Some(Command::Close(reply))) => {
                    return reply.send(self.close().await);
                }
                Event::Command(Some(command)) => self.session.handle_command(command, now),
                Event::Watch(Some(event)) => self.session.handle_watch(event, now),
                // The runtime ends.
                Event::Watch(None) => self.watch = None,
                Event::Lease(state) => {
                    if state == LeaseState::Ended {
                        self.lease = None;
                    }
                    self.session.handle_lease(state);
                }
                Event::Done(done) => self.handle_done(*done, now),
                Event::Time => {}
            }
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    async fn next_event(&mut self, now: Duration) -> Event {
        let timeout = self.session.poll_timeout(now);
        let until = self.began + timeout.unwrap_or_default();
        let has_changes = self.session.has_changes();
        tokio::select! {
            command = self.commands.recv() => Event::Command(command),
            event = next_watched(&mut self.watch) => Event::Watch(event),
            state = next_lease(&mut self.lease) => Event::Lease(state),
            Some(done) = self.running.next() => Event::Done(Box::new(done)),
            permit = self.consumer.reserve(), if has_changes => match permit {
                Ok(permit) => {
                    let changes = self.session.changes();
                    if !changes.is_empty() {
                        permit.send(changes);
                    }
                    Event::Time
                }
                Err(_) => Event::NoConsumer,
            },
            () = sleep_until(until), if timeout.is_some() => Event::Time,
        }
    }

    fn handle_done(&mut self, done: Done, now: Duration) {
        if let Some(registration) = done.registration {
            self.lease = Some(registration.lease().states());
            self.performer.registration = Some(registration);
        }
        if let Outcome::Listed(Ok(listing)) = &done.outcome {
            self.watch = Some(self.performer.registry.watch(listing));
        }
        self.session.handle_outcome(done.outcome, now);
    }

    /// Ends the lease, so that others forget this node at once.
    async fn close(&mut self) -> Result<(), super::NodeError> {
        // Requests in flight could write after the end.
        self.running.clear();
        let Some(registration) = self.performer.registration.take() else { return Ok(()) };
        Ok(self.performer.registry.revoke(&registration.lease_id()).await?)
    }
}

async fn next_watched(watch: &mut Option<Watch>) -> Option<WatchEvent> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

/// The next state of the lease; of none, never.
async fn next_lease(lease: &mut Option<watch::Receiver<LeaseState>>) -> LeaseState {
    let Some(states) = lease else { return std::future::pending().await };
    match states.changed().await {
        Ok(()) => *states.borrow_and_update(),
        // The task that keeps the lease alive has ended.
        Err(_) => LeaseState::Ended,
    }
}
