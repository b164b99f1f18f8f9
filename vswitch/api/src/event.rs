//! What happens to the switch, as `GET /v1/events` reports it.

use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// Kind of an event.
    EventKind {
        /// A container was attached, or connected to a further network.
        Attach = "attach",
        /// A container was detached or disconnected, or its namespace is gone.
        Detach = "detach",
        /// The container of an attachment has ended; the attachment waits for its next start.
        Wait = "wait",
        /// An attachment has another name.
        Rename = "rename",
        /// A port was published.
        Publish = "publish",
        /// A publication ended.
        Unpublish = "unpublish",
        /// A network was created.
        NetworkCreate = "network-create",
        /// A network was removed.
        NetworkRemove = "network-remove",
        /// An uplink has another state.
        Uplink = "uplink",
        /// A port is blocked: there is a loop behind it.
        Block = "block",
        /// A blocked port is open again.
        Unblock = "unblock",
        /// An attachment is out of order, or in order again.
        Fault = "fault",
    }
}

/// An event: one line of `GET /v1/events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Event {
    /// Milliseconds since 1970.
    pub unix_ms: u64,
    /// Kind of the event.
    pub event: EventKind,
    /// Name of the attachment, the network or the uplink.
    pub name: String,
    /// Network of the attachment; absent for networks themselves and uplinks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Details: addresses, the former name, published ports, a state or a reason.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}
