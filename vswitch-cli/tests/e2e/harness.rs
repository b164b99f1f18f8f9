//! The switch under test: [`Host`] (a host with its daemon) and [`Container`] (a namespace with an
//! attachment). Namespaces and processes come from `testkit`.

mod cgroup;
mod container;
mod host;

pub(crate) use cgroup::Cgroup;
pub(crate) use container::Container;
pub(crate) use host::{Host, SNAT_PORTS, cni_program, program};
