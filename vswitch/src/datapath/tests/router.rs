//! The router: whole journeys over ports in memory.

mod errors;
mod fragments;
mod neighbour_queue;
mod net;
mod out;
mod peers;
mod published;
mod service;
mod several;
mod storm;
