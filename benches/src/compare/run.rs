//! The run: turns that alternate between the contenders.
//!
//! A turn starts a contender, plugs ports in, checks that an echo passes, and runs its workloads. What
//! fails is put on record with its reason, and the run goes on: a workload that failed is missing in
//! that round, a contender that could not even start the first time is left out from then on. An
//! interrupt ends the run; the guards of the turn take everything away.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::cli::Measure;
use crate::contender::{Contender, Endpoint, Outside};
use crate::limits::TURN_REPEATS;
use crate::metric::Figures;
use crate::plan::{self, Step};
use crate::progress::Progress;
use crate::result::Outcome;
use crate::shell;
use crate::turns::{Glance, TurnRecord};
use crate::usage::settled_kernel_kib;
use crate::workload::{Times, Turn, Workload, distance, resident};

/// All who take part, and what they reached so far.
pub(crate) struct Run<'a> {
    /// How it is to be run.
    pub(crate) args: &'a Measure,
    /// This program, for its agents.
    pub(crate) program: &'a Path,
    pub(crate) contenders: Vec<Box<dyn Contender>>,
    pub(crate) workloads: Vec<Box<dyn Workload>>,
    pub(crate) outcome: Outcome,
}

impl Run<'_> {
    /// Measures it all.
    pub(crate) fn measure(mut self) -> Result<Outcome> {
        let (steps, seconds) = self.plan();
        let progress = Progress::new(&seconds);
        for (step, seconds) in steps.iter().zip(seconds) {
            let (begin, contender) =
                (Instant::now(), self.contenders[step.contender].name().to_owned());
            progress.begin(step, &contender, self.args.rounds());
            if self.outcome.contenders[step.contender].cannot_run.is_none() {
                self.step(step, &progress);
            }
            self.contenders[step.contender].stop();
            shell::heed()?;
            progress.done(seconds, begin.elapsed().as_secs_f64());
        }
        self.contenders.iter_mut().for_each(|contender| contender.finish());
        Ok(self.outcome)
    }

    /// Steps, and what each is expected to take. What is not going to run is put on record.
    fn plan(&mut self) -> (Vec<Step>, Vec<f64>) {
        let Self { args, contenders, workloads, outcome, .. } = self;
        let mut steps = plan::steps(contenders.len(), workloads, args.rounds());
        steps.retain_mut(|step| {
            let contender = contenders[step.contender].as_ref();
            if args.contenders.is_empty() && step.round > contender.rounds_max() {
                return false;
            }
            step.workloads.retain(|number| {
                let workload = workloads[*number].as_ref();
                let Some(reason) = plan::refusal(contender, workload, args.quick) else {
                    return true;
                };
                if step.round == 1 {
                    outcome.fail(contender.name(), workload.key(), step.round, reason);
                }
                false
            });
            !step.workloads.is_empty()
        });
        let times = Times { load: args.seconds, idle: args.idle_seconds() };
        let seconds = |step: &Step| {
            let contender = contenders[step.contender].as_ref();
            plan::step_seconds(step, contender, workloads, times)
        };
        let seconds = steps.iter().map(seconds).collect();
        (steps, seconds)
    }

    fn step(&mut self, step: &Step, progress: &Progress) {
        let distance_ns = distance::measure().ok();
        let contender = self.contenders[step.contender].as_mut();
        let up = match bring_up(contender, step) {
            Ok(up) => up,
            Err(error) if shell::is_interrupted() => return drop(error),
            Err(error) => return self.did_not_start(step, &error),
        };
        let described = describe(contender, &up, &self.args.congestion_control);
        let entry = &mut self.outcome.contenders[step.contender];
        match described {
            Ok(about) => entry.about = about,
            Err(error) => return self.did_not_start(step, &error),
        }
        let turn = Turn {
            contender: self.contenders[step.contender].as_ref(),
            endpoints: &up.endpoints,
            outside: up.outside.as_ref(),
            published_at: None,
            hogs: &[],
            seconds: self.args.seconds,
            idle_seconds: self.args.idle_seconds(),
            program: self.program,
            attach_ms: &up.attach_ms,
            memory_before_kib: up.memory_before_kib,
        };
        for number in &step.workloads {
            let workload = self.workloads[*number].as_ref();
            progress.workload(workload.key());
            let (result, records) = in_quiet(workload, &turn, step.round, distance_ns);
            self.outcome.contenders[step.contender].turns.extend(records);
            match result {
                Ok(figures) => self.outcome.add(step.contender, figures),
                Err(_) if shell::is_interrupted() => return,
                Err(error) => {
                    let (name, reason) = (turn.contender.name(), format!("{error:#}"));
                    self.outcome.fail(name, workload.key(), step.round, reason);
                }
            }
        }
    }

    /// Once it has run it is believed to be able to.
    fn did_not_start(&mut self, step: &Step, error: &anyhow::Error) {
        let entry = &mut self.outcome.contenders[step.contender];
        let reason = format!("{error:#}");
        if entry.values.is_empty() {
            entry.cannot_run = Some(reason);
        } else {
            let name = entry.name.clone();
            self.outcome.fail(&name, "start", step.round, reason);
        }
    }
}

