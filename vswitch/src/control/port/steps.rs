//! Steps of an attach, and the plans of them.

use crate::control::model::ConfiguredBy;

/// A step, in the order of an attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::control) enum Step {
    /// The model reserves name, addresses and slot.
    Reserve,
    /// The namespace is opened, and the interface's name in it reserved.
    Locate,
    /// The document gets the endpoint; the write runs beside the next steps.
    Save,
    /// A TAP is created in the host's namespace.
    CreateTap,
    /// The TAP is moved into the namespace, named, addressed and brought up.
    Configure,
    /// The datapath gets the port's configuration.
    CommitSnapshot,
    /// The workers get the TAP's queues.
    AddPort,
    /// Other nodes learn of it, on a network of the registry.
    Announce,
    /// The host's neighbour table gets its addresses.
    InstallHostNeighbours,
    /// The host opens its published ports.
    OpenHostPorts,
    /// The namespace is checked to be still the requested one.
    Verify,
    /// The write of the document ends.
    AwaitSave,
}

/// All steps of an attach.
pub(super) const ATTACH: [Step; 12] = [
    Step::Reserve,
    Step::Locate,
    Step::Save,
    Step::CreateTap,
    Step::Configure,
    Step::CommitSnapshot,
    Step::AddPort,
    Step::Announce,
    Step::InstallHostNeighbours,
    Step::OpenHostPorts,
    Step::Verify,
    Step::AwaitSave,
];

/// The plan of an attach. A stored endpoint is in the document already.
pub(super) fn attach_plan(is_stored: bool, configured_by: ConfiguredBy) -> Vec<Step> {
    let is_needed = |step: &Step| match step {
        Step::Save | Step::AwaitSave => !is_stored,
        Step::Locate | Step::Configure | Step::Verify => configured_by == ConfiguredBy::Switch,
        _ => true,
    };
    ATTACH.into_iter().filter(is_needed).collect()
}

/// The steps that a detach undoes, in reverse, once the document has lost the endpoint.
pub(in crate::control) const LEAVE: [Step; 6] = [
    Step::Reserve,
    Step::CommitSnapshot,
    Step::AddPort,
    Step::Announce,
    Step::InstallHostNeighbours,
    Step::OpenHostPorts,
];

/// The same, for an endpoint whose interface is gone: the document follows.
pub(in crate::control) const LOST: [Step; 7] = [
    Step::Reserve,
    Step::Save,
    Step::CommitSnapshot,
    Step::AddPort,
    Step::Announce,
    Step::InstallHostNeighbours,
    Step::OpenHostPorts,
];

/// The steps that are undone when the container of an endpoint has ended, in reverse.
pub(in crate::control) const WAIT: [Step; 5] = [
    Step::CommitSnapshot,
    Step::AddPort,
    Step::Announce,
    Step::InstallHostNeighbours,
    Step::OpenHostPorts,
];
