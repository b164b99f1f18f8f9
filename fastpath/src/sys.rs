//! What needs the kernel's raw interfaces, and therefore `unsafe`.

pub(crate) mod tap;
pub(crate) mod uring;
