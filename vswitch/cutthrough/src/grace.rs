//! A grace period of RCU: when it ends, programs that ran when it began have ended.
//!
//! The kernel waits for one when a map of maps is changed, so that the caller may rely on it that no program uses the former
//! map (`maybe_wait_bpf_programs` in kernel/bpf/syscall.c).

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType};
use libbpf_sys::bpf_map_create_opts;

use crate::Error;

const KEY: [u8; 4] = 0_u32.to_ne_bytes();

/// A map that is in a map.
#[derive(Debug)]
pub(crate) struct Grace {
    outer: MapHandle,
    inner: MapHandle,
}

impl Grace {
    pub(crate) fn new() -> Result<Self, Error> {
        let create = |kind, opts: &bpf_map_create_opts| {
            MapHandle::create(kind, Some("cut_grace"), 4, 4, 1, opts)
                .map_err(Error::kernel("the map that waits for programs cannot be had"))
        };
        let sz = size_of::<bpf_map_create_opts>() as libbpf_sys::size_t;
        let plain = bpf_map_create_opts { sz, ..Default::default() };
        let inner = create(MapType::Array, &plain)?;
        let inner_map_fd = inner.as_fd().as_raw_fd().unsigned_abs();
        let outer = create(MapType::ArrayOfMaps, &bpf_map_create_opts { inner_map_fd, ..plain })?;
        Ok(Self { outer, inner })
    }

    /// Waits for one: some milliseconds.
    pub(crate) fn wait(&self) {
        let inner = self.inner.as_fd().as_raw_fd().to_ne_bytes();
        // The kernel may be short of memory; programs end within the time of all attempts.
        for _ in 0..20 {
            if self.outer.update(&KEY, &inner, MapFlags::ANY).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
