//! How the translator behaves: every way of a packet, and one test for each clause of the RFCs.
#![forbid(unsafe_code)]

mod claimed_blocks;
mod common;
mod double_nat;
mod limits;
mod many_connections;
mod picked_up;
mod port_shortage;
mod reroute;
mod reused_ports;
mod rfc4787;
mod rfc5382;
mod rfc5508;
mod routed;
mod shared_ports;
mod translation;
mod yields_to;
mod zones;
