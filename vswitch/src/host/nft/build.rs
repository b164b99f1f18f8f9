//! Builders of chains, rules and matches, and the layout of packets.

use std::ffi::{CStr, CString};

use ipnet::IpNet;
use vswitch_sys::chain::IngressChain;
use vswitch_sys::expr::{Base, Cmp, Expr, Meta, Reg};
use vswitch_sys::set::{Field, Set};
use vswitch_sys::{Batch, Chain, ChainType, Hook, MsgType, Policy, Rule, Table};

/// The caller of a chain.
#[derive(Clone, Copy)]
pub(super) enum ChainHook<'a> {
    /// Other chains.
    Jump,
    /// The ingress of a device.
    Ingress(&'a CStr, i32),
    /// The ingress of several devices.
    IngressOfAll(&'a [CString], i32),
    /// A hook of the IP stack: filter or NAT.
    Stack(ChainType, Hook, i32),
}

/// What a batch has of a table: its rules and chains, and how many rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) rules: usize,
    pub(super) chains: Vec<WrittenChain>,
}

/// A chain, with its devices if it is at the ingress of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WrittenChain {
    pub(super) name: CString,
    pub(super) devices: Vec<CString>,
}

/// A table that is being written into a batch.
pub(super) struct Writer<'a> {
    pub(super) batch: &'a mut Batch,
    pub(super) table: &'a Table,
    pub(super) written: Written,
    /// The kernel has objects of timeouts.
    pub(super) has_timeouts: bool,
    /// The table is written with its sets and objects; otherwise the kernel has these.
    pub(super) is_whole: bool,
    sets: u32,
}

impl<'a> Writer<'a> {
    /// `sets`: number of sets that the batch has already.
    pub(super) fn new(batch: &'a mut Batch, table: &'a Table, sets: u32) -> Self {
        let written = Written::default();
        Self { batch, table, written, has_timeouts: true, is_whole: true, sets }
    }

    /// Number of sets that the batch has now.
    pub(super) fn sets(&self) -> u32 {
        self.sets
    }

    pub(super) fn chain(&mut self, name: &CStr, at: ChainHook<'_>) -> Chain<'a> {
        let mut chain = Chain::new(name, self.table);
        match at {
            ChainHook::Jump => {}
            ChainHook::IngressOfAll(devices, priority) => {
                let all = ingress_of(self.table, name, (priority, devices));
                self.batch.add(&all, MsgType::Add);
                self.note_chain(name, devices.to_vec());
                return chain;
            }
            ChainHook::Ingress(device, priority) => {
                // The number of the ingress hook of this family is that of prerouting in others.
                chain.set_hook(Hook::PreRouting, priority);
                chain.set_type(ChainType::Filter);
                chain.set_device(device);
                chain.set_policy(Policy::Accept);
            }
            ChainHook::Stack(kind, hook, priority) => {
                chain.set_hook(hook, priority);
                chain.set_type(kind);
                chain.set_policy(Policy::Accept);
            }
        }
        self.batch.add(&chain, MsgType::Add);
        self.note_chain(name, Vec::new());
        chain
    }

    fn note_chain(&mut self, name: &CStr, devices: Vec<CString>) {
        self.written.chains.push(WrittenChain { name: name.to_owned(), devices });
    }

    /// Puts a set with its elements into the batch, unless the kernel has it.
    pub(super) fn put(&mut self, set: &Set<'_>) {
        if self.is_whole {
            set.put(self.batch);
        }
    }

    /// A set of single keys of several fields.
    pub(super) fn keys(&mut self, name: &CStr, fields: &[Field]) -> Set<'a> {
        self.sets += 1;
        Set::keys(name, self.sets, self.table, fields)
    }

    pub(super) fn set(&mut self, name: &CStr, fields: &[Field]) -> Set<'a> {
        self.sets += 1;
        Set::new(name, self.sets, self.table, fields)
    }

    /// A map of single keys, or of intervals.
    pub(super) fn map(
        &mut self,
        name: &CStr,
        (fields, has_intervals): (&[Field], bool),
        values: &[Field],
    ) -> Set<'a> {
        self.sets += 1;
        match has_intervals {
            false => Set::map(name, self.sets, self.table, fields, values),
            true => Set::interval_map(name, self.sets, self.table, fields, values),
        }
    }

    pub(super) fn rule(&mut self, chain: &Chain<'_>, parts: &[&[Expr]]) {
        let mut rule = Rule::new(chain);
        parts.iter().copied().flatten().for_each(|expr| rule.add_expr(expr));
        self.batch.add(&rule, MsgType::Add);
        self.written.rules += 1;
    }
}

