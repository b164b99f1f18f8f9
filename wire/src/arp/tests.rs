use super::*;
use crate::testing::captured;

const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 10]);
const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 11]);
const IP_A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const IP_B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

fn parse(name: &str) -> Repr {
    Repr::parse(&Packet::new_checked(&captured(name)[14..]).unwrap())
}

#[test]
fn request_and_reply_are_those_of_linux() {
    let request = Repr::request(A, IP_A, IP_B);
    assert_eq!(parse("arp-request"), request);
    assert_eq!(parse("arp-reply"), request.reply(B));
    let mut bytes = [0xaa; 28];
    assert_eq!(request.emit(&mut bytes), Ok(28));
    assert_eq!(bytes, captured("arp-request")[14..]);
    assert_eq!(request.reply(B).emit(&mut bytes), Ok(28));
    assert_eq!(bytes, captured("arp-reply")[14..]);
}

#[test]
fn rfc5227_2_3_an_announcement_asks_for_its_own_address() {
    let repr = Repr::gratuitous(A, IP_A);
    assert_eq!((repr.sender_ip, repr.target_ip), (IP_A, IP_A));
    assert_eq!((repr.sender_mac, repr.target_mac), (A, MacAddr::ZERO));
    assert_eq!(repr.operation, Operation::REQUEST);
}

#[test]
fn other_kinds_of_address_are_refused() {
    let bytes = captured("arp-request").split_off(14);
    let refused = |at: usize, field, value| {
        let mut bytes = bytes.clone();
        bytes[at] = 9;
        assert_eq!(Packet::new_checked(bytes), Err(Error::Field { header: "ARP", field, value }));
    };
    refused(1, "hardware type", 9);
    refused(2, "protocol type", 0x0900);
    refused(4, "hardware address length", 9);
    refused(5, "protocol address length", 9);
    let short = Error::Truncated { header: "ARP", need: 28, have: 27 };
    assert_eq!(Packet::new_checked(&bytes[..27]), Err(short));
}
