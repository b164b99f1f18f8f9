//! Scheduling classes (`sched_setscheduler(2)`, `sched(7)`).

use std::io;

/// Lowest priority of the real-time classes: above every thread of the normal ones, below every other
/// real-time thread.
const PRIORITY: libc::c_int = 1;

/// Puts the calling thread into `SCHED_FIFO`. Threads that it starts do not inherit this.
pub(crate) fn real_time() -> io::Result<()> {
    set(libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, PRIORITY)
}

/// Puts the calling thread into `SCHED_BATCH`.
pub(crate) fn batch() -> io::Result<()> {
    set(libc::SCHED_BATCH, 0)
}

fn set(policy: libc::c_int, priority: libc::c_int) -> io::Result<()> {
    // SAFETY: `sched_param` is plain data for which all zeros are valid.
    let mut param: libc::sched_param = unsafe { std::mem::zeroed() };
    param.sched_priority = priority;
    // SAFETY: 0 is the calling thread, and `param` is read only during the call.
    let result = unsafe { libc::sched_setscheduler(0, policy, &raw const param) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
