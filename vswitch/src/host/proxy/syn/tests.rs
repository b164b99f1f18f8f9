use super::*;

fn syn_packet(data: &[u8]) -> Vec<u8> {
    let (from, to) = (Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
    let syn = tcp::Repr {
        src_port: 40_000,
        dst_port: 8080,
        seq: u32::MAX,
        flags: Flags::SYN,
        window: 65_535,
        mss: Some(65_476),
        window_scale: Some(7),
        ..tcp::Repr::default()
    };
    let len = syn.header_len() + data.len();
    let mut packet = vec![0; ipv6::HEADER_LEN + len];
    let (header, segment) = packet.split_at_mut(ipv6::HEADER_LEN);
    ipv6::Repr::new(from, to, Protocol::TCP).emit(len, header).expect("room");
    // A partial checksum, as on the loopback device.
    syn.emit(data, |_| 0x1234, segment).expect("room");
    packet
}

/// A SYN of a client on ::1, whose repetition nobody hears.
pub(in super::super) fn syn_from(port: u16) -> Syn {
    let mut syn = read(&syn_packet(&[])).expect("a SYN");
    syn.client.1 = port;
    syn
}

fn read(packet: &[u8]) -> Option<Syn> {
    let null = || OwnedFd::from(std::fs::File::open("/dev/null").expect("it"));
    Syn::read(packet, &RawSockets(Arc::new(Sockets { syns: null(), resets: null() })))
}

fn segment(packet: &[u8]) -> (tcp::Packet<&[u8]>, bool) {
    let ip = ipv6::Packet::new_checked(packet).expect("a packet");
    assert_eq!(ip.total_len(), packet.len());
    let bytes = &packet[ipv6::HEADER_LEN..];
    let segment = tcp::Packet::new_checked(bytes).expect("a segment");
    let pseudo = pseudo_v6(ip.src(), ip.dst(), Protocol::TCP, bytes.len() as u32);
    let is_right = segment.verify_checksum(pseudo);
    (segment, is_right)
}

#[test]
fn a_syn_is_repeated_with_its_options_and_without_data() {
    let whole = syn_packet(&[7; 100]);
    // The copy ends within the data.
    let syn = read(&whole[..100]).expect("a SYN");
    let (repeated, is_right) = segment(&syn.packet);
    assert!(is_right);
    assert_eq!(repeated.payload(), b"");
    let (original, _) = segment(&whole);
    let (repeated, original) = (tcp::Repr::parse(&repeated), tcp::Repr::parse(&original));
    assert_eq!(repeated.expect("options"), original.expect("options"));
    assert_eq!((syn.client.1, syn.to.1), (40_000, 8080));
}

#[test]
fn its_reset_acknowledges_it() {
    let packet = read(&syn_packet(&[])).expect("a SYN").reset().expect("room");
    let (reset, is_right) = segment(&packet);
    assert!(is_right);
    assert_eq!((reset.src_port(), reset.dst_port(), reset.ack()), (8080, 40_000, 0));
    assert_eq!(reset.flags(), Flags::RST.with(Flags::ACK));
}

#[test]
fn other_packets_are_none() {
    let packet = syn_packet(&[]);
    for cut in 0..packet.len() {
        assert!(read(&packet[..cut]).is_none(), "{cut}");
    }
    for flags in [Flags::ACK, Flags::SYN.with(Flags::ACK), Flags::RST, Flags::FIN] {
        let mut other = packet.clone();
        let segment = tcp::Packet::new_checked(&mut other[ipv6::HEADER_LEN..]);
        segment.expect("a segment").set_flags(flags);
        assert!(read(&other).is_none(), "{flags:?}");
    }
    let mut other = packet;
    other[6] = 17;
    assert!(read(&other).is_none(), "UDP");
}
