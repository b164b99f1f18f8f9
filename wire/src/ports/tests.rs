use super::*;

#[test]
fn reads_and_writes() {
    let mut bytes = [0x12, 0x34, 0x56, 0x78, 0xff];
    let mut ports = Ports::new_checked(&mut bytes).unwrap();
    assert_eq!((ports.src(), ports.dst()), (0x1234, 0x5678));
    ports.set_src(1);
    ports.set_dst(2);
    assert_eq!(bytes, [0, 1, 0, 2, 0xff]);
    assert!(Ports::new_checked([0; 3]).is_err());
}
