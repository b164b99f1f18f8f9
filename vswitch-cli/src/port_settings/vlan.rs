//! VLANs of a port.

use clap::Args;
use vswitch_api::port_settings::vlan::{Domain, Trunk, VlanMode, VlanSet};

use crate::error::Failure;

/// Access or trunk
#[derive(Debug, Default, Args)]
pub(crate) struct VlanArgs {
    /// Access port of a VLAN, 1 to 4094, or of the network's `untagged` domain [default: untagged]
    #[arg(long, value_name = "VLAN", conflicts_with = "trunk")]
    access: Option<Domain>,
    /// Trunk that carries these VLANs, with tags: ids and ranges, such as 10,20-29
    #[arg(long, value_name = "VLANS")]
    trunk: Option<VlanSet>,
    /// Where the trunk's untagged frames belong: one of its VLANs, or `untagged` [default: dropped]
    #[arg(long, value_name = "VLAN", requires = "trunk")]
    native: Option<Domain>,
}

impl VlanArgs {
    /// The mode that the options ask for; `None` without VLAN options.
    pub(crate) fn mode(self) -> Result<Option<VlanMode>, Failure> {
        match (self.access, self.trunk) {
            (Some(domain), _) => Ok(Some(VlanMode::Access(domain))),
            (None, None) => Ok(None),
            (None, Some(allowed)) => {
                let trunk = Trunk::new(allowed, self.native).map_err(|error| {
                    Failure::usage(error.to_string())
                        .with_hint("add it to --trunk, or choose another --native")
                })?;
                Ok(Some(VlanMode::Trunk(trunk)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(access: Option<&str>, trunk: Option<&str>, native: Option<&str>) -> VlanArgs {
        let domain = |text: &str| text.parse::<Domain>().unwrap();
        VlanArgs {
            access: access.map(domain),
            trunk: trunk.map(|text| text.parse().unwrap()),
            native: native.map(domain),
        }
    }

    #[test]
    fn options_become_a_mode() {
        for (args, text) in [
            (mode(Some("10"), None, None), "access 10"),
            (mode(Some("untagged"), None, None), "access untagged"),
            (mode(None, Some("20,10"), None), "trunk 10,20"),
            (mode(None, Some("10"), Some("untagged")), "trunk 10, native untagged"),
        ] {
            assert_eq!(args.mode().unwrap().unwrap().to_string(), text);
        }
        assert_eq!(mode(None, None, None).mode(), Ok(None));
    }

    #[test]
    fn a_native_vlan_that_is_not_carried_is_a_usage_error() {
        let failure = mode(None, Some("10,20"), Some("30")).mode().unwrap_err();
        assert_eq!(failure.exit(), 2);
        assert!(failure.report().unwrap().contains("native VLAN 30"), "{failure}");
    }
}
