//! The router: whole journeys over ports in memory.

mod cut_through;
mod doubled;
mod errors;
mod fragments;
mod host_errors;
mod inside;
mod neighbour_queue;
mod net;
mod out;
mod portless;
mod published;
mod reachable;
mod service;
mod several;
mod storm;
