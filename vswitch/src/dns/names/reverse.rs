//! Names below `in-addr.arpa` and `ip6.arpa` (RFC 1035, 3.5; RFC 3596, 2.5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// A reverse name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reverse {
    /// The addresses that it stands for.
    pub(super) prefix: IpNet,
    /// Whether it is the name of the prefix itself, not one below it.
    pub(super) is_exact: bool,
}

impl Reverse {
    /// The one address that the name stands for.
    pub(super) fn address(&self) -> Option<IpAddr> {
        let is_address = self.is_exact && self.prefix.prefix_len() == self.prefix.max_prefix_len();
        is_address.then(|| self.prefix.addr())
    }
}

/// Reads a name in lower case, without the last dot.
pub(super) fn parse(name: &str) -> Option<Reverse> {
    if let Some(labels) = name.strip_suffix(".in-addr.arpa") {
        let (octets, is_exact) = numbers::<4>(labels, octet);
        let length = u8::try_from(octets.len() * 8).ok()?;
        let mut bytes = [0; 4];
        bytes[..octets.len()].copy_from_slice(&octets);
        let prefix = IpNet::new(Ipv4Addr::from(bytes).into(), length).ok()?;
        return Some(Reverse { prefix, is_exact });
    }
    let labels = name.strip_suffix(".ip6.arpa")?;
    let (nibbles, is_exact) = numbers::<32>(labels, nibble);
    let length = u8::try_from(nibbles.len() * 4).ok()?;
    let bits = nibbles
        .iter()
        .enumerate()
        .fold(0_u128, |bits, (n, nibble)| bits | u128::from(*nibble) << (124 - 4 * n));
    let prefix = IpNet::new(Ipv6Addr::from(bits).into(), length).ok()?;
    Some(Reverse { prefix, is_exact })
}

/// The numbers of up to `N` labels, from the right, and whether these are all labels.
fn numbers<const N: usize>(labels: &str, number: fn(&str) -> Option<u8>) -> (Vec<u8>, bool) {
    let mut numbers = Vec::with_capacity(N);
    for label in labels.rsplit('.') {
        match number(label) {
            Some(value) if numbers.len() < N => numbers.push(value),
            _ => return (numbers, false),
        }
    }
    (numbers, true)
}

fn octet(label: &str) -> Option<u8> {
    let is_plain = label.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = label == "0" || !label.starts_with('0');
    (is_plain && is_short).then(|| label.parse().ok())?
}

fn nibble(label: &str) -> Option<u8> {
    match label.as_bytes() {
        [digit] => char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(name: &str) -> Option<IpAddr> {
        parse(name).and_then(|reverse| reverse.address())
    }

    #[test]
    fn whole_addresses() {
        assert_eq!(address("4.3.99.10.in-addr.arpa"), Some([10, 99, 3, 4].into()));
        let name = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
        assert_eq!(address(name), Some("2001:db8::1".parse().unwrap()));
        assert_eq!(parse("example.com"), None);
        assert_eq!(parse("in-addr.arpa"), None);
    }

    #[test]
    fn prefixes_and_names_below_them_are_no_addresses() {
        let prefix = |name: &str| parse(name).unwrap().prefix.to_string();
        assert_eq!(prefix("99.10.in-addr.arpa"), "10.99.0.0/16");
        assert_eq!(prefix("b._dns-sd._udp.0.0.99.10.in-addr.arpa"), "10.99.0.0/32");
        assert_eq!(prefix("0.d.f.ip6.arpa"), "fd00::/12");
        for name in ["99.10.in-addr.arpa", "x.1.0.99.10.in-addr.arpa", "5.4.3.2.1.in-addr.arpa"] {
            assert_eq!(address(name), None, "{name}");
        }
        for name in
            ["256.0.99.10.in-addr.arpa", "01.0.99.10.in-addr.arpa", "+1.0.99.10.in-addr.arpa"]
        {
            assert_eq!(prefix(name), "10.99.0.0/24", "{name}");
            assert_eq!(address(name), None, "{name}");
        }
    }
}
