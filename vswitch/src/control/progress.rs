//! Progress of a start, for those who wait for it: `up --detach` and service managers.

use tokio::sync::watch;

/// How far a start is. Each change of it is progress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Stored attachments that are through, whatever came of them.
    pub done: usize,
    /// All stored attachments.
    pub total: usize,
    /// The interface of a killed switch that the start waits for, if it does.
    pub left_over: Option<String>,
    /// Looks at it so far.
    pub looks: u64,
}

/// The start's end of it.
#[derive(Debug)]
pub(crate) struct Reporter(watch::Sender<Progress>);

impl Reporter {
    pub(crate) fn new() -> (Self, watch::Receiver<Progress>) {
        let (sender, receiver) = watch::channel(Progress::default());
        (Self(sender), receiver)
    }

    pub(super) fn expects(&self, total: usize) {
        self.0.send_modify(|progress| progress.total = total);
    }

    pub(super) fn one_done(&self) {
        self.0.send_modify(|progress| {
            progress.done += 1;
            progress.left_over = None;
        });
    }

    /// Notes a look at an interface that the kernel is to remove; each wait for one has an end.
    pub(super) fn waits_for(&self, interface: &str) {
        self.0.send_modify(|progress| {
            progress.left_over = Some(interface.to_owned());
            progress.looks += 1;
        });
    }
}
