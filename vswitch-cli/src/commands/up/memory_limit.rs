//! The reason of a daemon's death by SIGKILL, when it is the kernel that ends a process of a control group whose limit
//! of memory is reached (`MemoryMax=` of systemd, `--memory` of a container).

use std::fs;
use std::path::{Path, PathBuf};

/// Where control groups are mounted.
const GROUPS: &str = "/sys/fs/cgroup";

/// The limit of this process's control group.
#[derive(Debug)]
pub(super) struct MemoryLimit {
    /// Counts the processes that were ended for it: a line `oom_kill N`.
    events: PathBuf,
    limit: PathBuf,
    /// That number at the start of the daemon.
    before: u64,
}

impl MemoryLimit {
    /// That of the calling process, which its children have, too; none without a limit of memory.
    pub(super) fn own() -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let (events, limit) = files(&groups)?;
        let before = killed(&fs::read_to_string(&events).ok()?)?;
        Some(Self { events, limit, before })
    }

    /// The reason, if the kernel has ended a process since.
    pub(super) fn reason(&self) -> Option<String> {
        let now = killed(&fs::read_to_string(&self.events).ok()?)?;
        let limit = fs::read_to_string(&self.limit).unwrap_or_default();
        (now > self.before).then(|| {
            format!("the memory limit of its control group is reached ({} bytes)", limit.trim())
        })
    }
}

/// The files of events and of the limit: those of the old hierarchy where it has the memory, else of the unified one.
fn files(groups: &str) -> Option<(PathBuf, PathBuf)> {
    let group = |controllers: &str| {
        let mut lines = groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        lines.find(|(names, _)| names.split(',').any(|name| name == controllers)).map(|it| it.1)
    };
    let at =
        |root: &str, group: &str| Path::new(GROUPS).join(root).join(group.trim_start_matches('/'));
    if let Some(group) = group("memory") {
        let folder = at("memory", group);
        return Some((folder.join("memory.oom_control"), folder.join("memory.limit_in_bytes")));
    }
    let folder = at("", group("")?);
    Some((folder.join("memory.events"), folder.join("memory.max")))
}

/// The number of processes that the kernel has ended.
fn killed(events: &str) -> Option<u64> {
    events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_hierarchies_are_known() {
        let (events, limit) = files("0::/system.slice/vswitch.service\n").unwrap();
        assert_eq!(events, Path::new("/sys/fs/cgroup/system.slice/vswitch.service/memory.events"));
        assert_eq!(limit.file_name().unwrap(), "memory.max");
        let (events, _) = files("9:name=systemd:/\n4:cpu,memory:/a/b\n0::/\n").unwrap();
        assert_eq!(events, Path::new("/sys/fs/cgroup/memory/a/b/memory.oom_control"));
        assert_eq!(files(""), None);
        assert_eq!(killed("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), Some(3));
        assert_eq!(killed("low 0\noom 1\noom_kill 1\noom_group_kill 0\n"), Some(1));
        assert_eq!(killed("low 0\n"), None);
    }

    #[test]
    fn a_death_since_the_start_is_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let (events, limit) = (directory.path().join("events"), directory.path().join("limit"));
        fs::write(&limit, "8388608\n").unwrap();
        let group = MemoryLimit { events: events.clone(), limit, before: 3 };
        fs::write(&events, "oom_kill 3\n").unwrap();
        assert_eq!(group.reason(), None);
        fs::write(&events, "oom_kill 4\n").unwrap();
        assert!(group.reason().unwrap().contains("8388608 bytes"));
    }
}
