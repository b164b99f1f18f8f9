//! Tests of [`super`].

use super::*;

/// The example of `plugin-API.md`.
const DOCUMENTED: &str = r#"{
    "container_id": "752947ff91f961eb3cb47ffe9315016979f3ffbec09e4d96a4fae3fb03391697",
    "container_name": "testctr",
    "port_mappings": [
        { "container_port": 80, "host_ip": "127.0.0.1", "host_port": 8080, "protocol": "tcp", "range": 1 }
    ],
    "network": {
        "dns_enabled": false,
        "driver": "bridge",
        "id": "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9",
        "internal": false,
        "ipv6_enabled": false,
        "name": "podman",
        "network_interface": "podman0",
        "options": null,
        "ipam_options": { "driver": "host-local" },
        "subnets": [{ "gateway": "10.88.0.1", "lease_range": null, "subnet": "10.88.0.0/16" }],
        "network_dns_servers": null
    },
    "network_options": {
        "aliases": ["752947ff91f9"],
        "interface_name": "eth0",
        "static_ips": ["10.88.0.50"],
        "static_mac": "aa:bb:cc:dd:aa:00"
    }
}"#;

#[test]
fn the_documented_container_is_understood() {
    let request: ContainerRequest = serde_json::from_str(DOCUMENTED).unwrap();
    let attach = attach_request("/n".into(), &request, &Options::default(), "podman".into());
    let attach = attach.unwrap();
    assert_eq!((attach.name.as_str(), attach.ifname.as_deref()), ("testctr", Some("eth0")));
    assert_eq!(attach.ipv4, Some([10, 88, 0, 50].into()));
    assert_eq!(attach.mac.unwrap().to_string(), "aa:bb:cc:dd:aa:00");
    assert_eq!(attach.aliases, ["752947ff91f9"]);
    assert_eq!(attach.publish[0].ports.to_string(), "127.0.0.1:8080:80/tcp");
    assert_eq!(attach.labels[CONTAINER_ID], request.container_id);
}

#[test]
fn port_mappings_become_publications() {
    let ports = |host_ip: &str, host_port, protocol: &str, range| {
        let (host_ip, protocol) = (host_ip.to_owned(), protocol.to_owned());
        let mapping = PortMapping { container_port: 80, host_ip, host_port, protocol, range };
        let publications = mapping.publications().map_err(|error| error.told())?;
        let texts = publications.iter().map(|publication| publication.ports.to_string());
        Ok::<_, String>(texts.collect::<Vec<_>>())
    };
    assert_eq!(ports("", 8080, "", 0).unwrap(), ["8080:80/tcp"]);
    let several = ["[::1]:8080-8082:80-82/tcp", "[::1]:8080-8082:80-82/udp"];
    assert_eq!(ports("::1", 8080, "tcp,udp", 3).unwrap(), several);
    assert_eq!(ports("", 0, "udp", 2).unwrap(), ["0:80-81/udp"]);
    assert!(ports("host", 8080, "tcp", 1).unwrap_err().contains("host:8080"));
    assert!(ports("", 65_535, "tcp", 2).is_err());
    assert!(ports("", 1, "dccp", 1).unwrap_err().contains("dccp"));
}

#[test]
fn further_static_addresses_are_further_ones() {
    let mut request: ContainerRequest = serde_json::from_str(DOCUMENTED).unwrap();
    let texts = ["10.88.0.50", "10.88.0.51", "fd00::5", "fd00::6"];
    let addresses: Vec<IpAddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
    request.network_options.static_ips = Some(addresses.clone());
    request.network_options.static_mac = None;
    let attach = attach_request("/n".into(), &request, &Options::default(), "n".into()).unwrap();
    assert_eq!(attach.ipv4.map(IpAddr::from), Some(addresses[0]));
    assert_eq!(attach.ipv6.map(IpAddr::from), Some(addresses[2]));
    assert_eq!(attach.further_addresses, [addresses[1], addresses[3]]);
    assert_eq!(attach.mac, None);
}
