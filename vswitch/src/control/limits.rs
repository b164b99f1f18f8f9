//! Every limit of control, by name.

/// Static entries of the forwarding database that one network may have.
pub(crate) const STATICS_MAX: usize = 4096;

/// Attachments that are replayed at the same time.
pub(crate) const REPLAYS_AT_ONCE: usize = 4;
