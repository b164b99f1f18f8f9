//! VXLAN on a device, as `dumpcap` takes it and `tshark` reads it.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use testkit::{Netns, Process, READY_MAX, wait_for};

/// How long `tshark` may read.
const READ_MAX: Duration = Duration::from_secs(60);

/// Checksums are verified, and payload is not taken for a protocol that it resembles.
const DISSECT: &[&str] = &[
    "-o",
    "ip.check_checksum:TRUE",
    "-o",
    "udp.check_checksum:TRUE",
    "-o",
    "tcp.check_checksum:TRUE",
    "-d",
    "tcp.port==1-65535,data",
    "-d",
    "udp.port==7000,data",
];

/// A capture that goes on until it is read.
pub(super) struct Capture {
    process: Process,
    dir: tempfile::TempDir,
}

impl Capture {
    /// Returns when it captures.
    #[track_caller]
    pub(super) fn start(netns: &Netns, device: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let file = file(&dir);
        let path = file.to_str().expect("a path of UTF-8");
        let dumpcap = ["dumpcap", "-q", "-P", "-B", "64", "-i", device, "-f", "udp port 4789"];
        let process = netns.spawn(&[&dumpcap[..], &["-w", path]].concat());
        // It writes to the file after it has opened the device.
        wait_for("dumpcap captures", READY_MAX, || {
            std::fs::metadata(&file).is_ok_and(|metadata| metadata.len() > 0)
        });
        Self { process, dir }
    }

    /// Ends it. Returns fields of each frame, each with all its values from the outer header to the inner one.
    #[track_caller]
    pub(super) fn fields<const N: usize>(
        self,
        netns: &Netns,
        names: [&str; N],
    ) -> Vec<[Vec<String>; N]> {
        self.process.signal(Signal::SIGINT);
        let ended = self.process.finish(READY_MAX);
        let is_whole = ended.stderr.contains("/0 (pcap:0/dumpcap:0/");
        assert!(ended.status.success() && is_whole, "{ended}");
        let file = file(&self.dir);
        let mut tshark = vec!["tshark", "-n", "-r", file.to_str().expect("a path of UTF-8")];
        tshark.extend(DISSECT);
        tshark.extend(["-T", "fields", "-E", "separator=;", "-E", "aggregator=,"]);
        tshark.extend(names.iter().flat_map(|name| ["-e", name]));
        let text = netns.exec_within(&tshark, READ_MAX).ok();
        text.lines().map(row).collect()
    }
}

fn file(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("wire.pcap")
}

fn row<const N: usize>(line: &str) -> [Vec<String>; N] {
    let values = |field: &str| {
        field.split(',').filter(|value| !value.is_empty()).map(str::to_owned).collect()
    };
    let fields: Vec<Vec<_>> = line.split(';').map(values).collect();
    fields.try_into().unwrap_or_else(|_| panic!("a row of {N} fields: {line}"))
}
