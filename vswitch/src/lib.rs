//! The switch: a daemon that moves frames between containers, and what it needs of the host.
#![forbid(unsafe_code)]

pub mod config;
pub mod datapath;
pub mod dataplane;
pub mod host;
pub mod isolate;
mod worker;