/// A chain at the ingress of devices.
pub(super) fn ingress_of<'a>(
    table: &'a Table,
    name: &'a CStr,
    (priority, devices): (i32, &'a [CString]),
) -> IngressChain<'a> {
    let devices = devices.iter().map(CString::as_c_str).collect();
    IngressChain::new(table, name, priority, devices)
}

/// A name for the kernel; interface names and ours hold no zero byte.
pub(super) fn text(name: &str) -> CString {
    CString::new(name.replace('\0', "")).unwrap_or_default()
}

pub(super) fn payload_is(base: Base, offset: u32, value: &[u8]) -> [Expr; 2] {
    let load = Expr::payload(base, offset, value.len() as u32, Reg::R0);
    [load, Expr::cmp(Reg::R0, Cmp::Eq, value)]
}

pub(super) fn l4proto_is(protocol: u8) -> [Expr; 2] {
    [Expr::meta(Meta::L4Proto, Reg::R0), Expr::cmp(Reg::R0, Cmp::Eq, &[protocol])]
}

/// `oifname` or `iifname`.
pub(super) fn device_is(which: Meta, op: Cmp, name: &CStr) -> [Expr; 2] {
    [Expr::meta(which, Reg::R0), Expr::cmp(Reg::R0, op, &padded(name))]
}

/// The name of a device as the kernel compares it.
pub(super) fn padded(name: &CStr) -> [u8; 16] {
    let mut padded = [0; 16];
    let bytes = name.to_bytes();
    padded[..bytes.len().min(15)].copy_from_slice(&bytes[..bytes.len().min(15)]);
    padded
}

/// Which address of the IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Source,
    Destination,
}

/// Whether an address of the packet is in a network (of the family that the chain is for).
pub(super) fn address_in(which: Which, network: IpNet) -> Vec<Expr> {
    let (offset, len, mask, prefix) = match network.trunc() {
        IpNet::V4(net) => (12, 4, net.netmask().octets().to_vec(), net.network().octets().to_vec()),
        IpNet::V6(net) => (8, 16, net.netmask().octets().to_vec(), net.network().octets().to_vec()),
    };
    let offset = if which == Which::Source { offset } else { offset + len };
    let mut all = vec![Expr::payload(Base::Network, offset, len, Reg::R0)];
    if mask.iter().any(|byte| *byte != 0xff) {
        all.push(Expr::mask(Reg::R0, &mask));
    }
    all.push(Expr::cmp(Reg::R0, Cmp::Eq, &prefix));
    all
}

/// Whether a port or identifier at an offset of the transport header is one of a range.
pub(super) fn port_in(offset: u32, first: u16, last: u16) -> [Expr; 2] {
    let load = Expr::payload(Base::Transport, offset, 2, Reg::R0);
    [load, Expr::range(Reg::R0, &first.to_be_bytes(), &last.to_be_bytes())]
}

/// Offsets and numbers of one IP version.
pub(super) struct Layout {
    /// Suffix of chain and set names.
    pub(super) version: char,
    pub(super) ethertype: u16,
    pub(super) address: Field,
    /// Offsets of source and destination in the IP header.
    pub(super) source: u32,
    pub(super) destination: u32,
    pub(super) icmp: u8,
    pub(super) echo_reply: u8,
    pub(super) echo_request: u8,
    pub(super) errors: &'static [u8],
    /// Offsets in an ICMP error: protocol, source and payload of the quoted packet.
    pub(super) quoted_protocol: u32,
    pub(super) quoted_source: u32,
    pub(super) quoted_payload: u32,
}

pub(super) const V4: Layout = Layout {
    version: '4',
    ethertype: 0x0800,
    address: Field::Ipv4,
    source: 12,
    destination: 16,
    icmp: 1,
    echo_reply: 0,
    echo_request: 8,
    // Destination unreachable, time exceeded, parameter problem (RFC 792).
    errors: &[3, 11, 12],
    quoted_protocol: 8 + 9,
    quoted_source: 8 + 12,
    // Without IP options, which an earlier rule checks.
    quoted_payload: 8 + 20,
};

pub(super) const V6: Layout = Layout {
    version: '6',
    ethertype: 0x86dd,
    address: Field::Ipv6,
    source: 8,
    destination: 24,
    icmp: 58,
    echo_reply: 129,
    echo_request: 128,
    // Destination unreachable, packet too big, time exceeded, parameter problem (RFC 4443).
    errors: &[1, 2, 3, 4],
    quoted_protocol: 8 + 6,
    quoted_source: 8 + 8,
    quoted_payload: 8 + 40,
};

impl Layout {
    pub(super) fn is_v6(&self) -> bool {
        self.version == '6'
    }

    pub(super) fn name(&self, what: &str) -> CString {
        text(&format!("{what}{}", self.version))
    }
}
