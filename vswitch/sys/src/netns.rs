//! The user who owns a network namespace (`ioctl_nsfs(2)`).

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use rustix::ioctl::{Getter, Ioctl, IoctlOutput, Opcode, ioctl, opcode};

/// `NSIO` of `linux/nsfs.h`.
const NSIO: u8 = 0xb7;
const NS_GET_USERNS: Opcode = opcode::none(NSIO, 1);
const NS_GET_OWNER_UID: Opcode = opcode::none(NSIO, 4);

/// Gives a descriptor of the user namespace that owns a namespace.
struct GetUserns;

// SAFETY: the request takes no argument, and its result is a new descriptor.
unsafe impl Ioctl for GetUserns {
    type Output = OwnedFd;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        NS_GET_USERNS
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(fd: IoctlOutput, _: *mut c_void) -> rustix::io::Result<OwnedFd> {
        // SAFETY: the kernel has opened it for this call alone.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// The user who has made the user namespace that a namespace belongs to: root for all of the host's own.
///
/// # Errors
/// It is no namespace, or belongs to a user namespace that this process is not in.
pub fn owner(netns: impl AsFd) -> io::Result<u32> {
    // SAFETY: `GetUserns` describes the request.
    let userns = unsafe { ioctl(netns, GetUserns) }?;
    // SAFETY: the request writes a `uid_t`.
    let uid = unsafe { ioctl(&userns, Getter::<NS_GET_OWNER_UID, u32>::new()) }?;
    Ok(uid)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_namespace_of_the_host_is_roots_and_a_file_is_none() {
        assert_eq!(owner(File::open("/proc/self/ns/net").unwrap()).unwrap(), 0);
        assert!(owner(File::open("/proc/self/stat").unwrap()).is_err());
    }
}
