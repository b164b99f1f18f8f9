//! The capability `portMappings`: single ports of the host, which become ranges where they follow each other.

use std::net::IpAddr;

use vswitch_api::publish::{PortSpec, Publication};

use super::super::Fields;
use crate::error::{CniError, Outcome};

/// Ports that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mapping {
    address: Option<IpAddr>,
    protocol: &'static str,
    host: u16,
    container: u16,
    count: u16,
}

const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];

/// Reads the mappings.
pub(super) fn read(fields: &mut Fields) -> Outcome<Vec<Publication>> {
    let mut mappings: Vec<Mapping> = Vec::new();
    for entry in fields.take_list("portMappings")?.unwrap_or_default() {
        let next = mapping(entry)?;
        match mappings.last_mut() {
            Some(last) if last.is_before(&next) => last.count += 1,
            _ => mappings.push(next),
        }
    }
    Ok(mappings.into_iter().map(Mapping::publication).collect())
}

fn mapping(mut fields: Fields) -> Outcome<Mapping> {
    let port = |fields: &mut Fields, name: &str| {
        let number: i64 = fields.need(name)?;
        let port = u16::try_from(number).ok().filter(|port| *port > 0);
        let fault = || CniError::invalid(&fields.name_of(name), format!("{number} is no port"));
        port.ok_or_else(fault)
    };
    let (host, container) = (port(&mut fields, "hostPort")?, port(&mut fields, "containerPort")?);
    let said = fields.take::<String>("protocol")?.unwrap_or_default().to_ascii_lowercase();
    let known = PROTOCOLS.iter().find(|known| said == **known || said.is_empty());
    let protocol = known.copied().ok_or_else(|| {
        let fault = format!("{said:?} is none of {}", PROTOCOLS.join(", "));
        CniError::invalid(&fields.name_of("protocol"), fault)
    })?;
    let address: Option<String> = fields.take("hostIP")?;
    let address = address.filter(|address| !address.is_empty()).map(|address| {
        let fault =
            || CniError::invalid(&fields.name_of("hostIP"), format!("{address:?} is no address"));
        address.parse().map_err(|_| fault())
    });
    let address = address.transpose()?;
    Ok(Mapping { address, protocol, host, container, count: 1 })
}

impl Mapping {
    /// Whether `next` continues it.
    fn is_before(&self, next: &Self) -> bool {
        let is_next = |own: u16, next: u16| own.checked_add(self.count) == Some(next);
        (self.address, self.protocol) == (next.address, next.protocol)
            && is_next(self.host, next.host)
            && is_next(self.container, next.container)
    }

    fn publication(self) -> Publication {
        let address = match self.address {
            None => String::new(),
            Some(IpAddr::V4(address)) => format!("{address}:"),
            Some(IpAddr::V6(address)) => format!("[{address}]:"),
        };
        let range = |first: u16| format!("{first}-{}", first + (self.count - 1));
        let (host, container) = (range(self.host), range(self.container));
        let text = format!("{address}{host}:{container}/{}", self.protocol);
        let ports: PortSpec = text.parse().expect("ranges of one length, of ports above zero");
        Publication { ports, allow_from: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read_ports(mappings: Value) -> Outcome<Vec<String>> {
        let mut fields = Fields::new("runtimeConfig", json!({ "portMappings": mappings }))?;
        Ok(read(&mut fields)?.iter().map(|it| it.ports.to_string()).collect())
    }

    #[test]
    fn neighbours_become_a_range() {
        let ports = read_ports(json!([
            { "hostPort": 8000, "containerPort": 80, "protocol": "tcp", "hostIP": "" },
            { "hostPort": 8001, "containerPort": 81, "protocol": "TCP" },
            { "hostPort": 8002, "containerPort": 82 },
            { "HostPort": 8003, "ContainerPort": 90, "Protocol": "tcp", "HostIP": "" },
            { "hostPort": 8004, "containerPort": 91, "protocol": "udp" },
            { "hostPort": 65535, "containerPort": 1, "hostIP": "::1", "protocol": "sctp" },
        ]));
        let expected = ["8000-8002:80-82/tcp", "8003:90/tcp", "8004:91/udp", "[::1]:65535:1/sctp"];
        assert_eq!(ports.unwrap(), expected);
    }

    #[test]
    fn an_error_names_the_field_of_the_entry() {
        for (entry, field) in [
            (json!({ "containerPort": 80 }), "hostPort: is absent"),
            (json!({ "hostPort": 0, "containerPort": 80 }), "hostPort: 0"),
            (json!({ "hostPort": 80, "containerPort": 65536 }), "containerPort: 65536"),
            (json!({ "hostPort": 80, "containerPort": 80, "protocol": "icmp" }), "protocol"),
            (json!({ "hostPort": 80, "containerPort": 80, "hostIP": "web" }), "hostIP: \"web\""),
        ] {
            let error = read_ports(json!([entry])).unwrap_err();
            assert_eq!(error.code.number(), 7);
            let name = format!("runtimeConfig.portMappings[0].{field}");
            assert!(error.message.starts_with(&name), "{error}");
        }
    }
}
