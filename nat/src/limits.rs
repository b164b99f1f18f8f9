//! Every limit of the crate.
