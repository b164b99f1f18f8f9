//! The command line as people expect it: lists, names, completion, events, logs, permissions.

mod down;
mod events;
mod lists;
mod names;
mod shells;
mod users;
