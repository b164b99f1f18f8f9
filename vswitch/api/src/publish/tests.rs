use super::*;

fn spec(text: &str) -> PortSpec {
    text.parse().unwrap()
}

#[test]
fn every_form_of_docker_is_understood() {
    for (text, shown) in [
        ("80", "0:80/tcp"),
        ("80/udp", "0:80/udp"),
        ("0:80", "0:80/tcp"),
        (":80", "0:80/tcp"),
        ("8080:80", "8080:80/tcp"),
        ("8080:80/TCP", "8080:80/tcp"),
        ("53:53/udp", "53:53/udp"),
        ("7000:7000/sctp", "7000:7000/sctp"),
        ("8000-8010:9000-9010", "8000-8010:9000-9010/tcp"),
        ("8000-8000:80", "8000:80/tcp"),
        ("127.0.0.1:8080:80", "127.0.0.1:8080:80/tcp"),
        ("127.0.0.1::80", "127.0.0.1:0:80/tcp"),
        ("0.0.0.0:8080:80", "0.0.0.0:8080:80/tcp"),
        ("[::1]:8080:80", "[::1]:8080:80/tcp"),
        ("[2001:db8::1]::80-82/udp", "[2001:db8::1]:0:80-82/udp"),
        ("1-65535:1-65535", "1-65535:1-65535/tcp"),
    ] {
        assert_eq!(spec(text).to_string(), shown, "{text}");
        assert_eq!(spec(shown), spec(text));
        let json = serde_json::to_value(spec(text)).unwrap();
        assert_eq!(serde_json::from_value::<PortSpec>(json).unwrap(), spec(text));
    }
}

#[test]
fn what_cannot_be_published_is_refused_with_the_value_and_a_remedy() {
    for (text, says) in [
        ("", "\"\" is no port of the container"),
        ("x", "\"x\" is no port of the container"),
        ("0", "\"0\" is no port of the container"),
        ("80:0", "\"0\" is no port of the container"),
        ("65536:80", "\"65536\" is no port of the host"),
        ("-1:80", "\"\" is no port of the host"),
        ("+80:80x", "\"80x\""),
        ("90-80:90-80", "90-80 ends before it begins"),
        ("8000-8010:80", "11 ports of the host, and 80 has 1"),
        ("8000:80-81", "8000 has 1 ports of the host, and 80-81 has 2"),
        ("80:80/icmp", "\"icmp\" is none of the protocols tcp, udp and sctp"),
        ("80:80/", "\"\" is none of the protocols"),
        ("10.0.0.300:80:80", "\"10.0.0.300\" is no IPv4 address"),
        ("localhost:80:80", "\"localhost\" is no IPv4 address"),
        ("127.0.0.1:80", "\"127.0.0.1\" is no port of the host"),
        ("::1:80:80", "in brackets"),
        ("[::1:80:80", "not closed"),
        ("[::1]80:80", "a colon is needed"),
        ("[::1]:80", "both the host's and the container's"),
        ("[1.2.3.4]:80:80", "\"1.2.3.4\" is no IPv6 address"),
    ] {
        let error = text.parse::<PortSpec>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{text:?} cannot be published: ")), "{error}");
        assert!(error.contains(says), "{text}: {error}");
        assert!(error.ends_with("such as 8080:80") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn conflicts_are_about_one_port_of_one_address() {
    let meet = |one: &str, other: &str| {
        let meets = spec(one).conflicts(&spec(other));
        assert_eq!(meets, spec(other).conflicts(&spec(one)), "{one} {other}");
        meets
    };
    assert!(meet("80:80", "80:81"));
    assert!(meet("8000-8010:1-11", "8010:80"));
    assert!(meet("80:80", "127.0.0.1:80:80"));
    assert!(meet("0.0.0.0:80:80", "127.0.0.1:80:80"));
    assert!(meet("[::]:80:80", "[::1]:80:80"));
    assert!(meet("[::]:80:80", "80:80"));
    assert!(!meet("80:80", "80:80/udp"));
    assert!(!meet("8000-8010:1-11", "8011:80"));
    assert!(!meet("127.0.0.1:80:80", "192.0.2.1:80:80"));
    assert!(!meet("0.0.0.0:80:80", "[::]:80:80"));
    assert!(!meet("0:80", "0:80"));
}

#[test]
fn a_publication_is_named_as_it_was_asked_for_or_as_it_is_shown() {
    let published = spec("32768:80/tcp");
    for name in ["80", "0:80", "32768:80", "32768:80/tcp"] {
        assert!(spec(name).matches(&published), "{name}");
    }
    for other in ["81", "32769:80", "80/udp", "127.0.0.1:32768:80", "80-81"] {
        assert!(!spec(other).matches(&published), "{other}");
    }
}

#[test]
fn picked_ports_stay_within_the_ports_that_there_are() {
    assert_eq!(spec("80-82").at(65533).unwrap().to_string(), "65533-65535:80-82/tcp");
    assert_eq!(spec("80-82").at(65534), None);
    assert_eq!(spec("80").at(0), None);
    assert_eq!(PortRange::from(1, 0), None);
    assert_eq!(PortRange::from(1, 65535).unwrap().count(), 65535);
}

#[test]
fn prefixes_are_addresses_or_subnets() {
    for (text, shown) in
        [("192.0.2.7", "192.0.2.7/32"), ("10.0.0.0/8", "10.0.0.0/8"), ("fd00::/8", "fd00::/8")]
    {
        let prefix: Prefix = text.parse().unwrap();
        assert_eq!(prefix.to_string(), shown);
        assert_eq!(shown.parse::<Prefix>().unwrap(), prefix);
    }
    for (text, says) in
        [("10.0.0.1/8", "10.0.0.0/8"), ("10.0.0.0/33", "write it"), ("x", "write it")]
    {
        let error = text.parse::<Prefix>().unwrap_err().to_string();
        assert!(error.contains(text) && error.contains(says), "{error}");
    }
}

#[test]
fn a_publication_without_prefixes_is_for_everybody() {
    let publication: Publication = serde_json::from_str(r#"{"ports": "8080:80"}"#).unwrap();
    assert!(publication.allow_from.is_empty());
    let json = r#"{"ports":"8080:80/tcp","allow_from":["10.0.0.0/8"]}"#;
    let publication: Publication = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_string(&publication).unwrap(), json);
    assert!(serde_json::from_str::<Publication>(r#"{"ports": "8080:80", "x": 1}"#).is_err());
}
