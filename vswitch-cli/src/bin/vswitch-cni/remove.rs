//! DEL and GC: detach what ADD attached.

use crate::config::Config;
use crate::environment::{Attachment, Read};
use crate::error::{CniError, Code, Outcome};
use crate::ipam::Ipam;
use crate::switch::{Switch, owner};
use crate::version::Version;

/// DEL. What is gone already is no error, and neither is a switch that does not run if the container's
/// namespace is gone: its interface is gone with it, and the switch forgets the attachment when it starts.
/// Else the attachment would come back with the switch, so that DEL has to come again.
pub(crate) fn del(config: &Config, attachment: &Attachment, read: Read<'_>) -> Outcome {
    let detached = detach(config, attachment, read);
    match detached {
        Err(error) if error.code == Code::TryAgainLater && !attachment.has_netns() => {}
        other => other?,
    }
    match Ipam::of(config, read)? {
        Some(ipam) => ipam.call("DEL"),
        None => Ok(()),
    }
}

fn detach(config: &Config, attachment: &Attachment, read: Read<'_>) -> Outcome {
    Ok(Switch::new(config, read)?.detach_all(config, attachment)?)
}

/// GC: detaches what the runtime does not know any more. All that can be, before the first error.
pub(crate) fn gc(config: &Config, read: Read<'_>) -> Outcome {
    config.version.needs(Version::V1_1_0, "GC")?;
    let Some(valid) = &config.valid_attachments else {
        return Err(CniError::invalid("cni.dev/valid-attachments", "is absent, and GC needs it"));
    };
    let switch = Switch::new(config, read)?;
    let is_valid = |id: &str, ifname: &str| {
        valid.iter().any(|(a, b)| (a.as_str(), b.as_str()) == (id, ifname))
    };
    let mut result = Ok(());
    for port in switch.attachments(&config.name)? {
        let Some((id, ifname)) = owner(&port) else { continue };
        if !is_valid(id, ifname) {
            result = result.and(switch.detach(&port).map_err(CniError::from));
        }
    }
    match Ipam::of(config, read)? {
        Some(ipam) => result.and(ipam.call("GC")),
        None => result,
    }
}
