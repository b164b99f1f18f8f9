//! Values of `run --network`.

use std::fmt;

use crate::endpoint::EndpointArgs;
use crate::value;

/// The form with options of the endpoint, as in Docker.
const FORM: &str = "name=NETWORK, with ip, ip6, add-ip, mac-address, ifname, alias or gw-priority, such as name=blue,alias=db";

/// One network of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NetworkMode {
    /// A network of the switch, with what is said about the endpoint there.
    Network(String, EndpointArgs),
    Other(OtherNetwork),
}

/// A network that is none of the switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OtherNetwork {
    /// The host's own.
    Host,
    /// The network namespace of another attachment.
    Container(String),
    /// A network namespace with nothing but `lo`.
    None,
}

impl fmt::Display for OtherNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Container(name) => write!(f, "container:{name}"),
            Self::None => f.write_str("none"),
        }
    }
}

/// `host`, `none`, `container:NAME`, a network's name, or `name=NETWORK,KEY=VALUE,...`.
pub(crate) fn network_mode(text: &str) -> Result<NetworkMode, String> {
    match (text, text.strip_prefix("container:")) {
        ("", _) => Err("a network's name, `host`, `none` or `container:NAME` is needed".to_owned()),
        ("host", _) => Ok(NetworkMode::Other(OtherNetwork::Host)),
        ("none", _) => Ok(NetworkMode::Other(OtherNetwork::None)),
        (_, Some("")) => Err("the name of a container is missing after `container:`".to_owned()),
        (_, Some(name)) => Ok(NetworkMode::Other(OtherNetwork::Container(name.to_owned()))),
        (options, None) if options.contains('=') => with_options(options),
        (name, None) => Ok(NetworkMode::Network(name.to_owned(), EndpointArgs::default())),
    }
}

fn with_options(text: &str) -> Result<NetworkMode, String> {
    let (mut network, mut endpoint) = (None, EndpointArgs::default());
    for option in text.split(',') {
        let (key, text) =
            option.split_once('=').ok_or_else(|| format!("{option:?}: not {FORM}"))?;
        match key {
            "name" if network.is_none() => network = Some(value::name(text)?),
            _ if endpoint.set(key, text)? => {}
            _ => return Err(format!("{option:?}: not {FORM}")),
        }
    }
    let network = network.ok_or_else(|| format!("the network is missing: {FORM}"))?;
    Ok(NetworkMode::Network(network, endpoint))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn plain(name: &str) -> NetworkMode {
        NetworkMode::Network(name.to_owned(), EndpointArgs::default())
    }

    #[test]
    fn network_modes_are_dockers() {
        assert_eq!(network_mode("host"), Ok(NetworkMode::Other(OtherNetwork::Host)));
        assert_eq!(network_mode("none"), Ok(NetworkMode::Other(OtherNetwork::None)));
        assert_eq!(network_mode("br0"), Ok(plain("br0")));
        assert_eq!(network_mode("name=br0"), Ok(plain("br0")));
        let web = OtherNetwork::Container("web".into());
        assert_eq!(network_mode("container:web"), Ok(NetworkMode::Other(web)));
        assert!(network_mode("").is_err());
        assert!(network_mode("container:").is_err());
    }

    #[test]
    fn a_network_has_options_of_its_endpoint() {
        let text = "name=blue,ip=10.5.0.7,ip6=fd05::7,mac-address=02:00:00:00:00:07,\
            alias=db,alias=sql,gw-priority=-1,ifname=lan0,add-ip=10.5.0.8,add-ip=fd05::8";
        let Ok(NetworkMode::Network(name, endpoint)) = network_mode(text) else {
            panic!("{text} is refused")
        };
        let request = endpoint.connect("web".to_owned());
        assert_eq!((name.as_str(), request.aliases.len()), ("blue", 2));
        assert_eq!(request.ipv4, Some([10, 5, 0, 7].into()));
        let further: [IpAddr; 2] = ["10.5.0.8", "fd05::8"].map(|text| text.parse().unwrap());
        assert_eq!(request.further_addresses, further);
        assert_eq!((request.gw_priority, request.ifname.as_deref()), (-1, Some("lan0")));
    }

    #[test]
    fn wrong_options_are_named() {
        for (text, named) in [
            ("ip=10.5.0.7", "the network is missing"),
            ("name=blue,ip=x", "not an IPv4 address"),
            ("name=blue,add-ip=10.5.0", "\"10.5.0\""),
            ("name=blue,colour=red", "\"colour=red\""),
            ("name=blue,alias", "\"alias\""),
            ("name=blue,name=green", "\"name=green\""),
            ("name=blue,gw-priority=x", "no number"),
            ("name=blue,mac=01:00:5e:00:00:01", "multicast"),
            ("name=", "a name is needed"),
        ] {
            let error = network_mode(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
