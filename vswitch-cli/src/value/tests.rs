use super::*;

#[test]
fn mac_addresses_are_unicast() {
    assert_eq!(mac("02:00:00:00:00:0A"), Ok(MacAddr([2, 0, 0, 0, 0, 10])));
    for malformed in ["", "02", "02:00:00:00:00", "02:00:00:00:00:00:00", "02:00:00:00:00:0g"] {
        let error = mac(malformed).unwrap_err();
        assert!(error.starts_with("not a MAC address"), "{malformed}: {error}");
    }
    assert!(mac("01:00:5e:00:00:01").unwrap_err().starts_with("a multicast MAC address"));
    assert!(mac("ff:ff:ff:ff:ff:ff").unwrap_err().starts_with("a multicast MAC address"));
    assert!(mac("00:00:00:00:00:00").unwrap_err().contains("all-zero"));
}

#[test]
fn addresses_name_an_example() {
    assert_eq!(ipv4("10.99.0.7"), Ok(Ipv4Addr::new(10, 99, 0, 7)));
    assert!(ipv4("10.99.0").unwrap_err().contains("10.99.0.7"));
    assert!(ipv4("fd00::1").is_err());
    assert_eq!(ipv6("fd00::7"), Ok("fd00::7".parse().unwrap()));
    assert!(ipv6("10.99.0.7").is_err());
}

#[test]
fn a_namespace_is_a_pid_a_path_or_a_name() {
    assert_eq!(netns("42"), Ok(NetnsRef::Pid(42)));
    assert_eq!(netns("/run/netns/a"), Ok(NetnsRef::Path("/run/netns/a".into())));
    assert_eq!(netns("a1"), Ok(NetnsRef::Name("a1".into())));
    let here = std::env::current_dir().unwrap();
    assert_eq!(netns("ns/a"), Ok(NetnsRef::Path(here.join("ns/a"))));
    for refused in ["", "0", "4294967296", "99999999999999999999", ".", ".."] {
        assert!(netns(refused).is_err(), "{refused}");
    }
}

#[test]
fn names_are_those_of_runtimes() {
    for accepted in ["web-1", "Web_1.v2", "web-"] {
        assert_eq!(attachment(accepted), Ok(accepted.into()));
    }
    for refused in ["", "-web", ".web", "we b", "a/b", "ä", &"a".repeat(129)] {
        assert!(attachment(refused).is_err(), "{refused}");
    }
    assert!(attachment(&"a".repeat(128)).is_ok());
    assert_eq!(name("any thing/at all"), Ok("any thing/at all".into()));
    assert!(name("").is_err());
    assert_eq!(key_value("app=a=b"), Ok(("app".into(), "a=b".into())));
    assert!(key_value("app").is_err() && key_value("=x").is_err());
}

#[test]
fn a_name_may_say_its_network() {
    assert!(is_called("web", "blue", "web") && is_called("web", "blue", "web@blue"));
    for other in ["we", "web@", "web@red", "@blue", "db@blue"] {
        assert!(!is_called("web", "blue", other), "{other}");
    }
}

#[test]
fn a_peer_is_an_address_with_or_without_a_port() {
    for (text, address, port) in [
        ("192.0.2.2", "192.0.2.2", None),
        ("192.0.2.2:8472", "192.0.2.2", Some(8472)),
        ("2001:db8::2", "2001:db8::2", None),
        ("[2001:db8::2]:8472", "2001:db8::2", Some(8472)),
    ] {
        let peer = super::peer(text).unwrap();
        assert_eq!((peer.address, peer.port), (address.parse().unwrap(), port), "{text}");
        assert_eq!(peer.to_string(), text);
    }
    for text in ["", "n2", "192.0.2.2:", "192.0.2.2:0", "192.0.2.2:65536", "192.0.2.0/24"] {
        assert!(super::peer(text).is_err(), "{text}");
    }
}
