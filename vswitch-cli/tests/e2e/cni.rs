//! The CNI plugin, called as libcni calls it: `docs/cni.md`. Real runtimes call it in `pages`.

mod capabilities;
mod chain;
mod daemon_set;
mod faults;
mod ipam;
mod operations;
pub(crate) mod runtime;
