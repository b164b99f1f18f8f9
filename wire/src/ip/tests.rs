use std::string::ToString;

use super::*;

#[test]
fn families_do_not_mix() {
    let v4: IpAddr = "10.0.0.1".parse().unwrap();
    let v6: IpAddr = "fd00::1".parse().unwrap();
    assert_eq!(Repr::new(v4, v6, Protocol::UDP), None);
    let ip = Repr::new(v4, v4, Protocol::UDP).unwrap();
    assert_eq!((ip.header_len(), ip.ethertype()), (20, EtherType::IPV4));
    let ip = Repr::new(v6, v6, Protocol::UDP).unwrap();
    assert_eq!((ip.header_len(), ip.ethertype()), (40, EtherType::IPV6));
}

#[test]
fn names() {
    assert_eq!(Protocol::TCP.to_string(), "TCP");
    assert_eq!(Protocol(200).to_string(), "protocol 200");
}
