//! Control groups (cgroups(7)) for CPU time, as real hosts have them: each container, and each service, is
//! in a group of its own, and the scheduler divides CPU time between groups before it does so between
//! threads. A group here is that of an endpoint's loads, of a switch's processes, or of a hog, with the
//! default weight.
//!
//! Version 2 is taken where it has the controller `cpu`, else version 1. A process is in its group from
//! its start: a shell enters the group and then becomes the program, which costs nothing later. Groups are
//! made at first use, have names that begin with `vswb-PID-`, and go away with their guards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use crate::limits::{GROUP_EMPTY_LIMIT, POLL, REAL_TIME_US};

/// Where groups are made, once that is known.
static HIERARCHY: OnceLock<Hierarchy> = OnceLock::new();

/// The file by which version 1 grants real-time scheduling, where the kernel does that by groups.
const REAL_TIME: &str = "cpu.rt_runtime_us";

/// Script of a shell that enters a group and becomes a program. "0" is the process that writes.
const ENTER: &str = r#"echo 0 >"$0" && exec "$@""#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// A mounted hierarchy with the controller `cpu`.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    version: Version,
    root: PathBuf,
}

impl Hierarchy {
    /// The one of this machine, in which a group can be made.
    fn usable() -> Result<Self> {
        let path = "/proc/self/mountinfo";
        let mounts = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
        let has_cpu = |root: &Path| has_word(&root.join("cgroup.controllers"), "cpu");
        let found = Self::find(&mounts, has_cpu).context("no controller cpu is mounted")?;
        if found.version == Version::V2 {
            let control = found.root.join("cgroup.subtree_control");
            if !has_word(&control, "cpu") {
                let shown = control.display();
                fs::write(&control, "+cpu").with_context(|| format!("write +cpu to {shown}"))?;
            }
        }
        let probe = found.root.join(name("probe"));
        fs::create_dir(&probe).with_context(|| format!("make {}", probe.display()))?;
        let has_weight = probe.join(found.weight()).exists();
        fs::remove_dir(&probe).with_context(|| format!("remove {}", probe.display()))?;
        ensure!(has_weight, "groups in {} have no {}", found.root.display(), found.weight());
        Ok(found)
    }

    /// From the mounts of proc_pid_mountinfo(5).
    fn find(mountinfo: &str, has_cpu: impl Fn(&Path) -> bool) -> Option<Self> {
        let mut first = None;
        for line in mountinfo.lines() {
            let Some((mount, source)) = line.split_once(" - ") else { continue };
            let Some(root) = mount.split(' ').nth(4).map(PathBuf::from) else { continue };
            let fields: Vec<&str> = source.split(' ').collect();
            match fields[..] {
                ["cgroup2", ..] if has_cpu(&root) => {
                    return Some(Self { version: Version::V2, root });
                }
                ["cgroup", _, options] if options.split(',').any(|word| word == "cpu") => {
                    first.get_or_insert(Self { version: Version::V1, root });
                }
                _ => {}
            }
        }
        first
    }

    /// The file with the weight of a group.
    fn weight(&self) -> &'static str {
        match self.version {
            Version::V1 => "cpu.shares",
            Version::V2 => "cpu.weight",
        }
    }
}

/// Whether a file, such as `cgroup.controllers`, has a word.
fn has_word(path: &Path, word: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.split_whitespace().any(|found| found == word))
}

/// The beginning of the names of this process's groups.
pub(crate) fn prefix() -> String {
    format!("vswb-{}-", std::process::id())
}

fn name(tag: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{}{}-{tag}", prefix(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// All groups of this process; those that are left go away with it.
#[derive(Debug)]
pub(crate) struct Groups {
    /// For the result file: `v1`, `v2`, or `none` and why.
    pub(crate) about: String,
}

impl Groups {
    /// Finds out where groups can be made. Until then, and where they cannot, there are none.
    pub(crate) fn set_up(wanted: bool) -> Self {
        let usable =
            if wanted { Hierarchy::usable() } else { Err(anyhow::anyhow!("--no-cgroups")) };
        let about = match usable {
            Ok(found) => match HIERARCHY.get_or_init(|| found).version {
                Version::V1 => "v1".to_owned(),
                Version::V2 => "v2".to_owned(),
            },
            Err(error) => format!("none: {error:#}"),
        };
        Self { about }
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        let Some(hierarchy) = HIERARCHY.get() else { return };
        for entry in fs::read_dir(&hierarchy.root).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix()) {
                remove(&entry.path());
            }
        }
    }
}

/// A group; it goes away with its guard, after its processes.
#[derive(Debug)]
pub(crate) struct Group {
    name: String,
    is_service: bool,
}

impl Group {
    /// For loads of a container, or for a hog.
    pub(crate) fn new(tag: &str) -> Self {
        Self { name: name(tag), is_service: false }
    }

    /// For the processes of a switch. Version 1 grants a new group no real-time scheduling where the kernel
    /// has `CONFIG_RT_GROUP_SCHED`: it is given some, in case that the switch asks for it.
    pub(crate) fn service(tag: &str) -> Self {
        Self { name: name(tag), is_service: true }
    }

    /// The same program, to be started in the group. Later arguments are the program's.
    pub(crate) fn enter(&self, command: Command) -> Result<Command> {
        let Some(hierarchy) = HIERARCHY.get() else { return Ok(command) };
        let path = hierarchy.root.join(&self.name);
        if !path.exists() {
            fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
            if self.is_service {
                allow_real_time(&path)?;
            }
        }
        let mut entering = Command::new("sh");
        entering.arg("-c").arg(ENTER).arg(path.join("cgroup.procs"));
        entering.arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => entering.env(key, value),
                None => entering.env_remove(key),
            };
        }
        Ok(entering)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(hierarchy) = HIERARCHY.get() {
            remove(&hierarchy.root.join(&self.name));
        }
    }
}

/// The most that the groups beside it leave.
fn allow_real_time(group: &Path) -> Result<()> {
    let file = group.join(REAL_TIME);
    if !file.exists() || REAL_TIME_US.iter().any(|time| fs::write(&file, time.to_string()).is_ok())
    {
        return Ok(());
    }
    bail!("{} takes none of {REAL_TIME_US:?}", file.display())
}

/// Removes a group as soon as it is empty: its processes were killed, and end a little later. Its real-time
/// scheduling is given back first: the kernel would keep that for some time after the group is gone.
fn remove(group: &Path) {
    let end = Instant::now() + GROUP_EMPTY_LIMIT;
    if group.join(REAL_TIME).exists() {
        let _ = fs::write(group.join(REAL_TIME), "0");
    }
    while let Err(error) = fs::remove_dir(group) {
        match error.kind() {
            std::io::ErrorKind::NotFound => return,
            std::io::ErrorKind::ResourceBusy if Instant::now() < end => std::thread::sleep(POLL),
            _ => return eprintln!("error: remove the group {}: {error}", group.display()),
        }
    }
}

#[cfg(test)]
mod tests;
