//! The calls of `bpf(2)` for a program of a cgroup that stays attached when the switch is killed (`libbpf-rs` has only
//! links, which end with the process), and a file of a process.

pub(crate) mod sockopt;

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libbpf_rs::RingBuffer;
use libbpf_sys::{
    BPF_CGROUP_SOCK_OPS, BPF_F_ALLOW_MULTI, bpf_prog_attach, bpf_prog_bind_map, bpf_prog_detach2,
    bpf_prog_query, bpf_prog_test_run_opts, bpf_test_run_opts,
};
use memmap2::Mmap;

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

/// Binds a map to the life of a program, by which a later process finds it.
pub(crate) fn bind(program: BorrowedFd<'_>, map: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes two descriptors, which are open; without options.
    result(unsafe { bpf_prog_bind_map(program.as_raw_fd(), map.as_raw_fd(), std::ptr::null()) })
}

/// Detaches it.
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

/// Runs a program of the type `syscall` with these bytes.
pub(crate) fn run(program: BorrowedFd<'_>, context: &mut [u8]) -> io::Result<()> {
    let mut options = bpf_test_run_opts {
        sz: size_of::<bpf_test_run_opts>() as libbpf_sys::size_t,
        ctx_in: context.as_mut_ptr().cast(),
        ctx_size_in: context.len() as u32,
        ..Default::default()
    };
    // SAFETY: the kernel reads and writes `ctx_size_in` bytes, which `context` has, and fields of `options`.
    result(unsafe { bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut options) })
}

/// Runs a program of the type `tc` with an empty frame.
pub(crate) fn run_with_frame(program: BorrowedFd<'_>) -> io::Result<()> {
    let frame = [0_u8; 14];
    let mut options = bpf_test_run_opts {
        sz: size_of::<bpf_test_run_opts>() as libbpf_sys::size_t,
        data_in: frame.as_ptr().cast(),
        data_size_in: frame.len() as u32,
        ..Default::default()
    };
    // SAFETY: the kernel reads `data_size_in` bytes, which `frame` has, and writes fields of `options`.
    result(unsafe { bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut options) })
}

/// Ready to read when the ring has something.
pub(crate) fn ready<'r>(ring: &'r RingBuffer<'_>) -> BorrowedFd<'r> {
    // SAFETY: the ring has the descriptor until it is dropped, and is borrowed for as long.
    unsafe { BorrowedFd::borrow_raw(ring.epoll_fd()) }
}

/// All bytes of a file that a process runs.
pub(crate) fn file_bytes(file: &File) -> io::Result<Mmap> {
    // SAFETY: the mapping is private and only read, as bytes, of which any value is right. A file that is made shorter
    // meanwhile would end this process by SIGBUS, as it would end the one that runs it: files that run cannot be
    // written (ETXTBSY), and packages replace libraries by new files.
    unsafe { Mmap::map(file) }
}

/// libbpf gives the negative error number.
fn result(failed: i32) -> io::Result<()> {
    if failed < 0 { Err(io::Error::from_raw_os_error(-failed)) } else { Ok(()) }
}
