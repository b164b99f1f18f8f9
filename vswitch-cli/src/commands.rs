//! One file a command: arguments, examples, execution, output.

pub(crate) mod attach;
pub(crate) mod completions;
pub(crate) mod conntrack;
pub(crate) mod cut_through;
pub(crate) mod detach;
pub(crate) mod dns;
pub(crate) mod doctor;
pub(crate) mod down;
pub(crate) mod events;
pub(crate) mod fdb;
pub(crate) mod inspect;
pub(crate) mod logs;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod network;
pub(crate) mod peers;
pub(crate) mod port;
pub(crate) mod prune;
pub(crate) mod publish;
pub(crate) mod registry;
pub(crate) mod rename;
pub(crate) mod run;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod unpublish;
pub(crate) mod up;
