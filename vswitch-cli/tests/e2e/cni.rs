//! The CNI plugin, called as libcni calls it: `docs/cni.md`. Real runtimes call it in `pages`.

mod capabilities;
mod chain;
mod faults;
mod ipam;
mod operations;
mod runtime;
