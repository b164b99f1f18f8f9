//! Packets that no kernel sends, made by Python scripts.

use crate::{Netns, Process};

/// Prelude of the scripts: functions that make IPv4 and IPv6 packets, by the family of the addresses.
const CRAFT: &str = "\
import random, socket, struct, sys
TCP, UDP, SCTP, ICMP = 6, 17, 132, {4: 1, 6: 58}
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
rng = random.Random('seed')

def version(address):
    return 6 if ':' in address else 4

def family(address):
    return socket.AF_INET6 if ':' in address else socket.AF_INET

def octets(address):
    return socket.inet_pton(family(address), address)

def checksum(data):
    data += bytes(len(data) % 2)
    n = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return ~n & 0xffff

def summed(src, dst, protocol, at, data):
    pseudo = octets(src) + octets(dst) + struct.pack('!II', len(data), protocol)
    return data[:at] + struct.pack('!H', checksum(pseudo + data) or 0xffff) + data[at + 2:]

def ip(src, dst, protocol, payload, ident=0, offset=0, more=False):
    if version(src) == 4:
        where = offset // 8 | more << 13
        head = struct.pack('!BBHHHBB', 0x45, 0, 20 + len(payload), ident, where, 64, protocol)
        head += bytes(2) + octets(src) + octets(dst)
        return head[:10] + struct.pack('!H', checksum(head)) + head[12:] + payload
    if offset or more:
        payload = struct.pack('!BBHI', protocol, 0, offset | more, ident) + payload
        protocol = 44
    head = struct.pack('!IHBB', 6 << 28, len(payload), protocol, 64)
    return head + octets(src) + octets(dst) + payload

def udp(src, sport, dst, dport, data):
    head = struct.pack('!4H', sport, dport, 8 + len(data), 0)
    return summed(src, dst, UDP, 6, head + data)

def tcp(src, sport, dst, dport, flags, seq, ack=0, data=b''):
    head = struct.pack('!HHIIBBHI', sport, dport, seq, ack, 5 << 4, flags, 4096, 0)
    return summed(src, dst, TCP, 16, head + data)

def error(src, dst, kind, code, rest, quoted):
    body = struct.pack('!BBHI', kind, code, 0, rest) + quoted
    if version(src) == 6:
        return ip(src, dst, ICMP[6], summed(src, dst, ICMP[6], 2, body))
    return ip(src, dst, ICMP[4], body[:2] + struct.pack('!H', checksum(body)) + body[4:])

def send(packet):
    kind = socket.AF_INET6 if packet[0] >> 4 == 6 else socket.AF_INET
    at = 24 if kind == socket.AF_INET6 else 16
    dst = packet[at:at + (16 if kind == socket.AF_INET6 else 4)]
    with socket.socket(kind, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
        s.sendto(packet, (socket.inet_ntop(kind, dst), 0))

def send_by(ifname, mac, packet):
    ethertype = 0x86dd if packet[0] >> 4 == 6 else 0x0800
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind((ifname, 0))
        head = bytes.fromhex(mac.replace(':', '')) + bytes([2, 0, 0, 0, 0, 9])
        s.send(head + struct.pack('!H', ethertype) + packet)

";

impl Netns {
    /// Runs a script that makes packets, which must succeed; returns its output.
    #[track_caller]
    pub fn craft(&self, script: &str, args: &[&str]) -> String {
        let script = format!("{CRAFT}{script}");
        self.ok(&[&["python3", "-c", &script][..], args].concat())
    }

    /// Starts a script that makes packets.
    #[track_caller]
    pub fn spawn_crafting(&self, script: &str, args: &[&str]) -> Process {
        let script = format!("{CRAFT}{script}");
        self.spawn(&[&["python3", "-c", &script][..], args].concat())
    }
}
