//! Requests of workers for blocks of SNAT ports, on their way to the task that claims them ([`super::snat_blocks`]).

use std::sync::{Mutex, MutexGuard, PoisonError};

use nat::BlockRequest;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The requests of workers, for the task.
pub(super) type Requests = mpsc::Sender<(usize, BlockRequest)>;

type Running = (Requests, JoinHandle<()>);

/// The task, once there is one.
#[derive(Debug, Default)]
pub(super) struct SnatBlocksTask(Mutex<Option<Running>>);

impl SnatBlocksTask {
    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, requests: Requests, task: JoinHandle<()>) {
        *self.lock() = Some((requests, task));
    }

    pub(super) fn request(&self, worker: usize, request: BlockRequest) {
        if let Some((requests, _)) = &*self.lock() {
            // There is a slot for each request that can be open.
            let _ = requests.try_send((worker, request));
        }
    }

    /// Ends the task, which keeps the host's tables.
    pub(super) async fn end(&self) {
        let task = self.lock().take();
        if let Some((_, task)) = task {
            task.abort();
            let _ = task.await;
        }
    }
}
