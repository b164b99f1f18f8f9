//! The calls of `bpf(2)` for a program of a cgroup that stays attached when the switch is killed. `libbpf-rs` has only
//! links, which end with the process.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libbpf_sys::{
    BPF_CGROUP_SOCK_OPS, BPF_F_ALLOW_MULTI, bpf_prog_attach, bpf_prog_detach2, bpf_prog_query,
};

/// Programs of a cgroup that are asked for; the kernel allows 64.
const PROGRAMS_MAX: usize = 64;

/// Attaches a program beside those of others.
pub(crate) fn attach(program: BorrowedFd<'_>, cgroup: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes two descriptors, which are open, and numbers.
    let failed = unsafe {
        bpf_prog_attach(
            program.as_raw_fd(),
            cgroup.as_raw_fd(),
            BPF_CGROUP_SOCK_OPS,
            BPF_F_ALLOW_MULTI,
        )
    };
    result(failed)
}

/// Takes it away.
pub(crate) fn detach(program: BorrowedFd<'_>, cgroup: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes two descriptors, which are open, and a number.
    result(unsafe {
        bpf_prog_detach2(program.as_raw_fd(), cgroup.as_raw_fd(), BPF_CGROUP_SOCK_OPS)
    })
}

/// The ids of a cgroup's own programs of this type.
pub(crate) fn attached(cgroup: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut ids = vec![0_u32; PROGRAMS_MAX];
    let (mut flags, mut count) = (0_u32, PROGRAMS_MAX as u32);
    // SAFETY: the kernel writes at most `count` ids, for which `ids` has room, and the two numbers.
    let failed = unsafe {
        bpf_prog_query(
            cgroup.as_raw_fd(),
            BPF_CGROUP_SOCK_OPS,
            0,
            &raw mut flags,
            ids.as_mut_ptr(),
            &raw mut count,
        )
    };
    result(failed)?;
    ids.truncate(count as usize);
    Ok(ids)
}

/// libbpf gives the negative error number.
fn result(failed: i32) -> io::Result<()> {
    if failed < 0 { Err(io::Error::from_raw_os_error(-failed)) } else { Ok(()) }
}
