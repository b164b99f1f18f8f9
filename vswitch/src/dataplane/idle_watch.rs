//! Control's side of the idle policy: looks at the machine while there is traffic. Theory of operation:
//! [`fastpath::idle`].

use std::sync::{Arc, Mutex, PoisonError};

use fastpath::SpinGate;
use fastpath::idle::governor::{Governor, Verdict};
use fastpath::idle::{IdlePolicy, Machine};
use fastpath::limits::{LOOK_EVERY, QUIET_LOOKS_MAX, SPIN_ROUNDS};
use rustix::thread::{CpuSet, sched_getaffinity};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

/// What workers do when idle, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdleReport {
    /// Spins after traffic; else sleeps at once.
    pub spins: bool,
    /// Reason.
    pub reason: String,
}

/// The idle policy of all workers.
pub(super) struct IdleWatch {
    pub(super) gate: Arc<SpinGate>,
    /// Workers wake control by it.
    pub(super) traffic: Arc<Notify>,
    report: Arc<Mutex<IdleReport>>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl IdleWatch {
    /// Watches the machine where the policy depends on it. `bound_to`: processors of the workers; empty if
    /// the scheduler chooses. `processors`: how many this process may keep busy.
    pub(super) fn start(
        policy: IdlePolicy,
        workers: usize,
        processors: usize,
        bound_to: &[usize],
    ) -> Self {
        let rounds = policy.spin_rounds(workers, processors);
        let (gate, traffic) = (Arc::new(SpinGate::new(rounds)), Arc::new(Notify::new()));
        let fixed = |reason| (IdleReport { spins: gate.spin_rounds() > 0, reason }, None);
        let governor = Governor::new(workers);
        let (report, machine) = match policy {
            IdlePolicy::Spin | IdlePolicy::Sleep => fixed(format!("asked for by --idle {policy}")),
            IdlePolicy::Adaptive if rounds == 0 => fixed(format!(
                "workers ({workers}) that spin would leave none of {processors} processors"
            )),
            IdlePolicy::Adaptive => match machine_of(bound_to) {
                Ok(machine) => (report(governor.verdict()), Some(machine)),
                Err(error) => {
                    gate.set_spin_rounds(0);
                    fixed(unknown_load(&error))
                }
            },
        };
        let report = Arc::new(Mutex::new(report));
        let task = machine.map(|machine| {
            let (gate, report) = (Arc::clone(&gate), Arc::clone(&report));
            let watch = Watch { gate, machine, governor, report };
            tokio::spawn(watch.run(Arc::clone(&traffic)))
        });
        Self { gate, traffic, report, task }
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

struct Watch {
    gate: Arc<SpinGate>,
    machine: Machine,
    governor: Governor,
    report: Arc<Mutex<IdleReport>>,
}

impl Watch {
    async fn run(mut self, traffic: Arc<Notify>) {
        loop {
            traffic.notified().await;
            if let Err(error) = self.watch_until_quiet().await {
                tracing::warn!(%error, "workers sleep when idle: the machine's load is unknown");
                self.gate.set_spin_rounds(0);
                self.publish(IdleReport { spins: false, reason: unknown_load(&error) });
                return;
            }
        }
    }

    async fn watch_until_quiet(&mut self) -> std::io::Result<()> {
        self.governor.begin();
        self.machine.look()?;
        let mut quiet_looks = 0;
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.tick().await;
        while quiet_looks < QUIET_LOOKS_MAX || !self.gate.begin_silence() {
            looks.tick().await;
            let sample = self.machine.look()?;
            if self.gate.take_busy() {
                quiet_looks = 0;
                let verdict = self.governor.look(sample);
                self.gate.set_spin_rounds(if verdict.spins { SPIN_ROUNDS } else { 0 });
                self.publish(report(verdict));
            } else {
                quiet_looks += 1;
            }
        }
        Ok(())
    }

    fn publish(&self, report: IdleReport) {
        let mut last = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        if last.spins != report.spins {
            tracing::debug!(spins = report.spins, reason = report.reason, "idle policy");
        }
        *last = report;
    }
}

fn report(verdict: Verdict) -> IdleReport {
    IdleReport { spins: verdict.spins, reason: verdict.to_string() }
}

fn unknown_load(error: &std::io::Error) -> String {
    format!("the machine's load is unknown: {error}")
}

/// The processors that workers may run on.
fn machine_of(bound_to: &[usize]) -> std::io::Result<Machine> {
    if !bound_to.is_empty() {
        return Machine::new(bound_to.to_vec());
    }
    let usable = sched_getaffinity(None)?;
    Machine::new((0..CpuSet::MAX_CPU).filter(|&number| usable.is_set(number)).collect())
}
