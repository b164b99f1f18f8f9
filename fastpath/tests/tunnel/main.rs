//! Ports of datagrams against the kernel.

mod loopback;
mod rig;
mod speed;
mod underlay;
