//! A cgroup of a test, and what the kernel has of cut-through there.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use testkit::{COMMAND_TIMEOUT, run};

/// Prints the number of programs of a cgroup: bpf(2), `BPF_PROG_QUERY` of `BPF_CGROUP_SOCK_OPS`.
const QUERY: &str = "\
import ctypes, os, platform, struct, sys
number = {'x86_64': 321, 'aarch64': 280}[platform.machine()]
cgroup = os.open(sys.argv[1], os.O_RDONLY)
ids = ctypes.create_string_buffer(64 * 4)
attributes = ctypes.create_string_buffer(struct.pack('IIIIQII', cgroup, 3, 0, 0, ctypes.addressof(ids), 64, 0), 128)
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(number, 16, attributes, 128) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
print(struct.unpack_from('I', attributes, 24)[0])
";

/// A cgroup (version 2) of a test.
pub(crate) struct Cgroup(PathBuf);

impl Cgroup {
    #[track_caller]
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
        let mut lines = mounts.lines().map(|line| line.split(' '));
        let root = lines.find_map(|mut line| {
            let (_, path, kind) = (line.next()?, line.next()?, line.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(path))
        });
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("vswt-{}-{count}", std::process::id());
        let path = root.expect("a cgroup2 file system").join(name);
        std::fs::create_dir(&path).expect("a cgroup");
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("a path of UTF-8")
    }

    /// Number of socket programs that are attached to it.
    #[track_caller]
    pub(crate) fn programs(&self) -> usize {
        let mut command = Command::new("python3");
        command.args(["-c", QUERY, self.path()]);
        let count = run(&mut command, b"", COMMAND_TIMEOUT).ok();
        count.trim().parse().expect("a number")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Processes of the test end a moment before.
        for _ in 0..100 {
            match std::fs::remove_dir(&self.0) {
                Ok(()) => return,
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        eprintln!("{} stays", self.0.display());
    }
}
