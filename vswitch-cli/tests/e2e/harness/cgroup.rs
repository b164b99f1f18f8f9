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

/// Prints the number of keys of a map, by its name, which a program of a cgroup uses; its keys have 8 bytes. bpf(2):
/// `BPF_PROG_QUERY`, `BPF_PROG_GET_FD_BY_ID`, `BPF_OBJ_GET_INFO_BY_FD`, `BPF_MAP_GET_FD_BY_ID`, `BPF_MAP_GET_NEXT_KEY`.
const COUNT_KEYS: &str = "\
import ctypes, errno, os, platform, struct, sys
number = {'x86_64': 321, 'aarch64': 280}[platform.machine()]
libc = ctypes.CDLL(None, use_errno=True)
def bpf(command, attributes):
    attributes = ctypes.create_string_buffer(attributes, 128)
    result = libc.syscall(number, command, attributes, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), f'bpf command {command}')
    return result, attributes
def info(fd, asked=b''):
    buffer = ctypes.create_string_buffer(asked, 256)
    bpf(15, struct.pack('IIQ', fd, 256, ctypes.addressof(buffer)))
    return buffer
cgroup = os.open(sys.argv[1], os.O_RDONLY)
ids = ctypes.create_string_buffer(64 * 4)
count = struct.unpack_from('I', bpf(16, struct.pack('IIIIQII', cgroup, 3, 0, 0, ctypes.addressof(ids), 64, 0))[1], 24)[0]
for program in struct.unpack_from(f'{count}I', ids):
    maps = ctypes.create_string_buffer(64 * 4)
    asked = struct.pack('52xIQ', 64, ctypes.addressof(maps))
    many = struct.unpack_from('I', info(bpf(13, struct.pack('I', program))[0], asked), 52)[0]
    for one in struct.unpack_from(f'{many}I', maps):
        fd = bpf(14, struct.pack('I', one))[0]
        if info(fd)[24:40].rstrip(b'\\0').decode() == sys.argv[2]:
            key, keys = ctypes.create_string_buffer(8), 0
            at = 0
            while True:
                try:
                    bpf(4, struct.pack('IIQQ', fd, 0, at, ctypes.addressof(key)))
                except OSError as error:
                    assert error.errno == errno.ENOENT, error
                    break
                at, keys = ctypes.addressof(key), keys + 1
            print(keys)
            sys.exit()
sys.exit('no such map')
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
        self.number(&[QUERY, self.path()])
    }

    /// Number of entries of a table of cut-through, while its program is attached.
    #[track_caller]
    pub(crate) fn entries(&self, table: &str) -> usize {
        self.number(&[COUNT_KEYS, self.path(), table])
    }

    #[track_caller]
    fn number(&self, script: &[&str]) -> usize {
        let mut command = Command::new("python3");
        command.arg("-c").args(script);
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
