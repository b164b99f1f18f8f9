//! Options of a network: those of `podman network create --opt`, or of a container, `podman run --network blue:rate=..`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use vswitch_api::port_settings::SettingsChange;
use vswitch_api::port_settings::limits::{BitRate, Ceiling, LimitsChange};
use vswitch_api::port_settings::vlan::{VlanError, VlanMode};

use crate::error::PluginError;
use crate::protocol::Network;

/// The options, for the error of an unknown one.
const KNOWN: &str = "mtu, isolate, isolated-ports, cut-through, uplink, reachable-from, network, rate, vlan, socket";

/// Options of a network.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) mtu: Option<u32>,
    /// Its containers do not reach each other.
    pub(crate) isolated_ports: bool,
    /// TCP connections between its containers are cut through.
    pub(crate) cut_through: Option<bool>,
    pub(crate) uplink: Option<String>,
    pub(crate) reachable_from: Vec<String>,
    /// A network that is there already, with which podman's is one.
    pub(crate) network: Option<String>,
    /// Settings of each port.
    pub(crate) settings: SettingsChange,
    /// Socket of the switch.
    pub(crate) socket: Option<PathBuf>,
}

impl Options {
    /// Parses those of a network, then those of a container on it.
    pub(crate) fn parse(maps: &[&Option<BTreeMap<String, String>>]) -> Result<Self, PluginError> {
        let mut options = Self::default();
        for (key, text) in maps.iter().copied().flatten().flatten() {
            options
                .set(key, text)
                .map_err(|reason| PluginError::Refused(format!("option {key}={text}: {reason}")))?;
        }
        Ok(options)
    }

    /// The switch's name of a network of podman.
    pub(crate) fn network_of<'a>(&'a self, network: &'a Network) -> &'a str {
        self.network.as_deref().unwrap_or(&network.name)
    }

    fn set(&mut self, key: &str, text: &str) -> Result<(), String> {
        match key {
            "mtu" | "com.docker.network.driver.mtu" => {
                let mtu = text.parse().map_err(|_| "not a number of bytes, such as 1400")?;
                self.mtu = Some(mtu);
            }
            // As they are always.
            "isolate" if matches!(text, "true" | "strict" | "1") => {}
            "isolate" => {
                return Err(
                    "networks of the switch never reach each other, except for the option \
                            reachable-from=NETWORK"
                        .to_owned(),
                );
            }
            "isolated-ports" => {
                self.isolated_ports = text.parse().map_err(|_| "neither true nor false")?;
            }
            "cut-through" => {
                self.cut_through = Some(text.parse().map_err(|_| "neither true nor false")?);
            }
            "uplink" => self.uplink = Some(text.to_owned()),
            "reachable-from" => {
                self.reachable_from = text.split(',').map(str::to_owned).collect();
            }
            "network" => self.network = Some(text.to_owned()),
            "rate" => {
                let rate = text.parse::<BitRate>().map_err(|error| error.to_string())?;
                let rate = Some(Ceiling::At(rate));
                self.settings.limits =
                    LimitsChange { rate_in: rate, rate_out: rate, ..LimitsChange::default() };
            }
            "vlan" => {
                let domain = text.parse().map_err(|error: VlanError| error.to_string())?;
                self.settings.vlan = Some(VlanMode::Access(domain));
            }
            "socket" => self.socket = Some(PathBuf::from(text)),
            _ => return Err(format!("unknown; there are {KNOWN}")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(key: &str, text: &str) -> Result<Options, String> {
        let map = Some(BTreeMap::from([(key.to_owned(), text.to_owned())]));
        Options::parse(&[&map, &None]).map_err(|error| error.told())
    }

    #[test]
    fn options_are_typed_values() {
        assert_eq!(parse("mtu", "1400").unwrap().mtu, Some(1400));
        assert_eq!(parse("isolate", "strict").unwrap(), Options::default());
        assert_eq!(parse("cut-through", "false").unwrap().cut_through, Some(false));
        assert_eq!(parse("reachable-from", "a,b").unwrap().reachable_from, ["a", "b"]);
        let vlan = parse("vlan", "10").unwrap().settings.vlan.unwrap();
        assert_eq!(vlan.to_string(), "access 10");
    }

    #[test]
    fn a_fault_names_the_option_and_its_value() {
        for (key, text) in [
            ("mtu", "big"),
            ("isolate", "false"),
            ("rate", "fast"),
            ("cut-through", "2"),
            ("vlan", "5000"),
            ("mdu", "1"),
        ] {
            let said = parse(key, text).unwrap_err();
            assert!(said.starts_with(&format!("option {key}={text}: ")), "{said}");
        }
        assert!(parse("mdu", "1").unwrap_err().contains("mtu"), "the known ones are named");
    }

    #[test]
    fn the_containers_options_win() {
        let map = |rate: &str| Some(BTreeMap::from([("rate".to_owned(), rate.to_owned())]));
        let both = Options::parse(&[&map("1M"), &map("2M")]).unwrap();
        assert_eq!(both, Options::parse(&[&map("2M")]).unwrap());
    }
}
