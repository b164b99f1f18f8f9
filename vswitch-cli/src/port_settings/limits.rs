//! Limits of a port.

use clap::{Args, ValueEnum};
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
    #[arg(long, value_name = "SWITCH")]
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

/// Limits with their values.
pub(crate) fn rows(limits: &Limits) -> [(&'static str, String); 7] {
    let guard = if limits.loop_guard { "on" } else { "off" };
    [
        ("rate in", limits.rate_in.to_string()),
        ("rate out", limits.rate_out.to_string()),
        ("storm broadcast", limits.storm_broadcast.to_string()),
        ("storm multicast", limits.storm_multicast.to_string()),
        ("storm unknown", limits.storm_unknown.to_string()),
        ("macs max", limits.macs_max.to_string()),
        ("loop guard", guard.to_owned()),
    ]
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
        let rows: Vec<_> = rows(&limits).into_iter().map(|(_, value)| value).collect();
        let expected = ["200 Mbit/s", "default", "default", "default", "default", "off", "off"];
        assert_eq!(rows, expected);
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
