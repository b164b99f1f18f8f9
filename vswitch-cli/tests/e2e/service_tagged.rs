//! The service port asked by frames with a VLAN tag, crafted where the kernel may have no VLAN devices.

use std::net::IpAddr;

use vswitch_api::network::NetworkDetail;

use crate::harness::{Container, Host};

/// Asks for the address of a name by a frame with a tag, and prints what comes back: `udp TAG RCODE ADDRESS`,
/// or `tcp TAG FLAGS`; nothing after half a second. Arguments: `VLAN GATEWAY_MAC OWN GATEWAY PROTOCOL NAME`.
const ASK_TAGGED: &str = r"
import socket, struct, sys, time
vlan, mac, own, gateway, protocol, name = int(sys.argv[1]), *sys.argv[2:]
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(('eth0', 3))
s.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA
s.settimeout(0.2)
family = socket.AF_INET6 if ':' in own else socket.AF_INET
src, dst = (socket.inet_pton(family, it) for it in (own, gateway))

def checksum(data):
    data += b'\0' * (len(data) % 2)
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return struct.pack('!H', ~total & 0xffff)

if protocol == 'udp':
    labels = b''.join(bytes([len(label)]) + label.encode() for label in name.split('.'))
    query = struct.pack('!6H', 77, 0x100, 1, 0, 0, 0) + labels + b'\0' + struct.pack('!2H', 1, 1)
    number, at, l4 = 17, 6, struct.pack('!4H', 40053, 53, 8 + len(query), 0) + query
else:
    number, at, l4 = 6, 16, struct.pack('!2H2I4H', 40053, 53, 1, 0, 0x5002, 64240, 0, 0)
pseudo = src + dst + struct.pack('!HH', number, len(l4))
l4 = l4[:at] + checksum(pseudo + l4) + l4[at + 2:]
if family == socket.AF_INET6:
    kind, packet = 0x86dd, struct.pack('!IHBB', 6 << 28, len(l4), number, 64) + src + dst + l4
else:
    head = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(l4), 1, 0, 64, number, 0) + src + dst
    kind, packet = 0x800, head[:10] + checksum(head) + head[12:] + l4
tag = struct.pack('!HH', 0x8100, vlan) if vlan >= 0 else b''
own_mac = s.getsockname()[4]
s.send(bytes.fromhex(mac.replace(':', '')) + own_mac + tag + struct.pack('!H', kind) + packet)
end = time.monotonic() + 0.5
while time.monotonic() < end:
    try:
        data, control, flags, address = s.recvmsg(70000, 64)
    except TimeoutError:
        continue
    if address[2] == 4 or data[:6] != own_mac:  # PACKET_OUTGOING
        continue
    status, tci = [(it[0], it[5]) for it in (struct.unpack('=IIIHHHH', c[2][:20]) for c in control if c[1] == 8)][0]
    shown = tci if status & 16 else 'untagged'  # TP_STATUS_VLAN_VALID
    is_v6 = data[12:14] == b'\x86\xdd'
    l4 = data[54:] if is_v6 else data[34:]
    if data[20 if is_v6 else 23] != number or l4[:4] != struct.pack('!HH', 53, 40053):
        continue
    if protocol == 'udp':
        print('udp', shown, l4[11] & 15, '.'.join(str(it) for it in l4[-4:]))
    else:
        print('tcp', shown, l4[13] & 0x12)
    break
";

#[track_caller]
fn ask(from: &Container, tag: i32, gateway: (&str, IpAddr), protocol: &str, name: &str) -> String {
    let (mac, gateway) = gateway;
    let own = if gateway.is_ipv4() { from.v4() } else { from.v6() };
    let (tag, own, gateway) = (tag.to_string(), own.to_string(), gateway.to_string());
    let command = ["python3", "-c", ASK_TAGGED, &tag, mac, &own, &gateway, protocol, name];
    from.ok(&command).trim().to_owned()
}

/// The host, and with it the gateway, is on VLAN 10, which comes to the trunk with a tag.
#[test]
fn a_tagged_query_gets_a_tagged_answer() {
    for args in [&["--uplink", "none"][..], &["--uplink", "auto", "--workers", "2"]] {
        let host = Host::with_switch_args(args);
        let other = host.container_with("other", &["--access", "10"]);
        let a = host.container_with("a", &["--trunk", "10,20", "--native", "untagged"]);
        let detail: NetworkDetail =
            serde_json::from_value(host.json(&["network", "inspect", "br0"])).expect("it");
        let mac = detail.gateway_mac.to_string();
        host.ok(&["port", "set", "br0", "--access", "10"]);
        let found = format!("udp 10 0 {}", other.v4());
        for gateway in [a.gateway(), a.gateway6()] {
            let to = (mac.as_str(), gateway);
            assert_eq!(ask(&a, 10, to, "udp", "other"), found, "{args:?} {gateway}");
            assert_eq!(ask(&a, 10, to, "tcp", "other"), "tcp 10 18", "{args:?} {gateway}");
            // The gateway is on that VLAN only, and with a priority its answer has none.
            let prior = (3 << 13) + 10;
            assert_eq!(ask(&a, prior, to, "udp", "other"), found, "{args:?} {gateway}");
        }
        let to = (mac.as_str(), a.gateway());
        for tag in [20, 30, 0, -1].into_iter().take(if args.len() > 2 { 1 } else { 4 }) {
            assert_eq!(ask(&a, tag, to, "udp", "other"), "", "{args:?} {tag}");
        }
        // A priority tag is no VLAN.
        host.ok(&["port", "set", "br0", "--access", "untagged"]);
        let found = format!("udp untagged 0 {}", other.v4());
        assert_eq!(ask(&a, 0, to, "udp", "other"), found);
        assert_eq!(ask(&a, -1, to, "udp", "other"), found);
        host.balanced();
    }
}
