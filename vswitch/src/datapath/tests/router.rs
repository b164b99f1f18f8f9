//! The router: whole journeys over ports in memory.

mod errors;
mod fragments;
mod home;
mod out;
mod published;
mod several;
mod storm;
mod waiting;
