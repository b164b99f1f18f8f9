//! End-to-end tests: the real command, a real daemon, real network namespaces.
//!
//! Each test makes its own namespaces: one plays the host, the others are containers. Nothing of the
//! machine's own network is touched, so tests run side by side. They need root, and fail without it.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "tests wait for a real kernel, by a real clock")]

mod answer;
mod attach;
mod bad_input;
mod bad_up;
mod beside_docker;
mod cli;
mod cni;
mod connect;
mod containers;
mod containers_hostile;
mod containers_podman;
mod death;
mod dhcp;
mod dns;
mod dns_networks;
mod docker;
mod docker_names;
mod egress;
mod fdb;
mod frames;
mod from_docker;
mod further_addresses;
mod guard;
mod harness;
mod host_kept;
mod idle;
mod kept_ports;
mod limits;
mod metrics;
mod multicast;
mod nat_forged;
mod nat_fragments;
mod nat_host;
mod nat_ports;
mod nat_sctp;
mod nat_stun;
mod netavark;
mod network_faults;
mod network_life;
mod network_modes;
mod networks;
mod one_family;
mod output;
mod packaging;
mod pages;
mod programs;
mod published;
mod reachable;
mod readme;
mod restart;
mod run;
mod run_names;
mod run_networks;
mod scale;
mod service;
mod service_tagged;
mod side_by_side;
mod sources;
mod tools;
mod transfer;
mod uplink_faults;
mod uplinks;
mod vlan;
mod workers;
