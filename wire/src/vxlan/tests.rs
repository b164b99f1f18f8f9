use super::*;

#[test]
fn rfc7348_5_header() {
    let vni = Vni::new(0x123456).unwrap();
    let mut bytes = [0xff; 9];
    assert_eq!(emit(vni, &mut bytes), Ok(8));
    assert_eq!(bytes, [0x08, 0, 0, 0, 0x12, 0x34, 0x56, 0, 0xff]);
    let packet = Packet::new_checked(bytes).unwrap();
    assert_eq!(packet.vni(), vni);
    assert_eq!(packet.payload(), [0xff]);
}

#[test]
fn reserved_bits_are_ignored() {
    let packet = Packet::new_checked([0xff; 8]).unwrap();
    assert_eq!(packet.vni(), Vni::MAX);
}

#[test]
fn refuses() {
    let flags = Error::Field { header: "VXLAN", field: "flags", value: 0xf7 };
    assert_eq!(Packet::new_checked([0xf7; 8]), Err(flags));
    assert!(Packet::new_checked([0xff; 7]).is_err());
    let vni = Error::Field { header: "VXLAN", field: "VNI", value: 0x0100_0000 };
    assert_eq!(Vni::new(0x0100_0000), Err(vni));
    assert!(emit(Vni::MAX, &mut [0; 7]).is_err());
}

#[test]
fn overhead() {
    assert_eq!((OVERHEAD_V4, OVERHEAD_V6), (50, 70));
}
