//! What the figures depend on: machine, kernel, versions, commit; and congestion control.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::contender::version;
use crate::limits::NEIGHBOURS_MAX;
use crate::usage::field_kib;

const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// Beyond the first the kernel refuses neighbours, beyond the second it begins to forget them: arp(7).
const NEIGHBOUR_LIMITS: [&str; 2] =
    ["/proc/sys/net/ipv4/neigh/default/gc_thresh3", "/proc/sys/net/ipv4/neigh/default/gc_thresh2"];

/// Machine and versions, for the result file.
pub(crate) fn describe() -> Map<String, Value> {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned());
    let cpuinfo = read("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    let memory_kib = field_kib(&read("/proc/meminfo").unwrap_or_default(), "MemTotal");
    let load = read("/proc/loadavg").unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let mut machine = Map::new();
    let mut add = |key: &str, value: Value| machine.insert(key.to_owned(), value);
    add("cpu", model.map_or("unknown", |(_, name)| name).into());
    add("cpus", cpus.into());
    add("governor", governor.unwrap_or_else(|_| "none".into()).into());
    add("memory_mib", (memory_kib / 1024).into());
    add("kernel", kernel.into());
    add("load_before", load.split(' ').next().and_then(|n| n.parse::<f64>().ok()).into());
    add("commit", commit().into());
    add("date", version("date -u +%Y-%m-%dT%H:%M:%SZ").into());
    add("command", std::env::args().collect::<Vec<_>>().join(" ").into());
    add("versions", versions());
    machine
}

/// Of the loads; the contenders say theirs themselves.
fn versions() -> Value {
    json!({
        "rustc": version("rustc --version"),
        "iperf3": version("iperf3 --version"),
        "sockperf": version("sockperf --version"),
        "wrk": version("wrk --version"),
        "nginx": version("nginx -v"),
        "redis": version("redis-server --version"),
        "dnsperf": version("dnsperf -h"),
    })
}

/// Of the tree that this program was built from.
fn commit() -> String {
    let tree = env!("CARGO_MANIFEST_DIR");
    let mut command = Command::new("git");
    command.args(["-C", tree, "describe", "--always", "--dirty"]);
    crate::shell::first_line(&mut command)
}

/// A setting of the kernel that is set back when it is dropped.
#[derive(Debug)]
pub(crate) struct Setting {
    path: PathBuf,
    former: String,
}

impl Setting {
    fn set(path: &Path, value: &str) -> Result<Self> {
        let shown = path.display();
        let former = fs::read_to_string(path).with_context(|| format!("read {shown}"))?;
        fs::write(path, value).with_context(|| format!("set {shown} to {value}"))?;
        Ok(Self { path: path.to_owned(), former: former.trim().to_owned() })
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.path, &self.former) {
            eprintln!("error: set {} back to {}: {error}", self.path.display(), self.former);
        }
    }
}

/// The congestion control that new namespaces inherit.
pub(crate) fn congestion_control(name: &str) -> Result<Setting> {
    Setting::set(Path::new(CONGESTION_CONTROL), name).with_context(|| {
        format!("set TCP congestion control {name}: is its module there (modprobe tcp_{name})?")
    })
}

/// Room for many IPv4 neighbours. The table is one for all namespaces, and by default too small for
/// the two entries that each of a thousand containers costs when it talks to its gateway. A harness
/// that is itself in a namespace does not see these settings and leaves them.
pub(crate) fn many_neighbours() -> Result<Vec<Setting>> {
    let paths = NEIGHBOUR_LIMITS.map(Path::new).into_iter().filter(|path| path.exists());
    paths.map(|path| Setting::set(path, &NEIGHBOURS_MAX.to_string())).collect()
}

#[cfg(test)]
mod tests;
