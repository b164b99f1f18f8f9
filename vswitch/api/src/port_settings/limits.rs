//! Limits of a port: rates, storm control, MAC addresses; and loop protection.
//!
//! Each limit is a [`Ceiling`]: the switch's default, none, or a value. By default storm control and MAC
//! limits protect a container's neighbours; rates are not limited.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

#[cfg(test)]
mod tests;

/// Why a limit is refused; each names the value and the range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// Not a number of bits a second.
    #[error("{0} is not a rate: bits a second, such as 200M, 1.5G or 64k")]
    NotARate(String),
    /// Not a number.
    #[error("{0} is not a number, `off` or `default`")]
    NotANumber(String),
    /// Bits a second out of range.
    #[error("a rate of {0} is out of range: {min} to {max}", min = BitRate::MIN, max = BitRate::MAX)]
    BitRate(String),
    /// Frames a second out of range.
    #[error("a rate of {0} frames a second is out of range: 1 to {max}", max = FrameRate::MAX)]
    FrameRate(u64),
    /// MAC addresses out of range.
    #[error("a limit of {0} MAC addresses is out of range: 1 to {max}", max = MacCount::MAX)]
    MacCount(u64),
}

/// Bits a second, counted as on a wire: headers of all segments, no preamble, no FCS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "u64", into = "u64")]
pub struct BitRate(u64);

impl BitRate {
    /// The lowest.
    pub const MIN: Self = Self(8_000);
    /// The highest: a token bucket counts all bytes in 64 bits, enough for eleven years at this rate.
    pub const MAX: Self = Self(400_000_000_000);

    /// Bits a second.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for BitRate {
    type Error = LimitError;

    fn try_from(bits: u64) -> Result<Self, LimitError> {
        let rate = Self(bits);
        if (Self::MIN..=Self::MAX).contains(&rate) {
            Ok(rate)
        } else {
            Err(LimitError::BitRate(rate.to_string()))
        }
    }
}

impl From<BitRate> for u64 {
    fn from(rate: BitRate) -> Self {
        rate.0
    }
}

/// Unit letters with their factors.
const UNITS: [(char, u64); 3] = [('G', 1_000_000_000), ('M', 1_000_000), ('k', 1_000)];

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |&&(_, factor): &&(char, u64)| self.0 >= factor && self.0.is_multiple_of(factor);
        match UNITS.iter().find(fits) {
            Some((unit, factor)) => write!(f, "{} {unit}bit/s", self.0 / factor),
            None => write!(f, "{} bit/s", self.0),
        }
    }
}

impl FromStr for BitRate {
    type Err = LimitError;

    /// `200M`, `1.5G`, `64k`, `1000000`; `bit` or `bit/s` may follow.
    fn from_str(text: &str) -> Result<Self, LimitError> {
        let unknown = || LimitError::NotARate(text.to_owned());
        let number = text.trim_end_matches("/s").trim_end_matches("bit").trim_end();
        let unit = UNITS.iter().find(|(unit, _)| {
            number.chars().last().is_some_and(|last| last.eq_ignore_ascii_case(unit))
        });
        let factor = unit.map_or(1, |(_, factor)| *factor);
        let number = if unit.is_some() { number[..number.len() - 1].trim_end() } else { number };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(part) || part.len() > 9 {
            return Err(unknown());
        }
        // A number that overflows is above the range.
        let too_high = || LimitError::BitRate(text.to_owned());
        let whole: u64 = whole.parse().map_err(|_| too_high())?;
        let part: u64 = format!("{part:0<9}").parse().map_err(|_| unknown())?;
        let bits = whole.checked_mul(factor).ok_or_else(too_high)?;
        let bits = bits.checked_add(part * factor / 1_000_000_000).ok_or_else(too_high)?;
        Self::try_from(bits)
    }
}

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident, $max:literal, $error:ident, $unit:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        #[serde(try_from = "u64", into = "u64")]
        pub struct $name(u64);

        impl $name {
            /// The highest.
            pub const MAX: u64 = $max;

            /// A number in range.
            ///
            /// # Panics
            /// When it is out of range; in a constant, at compile time.
            #[must_use]
            pub const fn of(count: u64) -> Self {
                assert!(count >= 1 && count <= Self::MAX, "out of range");
                Self(count)
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl TryFrom<u64> for $name {
            type Error = LimitError;

            fn try_from(count: u64) -> Result<Self, LimitError> {
                let fits = (1..=Self::MAX).contains(&count);
                if fits { Ok(Self(count)) } else { Err(LimitError::$error(count)) }
            }
        }

        impl From<$name> for u64 {
            fn from(count: $name) -> Self {
                count.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{}", $unit), self.0)
            }
        }

        impl FromStr for $name {
            type Err = LimitError;

            fn from_str(text: &str) -> Result<Self, LimitError> {
                let count: u64 =
                    text.parse().map_err(|_| LimitError::NotANumber(text.to_owned()))?;
                Self::try_from(count)
            }
        }
    )*};
}

