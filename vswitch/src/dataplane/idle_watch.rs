//! Control's side of the idle policy: samples of processor time while there is traffic. Theory of operation:
//! [`fastpath::idle`].

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use fastpath::SpinControl;
use fastpath::idle::governor::{Governor, Sample};
use fastpath::idle::{CpuSampler, IdlePolicy};
use fastpath::limits::{QUIET_SAMPLES_MAX, SAMPLE_EVERY, SPIN_ROUNDS};
use rustix::thread::{CpuSet, sched_getaffinity};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// Whether idle workers spin, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdleReport {
    /// Spin after traffic; else sleep at once.
    pub spins: bool,
    /// Reason.
    pub reason: String,
}

/// The idle policy of all workers.
pub(super) struct IdleWatch {
    pub(super) shared: Arc<SpinControl>,
    /// Workers wake control by it.
    pub(super) traffic: Arc<Notify>,
    report: Arc<Mutex<IdleReport>>,
    task: Option<JoinHandle<()>>,
}

/// The workers, as far as the policy asks.
pub(super) struct Workers {
    pub(super) number: usize,
    pub(super) are_real_time: bool,
    /// Their processors; empty if the scheduler chooses.
    pub(super) bound_to: Vec<usize>,
}

impl IdleWatch {
    /// Takes samples where the policy depends on them; within a tokio runtime.
    pub(super) fn start(policy: IdlePolicy, workers: Workers) -> Self {
        let (spins, fixed) = match policy {
            IdlePolicy::Adaptive => {
                let refusal = workers.spin_refusal();
                (refusal.is_none(), refusal)
            }
            IdlePolicy::Spin | IdlePolicy::Sleep => {
                (policy == IdlePolicy::Spin, Some(format!("asked for by --idle {policy}")))
            }
        };
        let shared = Arc::new(SpinControl::new(spin_rounds(spins)));
        let traffic = Arc::new(Notify::new());
        let governor = Governor::new(workers.number);
        let is_watched = fixed.is_none();
        let reason = fixed.unwrap_or_else(|| governor.verdict().to_string());
        let report = Arc::new(Mutex::new(IdleReport { spins, reason }));
        let task = is_watched.then(|| {
            let (shared, report) = (Arc::clone(&shared), Arc::clone(&report));
            let open = move || {
                let mut sampler = CpuSampler::new(workers.processors()?)?;
                Ok(move || sampler.sample())
            };
            tokio::spawn(Watch { shared, governor, report, open }.run(Arc::clone(&traffic)))
        });
        Self { shared, traffic, report, task }
    }

    pub(super) fn report(&self) -> IdleReport {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for IdleWatch {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Workers {
    /// Processors that they may run on now.
    fn processors(&self) -> io::Result<Vec<usize>> {
        if !self.bound_to.is_empty() {
            return Ok(self.bound_to.clone());
        }
        let usable = sched_getaffinity(None)?;
        Ok((0..CpuSet::MAX_CPU).filter(|&number| usable.is_set(number)).collect())
    }

    /// Reason that they never spin under the adaptive policy.
    fn spin_refusal(&self) -> Option<String> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let usable = self.processors().map_or(processors, |usable| usable.len());
        if self.are_real_time {
            return Some("a real-time worker that spins would starve the endpoints".to_owned());
        }
        if processors <= self.number {
            let number = self.number;
            return Some(format!(
                "spinning workers ({number}) would leave none of {processors} processors"
            ));
        }
        // The endpoints may have to live on the same quota.
        (self.bound_to.is_empty() && processors < usable)
            .then(|| format!("the CPU quota is that of {processors} of {usable} processors"))
    }
}

/// Empty rounds before a worker sleeps.
const fn spin_rounds(spins: bool) -> u16 {
    if spins { SPIN_ROUNDS } else { 0 }
}

struct Watch<O> {
    shared: Arc<SpinControl>,
    governor: Governor,
    report: Arc<Mutex<IdleReport>>,
    /// Begins to take samples.
    open: O,
}

impl<O, S> Watch<O>
where
    O: FnMut() -> io::Result<S>,
    S: FnMut() -> io::Result<Sample>,
{
    async fn run(mut self, traffic: Arc<Notify>) {
        let mut dormant_since = Instant::now();
        loop {
            traffic.notified().await;
            if let Err(error) = self.watch(dormant_since.elapsed()).await {
                self.sleep_until_quiet(&error).await;
            }
            dormant_since = Instant::now();
        }
    }

    /// Takes samples until there is no traffic.
    async fn watch(&mut self, dormant: Duration) -> io::Result<()> {
        let mut sample = (self.open)()?;
        let spins = self.governor.begin(dormant).spins;
        self.decide(spins);
        let mut quiet_samples = 0;
        let mut times = interval(SAMPLE_EVERY);
        times.set_missed_tick_behavior(MissedTickBehavior::Delay);
        times.tick().await;
        while quiet_samples < QUIET_SAMPLES_MAX || !self.shared.make_dormant() {
            times.tick().await;
            let now = sample()?;
            if self.shared.take_busy() {
                quiet_samples = 0;
                let verdict = self.governor.observe(now);
                self.decide(verdict.spins);
                self.publish(verdict.spins, verdict.to_string());
            } else {
                quiet_samples += 1;
            }
        }
        let verdict = self.governor.verdict();
        self.publish(verdict.spins, format!("{verdict}, at the last traffic"));
        Ok(())
    }

    /// Without samples workers sleep at once. The next traffic is another chance.
    async fn sleep_until_quiet(&mut self, error: &io::Error) {
        tracing::warn!(%error, "workers sleep when idle: processor time is unknown");
        self.decide(false);
        self.publish(false, format!("processor time is unknown: {error}"));
        loop {
            self.shared.take_busy();
            sleep(SAMPLE_EVERY * QUIET_SAMPLES_MAX).await;
            if self.shared.make_dormant() {
                return;
            }
        }
    }

    fn decide(&self, spins: bool) {
        self.shared.set_spin_rounds(spin_rounds(spins));
    }

    fn publish(&self, spins: bool, reason: String) {
        let mut last = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        if last.spins != spins {
            tracing::debug!(spins, reason, "idle policy");
        }
        *last = IdleReport { spins, reason };
    }
}

#[cfg(test)]
mod tests;
