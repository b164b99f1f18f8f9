//! Frames between workers, and which worker translates them.

use fastpath::{Frame, PortIndex};
use nat::fragment::Verdict as FragmentVerdict;

/// Which worker translates a packet that comes in fragments; or why nobody does.
pub(super) type Assignment = FragmentVerdict<usize>;

/// A frame for another worker.
#[derive(Debug)]
pub(crate) struct HandoffOut {
    /// The worker.
    pub(crate) to: usize,
    /// It translates it.
    pub(crate) is_assigned: bool,
    /// The port that it came in by.
    pub(crate) port: PortIndex,
    pub(crate) frame: Frame,
}

/// A frame from another worker, in a buffer of this one's.
#[derive(Debug)]
pub(crate) struct HandoffIn {
    pub(crate) is_assigned: bool,
    pub(crate) port: PortIndex,
    pub(crate) frame: Frame,
}
