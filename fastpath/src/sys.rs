//! Raw kernel interfaces, which need `unsafe`.

pub(crate) mod batch;
pub(crate) mod message;
pub(crate) mod sched;
pub(crate) mod tap;
pub(crate) mod udp;
pub(crate) mod uring;

/// Prefetches the first cache line of `value`.
#[inline]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of a valid address changes nothing but caches.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast::<i8>());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
