//! Limits of a port.

use std::fmt::Display;

use clap::{Args, ValueEnum};
use vswitch_api::limits::Limit;
use vswitch_api::port_settings::limits::{
    BitRate, Ceiling, FrameRate, Limits, LimitsChange, MacCount,
};

/// A rate, or none.
type Rate = Ceiling<BitRate>;
/// Frames a second, or none.
type Frames = Ceiling<FrameRate>;
/// A number of MAC addresses, or none.
type Macs = Ceiling<MacCount>;

/// Rates, storms, addresses, loops
#[derive(Debug, Default, Args)]
pub(crate) struct LimitsArgs {
    /// Bits a second from the port, such as 200M or 1.5G, or `off` [default: off]
    #[arg(long, value_name = "RATE")]
    rate_in: Option<Rate>,
    /// Bits a second to the port [default: off]
    #[arg(long, value_name = "RATE")]
    rate_out: Option<Rate>,
    /// Broadcast frames a second from the port, or `off` [default: 1000 from containers]
    #[arg(long, value_name = "FRAMES")]
    storm_broadcast: Option<Frames>,
    /// Multicast frames a second from the port [default: 10000 from containers]
    #[arg(long, value_name = "FRAMES")]
    storm_multicast: Option<Frames>,
    /// Frames a second from the port to unknown addresses [default: 1000 from containers]
    #[arg(long, value_name = "FRAMES")]
    storm_unknown: Option<Frames>,
    /// MAC addresses that are learnt on the port, or `off` [default: 1024 for containers]
    #[arg(long, value_name = "COUNT")]
    macs_max: Option<Macs>,
    /// Block the port while there is a loop behind it [default: on]
    #[arg(long, value_name = "on|off")]
    loop_guard: Option<Switch>,
}

/// On or off
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

impl LimitsArgs {
    /// The change that the options ask for.
    pub(crate) fn change(self) -> LimitsChange {
        LimitsChange {
            rate_in: self.rate_in,
            rate_out: self.rate_out,
            storm_broadcast: self.storm_broadcast,
            storm_multicast: self.storm_multicast,
            storm_unknown: self.storm_unknown,
            macs_max: self.macs_max,
            loop_guard: self.loop_guard.map(|switch| switch == Switch::On),
        }
    }
}

/// The limits that "default" stands for, as the daemon has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Defaults {
    storm_broadcast: Option<u64>,
    storm_multicast: Option<u64>,
    storm_unknown: Option<u64>,
    macs_max: Option<u64>,
}

impl Defaults {
    /// Those of containers.
    pub(crate) fn of_containers(limits: &[Limit]) -> Self {
        let value = |name: &str| limits.iter().find(|it| it.name == name).map(|it| it.value);
        Self {
            storm_broadcast: value("storm-broadcast"),
            storm_multicast: value("storm-multicast"),
            storm_unknown: value("storm-unknown"),
            macs_max: value("port-macs"),
        }
    }

    /// Those of the host's ports: none.
    pub(crate) const fn of_hosts() -> Self {
        Self { storm_broadcast: None, storm_multicast: None, storm_unknown: None, macs_max: None }
    }
}

/// Limits with their values; a default is shown with the value that it stands for.
pub(crate) fn rows(limits: &Limits, defaults: &Defaults) -> [(&'static str, String); 7] {
    let guard = if limits.loop_guard { "on" } else { "off" };
    [
        ("rate in", shown(limits.rate_in, None)),
        ("rate out", shown(limits.rate_out, None)),
        ("storm broadcast", shown(limits.storm_broadcast, defaults.storm_broadcast)),
        ("storm multicast", shown(limits.storm_multicast, defaults.storm_multicast)),
        ("storm unknown", shown(limits.storm_unknown, defaults.storm_unknown)),
        ("macs max", shown(limits.macs_max, defaults.macs_max)),
        ("loop guard", guard.to_owned()),
    ]
}

fn shown<T>(limit: Ceiling<T>, default: Option<u64>) -> String
where
    T: Display + TryFrom<u64>,
{
    match limit {
        Ceiling::Default => match default.and_then(|value| T::try_from(value).ok()) {
            Some(value) => format!("{value} (default)"),
            None => "off (default)".to_owned(),
        },
        said => said.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        limits: LimitsArgs,
    }

    fn change(words: &[&str]) -> Result<LimitsChange, String> {
        let words = std::iter::once(&"port").chain(words);
        Command::try_parse_from(words)
            .map(|command| command.limits.change())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn options_become_a_change() {
        assert_eq!(change(&[]), Ok(LimitsChange::default()));
        let said = change(&["--rate-in", "200M", "--macs-max", "off", "--loop-guard", "off"]);
        let limits = Limits::default().changed(&said.unwrap());
        let shown = |defaults: &Defaults| {
            rows(&limits, defaults).into_iter().map(|(_, value)| value).collect::<Vec<_>>()
        };
        let limit = |name: &str, value| Limit {
            name: name.into(),
            component: vswitch_api::limits::Component::Port,
            value,
            unit: "frames/s".into(),
            on_exceed: String::new(),
            hits: None,
        };
        let known = [limit("storm-broadcast", 1000), limit("storm-unknown", 500)];
        let expected = [
            "200 Mbit/s",
            "off (default)",
            "1000 frames/s (default)",
            "off (default)",
            "500 frames/s (default)",
            "off",
            "off",
        ];
        assert_eq!(shown(&Defaults::of_containers(&known)), expected);
        assert_eq!(shown(&Defaults::of_hosts())[2], "off (default)");
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for (option, value, says) in [
            ("--rate-in", "0", "a rate of 0 bit/s is out of range"),
            ("--rate-out", "1000G", "a rate of 1000 Gbit/s is out of range"),
            ("--storm-broadcast", "0", "0 frames a second is out of range"),
            ("--macs-max", "0", "0 MAC addresses is out of range"),
        ] {
            let error = change(&[option, value]).unwrap_err();
            assert!(error.contains(says) && error.contains(option), "{error}");
        }
    }
}