/// Runs a workload, and again while other processes disturb it, a few times at most. What is measured once
/// takes long, and is not repeated.
fn in_quiet(
    workload: &dyn Workload,
    turn: &Turn<'_>,
    round: usize,
    distance_ns: Option<f64>,
) -> (Result<Figures>, Vec<TurnRecord>) {
    let repeats = if workload.needs().once { 0 } else { TURN_REPEATS };
    let mut records: Vec<TurnRecord> = Vec::new();
    loop {
        let before = Glance::now();
        let result = workload.run(turn);
        let mut record = before.record(round, workload.key(), distance_ns);
        let is_over = records.len() == repeats || shell::is_interrupted();
        record.is_repeated = record.is_disturbed() && !is_over;
        let is_done = !record.is_repeated;
        records.push(record);
        if is_done {
            return (result, records);
        }
    }
}

/// A contender with its ports.
struct Up {
    endpoints: Vec<Endpoint>,
    outside: Option<Outside>,
    attach_ms: Vec<f64>,
    memory_before_kib: Option<(u64, u64)>,
}

fn bring_up(contender: &mut dyn Contender, step: &Step) -> Result<Up> {
    let ports = step.ports;
    contender.start().with_context(|| format!("start {}", contender.name()))?;
    let outside = step.is_over_uplink.then(|| contender.go_out()).transpose()?;
    if let Some(link) = step.link {
        contender.span_hosts(link)?;
    }
    if step.names > 0 {
        contender.resolve_names(step.names)?;
    }
    if step.is_apart {
        contender.pair_ports()?;
    }
    contender.prepare(ports)?;
    let memory_before_kib = match ports {
        0..=2 => None,
        _ => Some((settled_kernel_kib()?, resident(&contender.pids())?)),
    };
    let (mut endpoints, mut attach_ms) = (Vec::new(), Vec::new());
    for number in 0..ports {
        let begin = Instant::now();
        let endpoint = contender.port().with_context(|| format!("plug in port {}", number + 1))?;
        let took = endpoint.took.unwrap_or_else(|| begin.elapsed());
        attach_ms.push(took.as_secs_f64() * 1e3);
        endpoints.push(endpoint);
    }
    if let [first, .., last] = &endpoints[..]
        && !step.is_apart
    {
        first.reaches(&last.address)?;
    }
    if let (Some(outside), Some(endpoint)) = (&outside, endpoints.first()) {
        endpoint.reaches(&outside.remote.address).context("over the uplink")?;
    }
    Ok(Up { endpoints, outside, attach_ms, memory_before_kib })
}

/// What the contender says of itself, and whether its containers have the congestion control of all.
fn describe(
    contender: &dyn Contender,
    up: &Up,
    congestion_control: &str,
) -> Result<crate::contender::About> {
    let mut about = contender.describe()?;
    if let Some(endpoint) = up.endpoints.first() {
        let mut cat = endpoint.command("cat");
        let found = shell::run(cat.arg("/proc/sys/net/ipv4/tcp_congestion_control"))?;
        let found = found.trim();
        ensure!(
            found == congestion_control,
            "its containers have congestion control {found} instead of {congestion_control}"
        );
        about.insert("congestion_control".into(), found.into());
    }
    Ok(about)
}