counts! {
    /// Frames a second.
    FrameRate, 1_000_000_000, FrameRate, " frames/s";
    /// MAC addresses.
    MacCount, 65_536, MacCount, "";
}

/// A limit: the switch's default, none, or a value. In JSON: `"default"`, `"off"`, or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ceiling<T> {
    /// The switch's default for the kind of port.
    #[default]
    Default,
    /// No limit.
    Off,
    /// This value.
    At(T),
}

const DEFAULT: &str = "default";
const OFF: &str = "off";

impl<T: Copy> Ceiling<T> {
    /// The value, with the switch's `default` filled in; `None` for no limit.
    #[must_use]
    pub fn or(self, default: Option<T>) -> Option<T> {
        match self {
            Self::Default => default,
            Self::Off => None,
            Self::At(value) => Some(value),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Ceiling<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str(DEFAULT),
            Self::Off => f.write_str(OFF),
            Self::At(value) => value.fmt(f),
        }
    }
}

impl<T: FromStr> FromStr for Ceiling<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        match text {
            DEFAULT => Ok(Self::Default),
            OFF => Ok(Self::Off),
            value => value.parse().map(Self::At),
        }
    }
}

impl<T: Serialize> Serialize for Ceiling<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Default => serializer.serialize_str(DEFAULT),
            Self::Off => serializer.serialize_str(OFF),
            Self::At(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: TryFrom<u64, Error = LimitError>> Deserialize<'de> for Ceiling<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Said {
            Number(u64),
            Word(String),
        }
        match Said::deserialize(deserializer)? {
            Said::Number(value) => T::try_from(value).map(Self::At).map_err(de::Error::custom),
            Said::Word(word) if word == DEFAULT => Ok(Self::Default),
            Said::Word(word) if word == OFF => Ok(Self::Off),
            Said::Word(word) => Err(de::Error::custom(LimitError::NotANumber(word))),
        }
    }
}

macro_rules! limits {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)*) => {
        /// Limits of a port.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        #[serde(default, deny_unknown_fields)]
        pub struct Limits { $($(#[$doc])* pub $field: $type,)* }

        /// Limits to replace; absent ones stay.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct LimitsChange { $(
            $(#[$doc])*
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub $field: Option<$type>,
        )* }

        impl LimitsChange {
            /// True if the change is empty.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                *self == Self::default()
            }
        }

        impl Limits {
            /// The limits after a change.
            #[must_use]
            pub fn changed(&self, change: &LimitsChange) -> Self {
                Self { $($field: change.$field.unwrap_or(self.$field),)* }
            }
        }
    };
}

limits! {
    /// Bits a second from the port; no limit by default.
    rate_in: Ceiling<BitRate>,
    /// Bits a second to the port; no limit by default.
    rate_out: Ceiling<BitRate>,
    /// Broadcast frames a second from the port; 1,000 from a container by default.
    storm_broadcast: Ceiling<FrameRate>,
    /// Multicast frames a second from the port; 10,000 from a container by default.
    storm_multicast: Ceiling<FrameRate>,
    /// Frames a second from the port to unknown addresses; 1,000 from a container by default.
    storm_unknown: Ceiling<FrameRate>,
    /// MAC addresses learnt on the port; 1,024 by default on a container's.
    macs_max: Ceiling<MacCount>,
    /// Loop protection: blocks the port while there is a loop behind it; never the host's port.
    loop_guard: bool,
}

impl Default for Limits {
    fn default() -> Self {
        let (rate, storm) = (Ceiling::Default, Ceiling::Default);
        Self {
            rate_in: rate,
            rate_out: rate,
            storm_broadcast: storm,
            storm_multicast: storm,
            storm_unknown: storm,
            macs_max: Ceiling::Default,
            loop_guard: true,
        }
    }
}
