use std::string::ToString;

use super::*;

const A: MacAddr = MacAddr([0x02, 0x00, 0x5e, 0x10, 0xab, 0xff]);

#[test]
fn text_and_back() {
    assert_eq!(A.to_string(), "02:00:5e:10:ab:ff");
    assert_eq!("02:00:5e:10:ab:ff".parse(), Ok(A));
    assert_eq!("02-00-5E-10-AB-FF".parse(), Ok(A));
}

#[test]
fn bad_text_is_named() {
    let error = |text: &str| text.parse::<MacAddr>().unwrap_err();
    assert_eq!(error("").reason, MacErrorReason::Groups(1));
    assert_eq!(error("02:00:5e:10:ab").reason, MacErrorReason::Groups(5));
    assert_eq!(error("02:00:5e:10:ab:ff:00").reason, MacErrorReason::Groups(7));
    assert_eq!(error("02:00:5e:1:ab:ff").reason, MacErrorReason::Group(4));
    assert_eq!(error("02:00:5e:+f:ab:ff").reason, MacErrorReason::Group(4));
    assert_eq!(error("02:00:5e:10:ab:0g").reason, MacErrorReason::Group(6));
    assert_eq!(error("02:00:5e:10:ab:é").reason, MacErrorReason::Group(6));
    assert_eq!(error("02:00:5e-10:ab:ff").reason, MacErrorReason::Groups(2));
    assert_eq!(
        error("02:00:5e:10:ab:0g").to_string(),
        "\"02:00:5e:10:ab:0g\" is not a MAC address: group 6 is not two hexadecimal digits; \
         write it as 02:00:5e:10:00:01"
    );
}

#[test]
fn long_text_is_cut_at_a_character() {
    let text = std::format!("{}é tail", "x".repeat(EXCERPT_MAX - 1));
    let error = text.parse::<MacAddr>().unwrap_err();
    assert_eq!(error.text.as_str(), "x".repeat(EXCERPT_MAX - 1));
    assert!(error.to_string().contains("x\"... is not"));
}

#[test]
fn classes() {
    assert!(A.is_unicast() && A.is_local() && !A.is_multicast());
    assert!(MacAddr::BROADCAST.is_broadcast() && MacAddr::BROADCAST.is_multicast());
    assert!(!MacAddr::BROADCAST.is_unicast());
    assert!(!MacAddr::ZERO.is_unicast() && !MacAddr::ZERO.is_multicast());
    assert!(!MacAddr([0x00, 0x1b, 0x21, 0, 0, 1]).is_local());
}

#[test]
fn number_and_back() {
    assert_eq!(A.as_u64(), 0x0200_5e10_abff);
    assert_eq!(MacAddr::from_u64(0xdead_0200_5e10_abff), A);
}

#[test]
fn rfc1112_6_4_multicast() {
    let mac = MacAddr::from_ipv4_multicast(Ipv4Addr::new(239, 255, 1, 2));
    assert_eq!(mac, MacAddr([0x01, 0x00, 0x5e, 0x7f, 0x01, 0x02]));
}

#[test]
fn rfc2464_7_multicast() {
    let mac = MacAddr::from_ipv6_multicast("ff02::1:ff28:9c5a".parse().unwrap());
    assert_eq!(mac, MacAddr([0x33, 0x33, 0xff, 0x28, 0x9c, 0x5a]));
}
