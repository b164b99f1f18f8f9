//! Frames of the shapes that a switch sees.

const UNTAGGED: &[u8] = &[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];

/// Name and bytes of each shape, without the virtio-net header.
#[must_use]
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    let udp4 = [&[0x08, 0x00][..], &ipv4(17, 46), &udp(26), &[0; 18]].concat();
    let tcp4 = [&[0x08, 0x00][..], &ipv4(6, 40), &tcp()].concat();
    let tcp6 = [&[0x86, 0xdd][..], &ipv6(6, 20), &tcp()].concat();
    let hop_by_hop = [6, 0, 5, 2, 0, 0, 1, 0];
    let tcp6_ext = [&[0x86, 0xdd][..], &ipv6(0, 28), &hop_by_hop, &tcp()].concat();
    let arp = [&[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1][..], &[0; 20]].concat();
    vec![
        ("udp4", [UNTAGGED, &udp4].concat()),
        ("tcp4", [UNTAGGED, &tcp4].concat()),
        ("tcp6", [UNTAGGED, &tcp6].concat()),
        ("tcp6 behind an extension", [UNTAGGED, &tcp6_ext].concat()),
        ("udp4 tagged", [UNTAGGED, &[0x81, 0x00, 0, 10], &udp4].concat()),
        ("udp4 tagged twice", [UNTAGGED, &[0x88, 0xa8, 0, 10, 0x81, 0, 0, 20], &udp4].concat()),
        ("arp", [UNTAGGED, &arp].concat()),
    ]
}

fn ipv4(protocol: u8, total_len: u8) -> Vec<u8> {
    let mut header = vec![0; 20];
    (header[0], header[3], header[8], header[9]) = (0x45, total_len, 64, protocol);
    header
}

fn ipv6(next_header: u8, payload_len: u8) -> Vec<u8> {
    let mut header = vec![0; 40];
    (header[0], header[5], header[6], header[7]) = (0x60, payload_len, next_header, 64);
    header
}

fn udp(len: u8) -> Vec<u8> {
    vec![0x30, 0x39, 0, 53, 0, len, 0, 0]
}

fn tcp() -> Vec<u8> {
    let mut header = vec![0; 20];
    header[12] = 0x50;
    header
}
