//! What outlives a killed daemon: its shims, its containers, and their control groups.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::POLL;

/// How long killed processes may take to go.
const GONE_MAX: Duration = Duration::from_secs(5);

const CGROUPS: &str = "/sys/fs/cgroup";

/// Kills the processes of a daemon that has this folder, and removes the control groups of its containers.
pub(super) fn remove(dir: &Path) {
    let containers: Vec<_> = names(&dir.join("data/containers")).collect();
    let start = Instant::now();
    loop {
        let pids: Vec<_> = names("/proc".as_ref())
            .filter_map(|name| name.parse().ok())
            .filter(|pid| belongs(*pid, dir, &containers))
            .collect();
        if pids.is_empty() || start.elapsed() > GONE_MAX {
            break;
        }
        for pid in pids {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(POLL);
    }
    let hierarchies = names(CGROUPS.as_ref()).map(|name| Path::new(CGROUPS).join(name));
    for hierarchy in hierarchies.chain([PathBuf::from(CGROUPS)]) {
        for container in &containers {
            let _ = fs::remove_dir(hierarchy.join("docker").join(container));
        }
    }
}

/// The shims name the folder in their command line; a container's control group has its id.
fn belongs(pid: i32, dir: &Path, containers: &[String]) -> bool {
    let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let (command, cgroup) = (read("cmdline"), read("cgroup"));
    let command = String::from_utf8_lossy(&command);
    let cgroup = String::from_utf8_lossy(&cgroup);
    let dir = dir.display().to_string();
    // A zombie has no command line, and cannot be killed again.
    !command.is_empty()
        && (command.contains(&dir) || containers.iter().any(|id| cgroup.contains(id.as_str())))
}

fn names(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}
