//! Other people's processes: what they took of the CPUs while a load ran. Loads take all that they get, so
//! that the machine's idle time says nothing of this; only a sum over processes does.
//!
//! Ours are the harness and its descendants, and those that left it (a container's shim, a server that was
//! just killed): these have a folder or a control group of the harness in their name. Threads of the kernel
//! are nobody's. A process that ended in between is seen by the time that its parent has of its children,
//! except where that parent is an ancestor of the harness, or init: those inherit ours as well.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Instant;

use crate::cgroup;
use crate::usage::USER_HZ;

/// Of the flags of proc_pid_stat(5): a thread of the kernel.
const PF_KTHREAD: u64 = 0x0020_0000;

/// The same: it is ending, or has ended and was not waited for. It has no command line any more, and no
/// control group of version 1.
const PF_EXITING: u64 = 0x4;

/// The beginning of the names of the harness's folders.
const FOLDER: &str = "/vswb-";

/// A process as proc_pid_stat(5) has it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Process {
    parent: u32,
    is_kernel: bool,
    /// In clock ticks since boot: tells it from another of the same number.
    started: u64,
    own_s: f64,
    /// Of its children, also of theirs, that have ended and were waited for.
    children_s: f64,
}

impl Process {
    /// None of one that is ending.
    fn parse(stat: &str) -> Option<Self> {
        // A name may have spaces and parentheses in it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |n: usize| fields.get(n)?.parse::<u64>().ok();
        let seconds = |from: usize| Some((number(from)? + number(from + 1)?) as f64 / USER_HZ);
        let flags = number(6).filter(|flags| flags & PF_EXITING == 0)?;
        Some(Self {
            parent: number(1)? as u32,
            is_kernel: flags & PF_KTHREAD != 0,
            started: number(19)?,
            own_s: seconds(11)?,
            children_s: seconds(13)?,
        })
    }

    fn all_s(&self) -> f64 {
        self.own_s + self.children_s
    }
}

/// All processes at a time.
#[derive(Debug)]
pub(crate) struct Processes {
    at: Instant,
    by_pid: BTreeMap<u32, Process>,
}

impl Processes {
    pub(crate) fn now() -> Self {
        let mut by_pid = BTreeMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
            // One that has just ended has no file.
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            by_pid.extend(Process::parse(&stat).map(|process| (pid, process)));
        }
        Self { at: Instant::now(), by_pid }
    }

    /// CPUs that others used between the two looks.
    pub(crate) fn foreign_cpus(&self, later: &Self) -> f64 {
        let wall = (later.at - self.at).as_secs_f64().max(1e-6);
        later.foreign_seconds(self, std::process::id(), is_named_as_ours) / wall
    }

    fn foreign_seconds(&self, before: &Self, own: u32, is_ours: impl Fn(u32) -> bool) -> f64 {
        let ancestors: BTreeSet<u32> = self.chain(own).skip(1).chain([1]).collect();
        let used = |pid: u32, now: &Process| {
            let then = before.same(pid, now);
            if ancestors.contains(&pid) {
                return now.own_s - then.map_or(0.0, |then| then.own_s);
            }
            let inherited: f64 = before.ended_children(pid, self).map(Process::all_s).sum();
            (now.all_s() - then.map_or(0.0, Process::all_s) - inherited).max(0.0)
        };
        let others = self.by_pid.iter().filter(|(_, process)| !process.is_kernel);
        let seconds = others.filter_map(|(pid, process)| {
            let seconds = used(*pid, process);
            let counts = seconds > 0.0 && !self.chain(*pid).any(|pid| pid == own || is_ours(pid));
            counts.then_some(seconds)
        });
        seconds.sum()
    }

    /// The process itself, its parent, and so on; without init, whose descendants all are.
    fn chain(&self, pid: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(Some(pid), |pid| Some(self.by_pid.get(pid)?.parent))
            .take_while(|pid| *pid > 1)
    }

    fn same(&self, pid: u32, process: &Process) -> Option<&Process> {
        self.by_pid.get(&pid).filter(|found| found.started == process.started)
    }

    fn ended_children(&self, parent: u32, later: &Self) -> impl Iterator<Item = &Process> {
        let children = self.by_pid.iter().filter(move |(_, process)| process.parent == parent);
        children.filter(|(pid, child)| later.same(**pid, child).is_none()).map(|(_, child)| child)
    }
}

/// Whether a process that left the harness is ours, by its command line or its control group.
fn is_named_as_ours(pid: u32) -> bool {
    let has = |file: &str, mark: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).contains(mark)
    };
    has("cmdline", FOLDER) || has("cgroup", &cgroup::prefix())
}

#[cfg(test)]
mod tests;
