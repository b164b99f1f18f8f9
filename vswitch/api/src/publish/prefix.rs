//! Sources that may connect: an address, or a subnet.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// Text that is neither an address nor a subnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is neither an address nor a subnet: {problem}")]
pub struct PrefixError {
    text: String,
    problem: String,
}

/// A subnet; an address is a subnet of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix(IpNet);

impl Prefix {
    /// The subnet.
    #[must_use]
    pub const fn net(self) -> IpNet {
        self.0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let refuse = |problem: String| PrefixError { text: text.to_owned(), problem };
        let net = match text.parse::<IpAddr>() {
            Ok(address) => address.into(),
            Err(_) => text
                .parse::<IpNet>()
                .map_err(|_| refuse("write it as 192.0.2.7, 10.0.0.0/8 or fd00::/8".into()))?,
        };
        match net.trunc() {
            trunc if trunc == net => Ok(Self(net)),
            trunc => Err(refuse(format!("it has host bits set; the subnet is {trunc}"))),
        }
    }
}

crate::words::text_in_json! { Prefix }
