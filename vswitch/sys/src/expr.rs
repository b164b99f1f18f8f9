//! Expressions of rules: each is a name and some attributes, evaluated over 32-bit registers.
//!
//! A register is four bytes; a longer value takes several in a row. Numbers of the packet are in network
//! byte order, those of the kernel (interface indices, address types, conntrack bits) in the host's.

use std::ffi::{CStr, CString, c_void};
use std::net::IpAddr;
use std::ptr::NonNull;

use nftnl::Rule;
use nftnl::expr::Expression;
use nftnl::nftnl_sys as sys;

use crate::limits::DATA_LEN_MAX;
use crate::set::Set;

/// `NFT_REG32_00`.
const REG32_00: u32 = 8;
/// `NFT_REG_VERDICT`.
const REG_VERDICT: u32 = 0;

/// One of the 16 registers of four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reg(u32);

impl Reg {
    /// The first.
    pub const R0: Self = Self(REG32_00);

    /// The register `bytes` further on, rounded up to whole registers.
    ///
    /// # Panics
    /// If there are no 16 registers any more.
    #[must_use]
    pub fn after(self, bytes: usize) -> Self {
        let next = self.0 + u32::try_from(bytes.div_ceil(4)).expect("a key's length");
        assert!(next < REG32_00 + 16, "there is no register {next}");
        Self(next)
    }
}

/// Which header an offset counts from (`NFT_PAYLOAD_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Base {
    /// Ethernet.
    Link = 0,
    /// IP.
    Network = 1,
    /// TCP, UDP, ICMP and so on; does not match in later fragments.
    Transport = 2,
}

/// Metadata of a packet (`NFT_META_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Meta {
    /// Ethernet type, two bytes in network order.
    Protocol = 1,
    /// The packet's mark, four bytes.
    Mark = 3,
    /// Index of the input device, four bytes.
    Iif = 4,
    /// Name of the input device, 16 bytes.
    IifName = 6,
    /// Name of the output device, 16 bytes.
    OifName = 7,
    /// Transport protocol, one byte.
    L4Proto = 16,
}

/// A comparison (`NFT_CMP_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Cmp {
    /// Equal.
    Eq = 0,
    /// Not equal.
    Neq = 1,
}

/// Address that [`Expr::fib_type`] looks up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Fib {
    /// The source's.
    Source = 1,
    /// The destination's.
    Destination = 2,
}

/// Type of a local address: `RTN_LOCAL`.
pub const ADDRESS_LOCAL: u32 = 2;
/// `IPS_DST_NAT` of a connection's status.
pub const CT_STATUS_DNAT: u32 = 1 << 5;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    U8(u8),
    U16(u16),
    U32(u32),
    Data(Vec<u8>),
    Text(CString),
}

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expr {
    name: &'static CStr,
    attributes: Vec<(u32, Value)>,
}

fn data(bytes: &[u8]) -> Value {
    assert!(bytes.len() <= DATA_LEN_MAX, "{} bytes are no value of nftables", bytes.len());
    Value::Data(bytes.to_vec())
}

impl Expr {
    fn new<const N: usize>(name: &'static CStr, attributes: [(u32, Value); N]) -> Self {
        Self { name, attributes: attributes.into() }
    }

    /// Loads bytes of the packet.
    #[must_use]
    pub fn payload(base: Base, offset: u32, len: u32, to: Reg) -> Self {
        Self::new(
            c"payload",
            [
                (sys::NFTNL_EXPR_PAYLOAD_DREG, Value::U32(to.0)),
                (sys::NFTNL_EXPR_PAYLOAD_BASE, Value::U32(base as u32)),
                (sys::NFTNL_EXPR_PAYLOAD_OFFSET, Value::U32(offset)),
                (sys::NFTNL_EXPR_PAYLOAD_LEN, Value::U32(len)),
            ],
        )
    }

    /// Loads metadata of the packet.
    #[must_use]
    pub fn meta(key: Meta, to: Reg) -> Self {
        Self::new(
            c"meta",
            [
                (sys::NFTNL_EXPR_META_KEY, Value::U32(key as u32)),
                (sys::NFTNL_EXPR_META_DREG, Value::U32(to.0)),
            ],
        )
    }

    /// Loads bytes of an IPv6 extension header; does not match where there is none.
    #[must_use]
    pub fn exthdr(header: u8, offset: u32, len: u32, to: Reg) -> Self {
        Self::new(
            c"exthdr",
            [
                (sys::NFTNL_EXPR_EXTHDR_DREG, Value::U32(to.0)),
                (sys::NFTNL_EXPR_EXTHDR_TYPE, Value::U8(header)),
                (sys::NFTNL_EXPR_EXTHDR_OFFSET, Value::U32(offset)),
                (sys::NFTNL_EXPR_EXTHDR_LEN, Value::U32(len)),
            ],
        )
    }

    /// Loads the kind of an address, such as [`ADDRESS_LOCAL`].
    #[must_use]
    pub fn fib_type(whose: Fib, to: Reg) -> Self {
        /// `NFT_FIB_RESULT_ADDRTYPE`.
        const ADDRTYPE: u32 = 3;
        Self::new(
            c"fib",
            [
                (sys::NFTNL_EXPR_FIB_DREG, Value::U32(to.0)),
                (sys::NFTNL_EXPR_FIB_RESULT, Value::U32(ADDRTYPE)),
                (sys::NFTNL_EXPR_FIB_FLAGS, Value::U32(whose as u32)),
            ],
        )
    }

    /// Loads the status bits of the packet's connection.
    #[must_use]
    pub fn ct_status(to: Reg) -> Self {
        /// `NFT_CT_STATUS`.
        const STATUS: u32 = 2;
        Self::new(
            c"ct",
            [
                (sys::NFTNL_EXPR_CT_KEY, Value::U32(STATUS)),
                (sys::NFTNL_EXPR_CT_DREG, Value::U32(to.0)),
            ],
        )
    }

    /// Loads the state bit of the packet's connection (`NF_CT_STATE_BIT`).
    #[must_use]
    pub fn ct_state(to: Reg) -> Self {
        Self::new(
            c"ct",
            [(sys::NFTNL_EXPR_CT_KEY, Value::U32(0)), (sys::NFTNL_EXPR_CT_DREG, Value::U32(to.0))],
        )
    }

    /// Keeps the bits of `mask` of a register.
    #[must_use]
    pub fn mask(reg: Reg, mask: &[u8]) -> Self {
        let len = u32::try_from(mask.len()).expect("a value's length");
        Self::new(
            c"bitwise",
            [
                (sys::NFTNL_EXPR_BITWISE_SREG, Value::U32(reg.0)),
                (sys::NFTNL_EXPR_BITWISE_DREG, Value::U32(reg.0)),
                (sys::NFTNL_EXPR_BITWISE_OP, Value::U32(0)),
                (sys::NFTNL_EXPR_BITWISE_LEN, Value::U32(len)),
                (sys::NFTNL_EXPR_BITWISE_MASK, data(mask)),
                (sys::NFTNL_EXPR_BITWISE_XOR, data(&vec![0; mask.len()])),
            ],
        )
    }

    /// Continues only if a comparison holds.
    #[must_use]
    pub fn cmp(reg: Reg, op: Cmp, with: &[u8]) -> Self {
        Self::new(
            c"cmp",
            [
                (sys::NFTNL_EXPR_CMP_SREG, Value::U32(reg.0)),
                (sys::NFTNL_EXPR_CMP_OP, Value::U32(op as u32)),
                (sys::NFTNL_EXPR_CMP_DATA, data(with)),
            ],
        )
    }

    /// Continues only if a register is in a range, both ends included.
    ///
    /// # Panics
    /// If the two are not equally long.
    #[must_use]
    pub fn range(reg: Reg, from: &[u8], to: &[u8]) -> Self {
        assert_eq!(from.len(), to.len(), "ends of a range");
        Self::new(
            c"range",
            [
                (sys::NFTNL_EXPR_RANGE_SREG, Value::U32(reg.0)),
                (sys::NFTNL_EXPR_RANGE_OP, Value::U32(0)),
                (sys::NFTNL_EXPR_RANGE_FROM_DATA, data(from)),
                (sys::NFTNL_EXPR_RANGE_TO_DATA, data(to)),
            ],
        )
    }

    /// Continues only if the key that begins in a register is in a set.
    #[must_use]
    pub fn lookup(reg: Reg, set: &Set<'_>) -> Self {
        Self::new(
            c"lookup",
            [
                (sys::NFTNL_EXPR_LOOKUP_SREG, Value::U32(reg.0)),
                (sys::NFTNL_EXPR_LOOKUP_SET, Value::Text(set.name().to_owned())),
                (sys::NFTNL_EXPR_LOOKUP_SET_ID, Value::U32(set.id())),
            ],
        )
    }

    /// The same in a map, whose value goes into registers from `to` on.
    #[must_use]
    pub fn lookup_map(reg: Reg, map: &Set<'_>, to: Reg) -> Self {
        let mut expr = Self::lookup(reg, map);
        expr.attributes.push((sys::NFTNL_EXPR_LOOKUP_DREG, Value::U32(to.0)));
        expr
    }

    /// Adds the key that begins in a register to a set that packets fill; does not match where it is full.
    #[must_use]
    pub fn add_to(reg: Reg, set: &Set<'_>) -> Self {
        /// `NFT_DYNSET_OP_ADD`.
        const ADD: u32 = 0;
        Self::new(
            c"dynset",
            [
                (sys::NFTNL_EXPR_DYNSET_OP, Value::U32(ADD)),
                (sys::NFTNL_EXPR_DYNSET_SREG_KEY, Value::U32(reg.0)),
                (sys::NFTNL_EXPR_DYNSET_SET_NAME, Value::Text(set.name().to_owned())),
                (sys::NFTNL_EXPR_DYNSET_SET_ID, Value::U32(set.id())),
            ],
        )
    }

    /// Sends a copy of the packet, its first `len` bytes, to a log group ([`crate::log_group`]); continues.
    #[must_use]
    pub fn log(group: u16, len: u32) -> Self {
        Self::new(
            c"log",
            [
                (sys::NFTNL_EXPR_LOG_GROUP, Value::U16(group)),
                (sys::NFTNL_EXPR_LOG_SNAPLEN, Value::U32(len)),
            ],
        )
    }

    /// Puts a value into a register.
    #[must_use]
    pub fn immediate(to: Reg, value: &[u8]) -> Self {
        Self::new(
            c"immediate",
            [(sys::NFTNL_EXPR_IMM_DREG, Value::U32(to.0)), (sys::NFTNL_EXPR_IMM_DATA, data(value))],
        )
    }

    /// Keeps the packet from connection tracking, if that has not seen it yet.
    #[must_use]
    pub fn notrack() -> Self {
        Self::new(c"notrack", [])
    }

    /// Counts packets and bytes.
    #[must_use]
    pub fn counter() -> Self {
        Self::new(c"counter", [])
    }

    /// Redirects the frame to the device whose index is in a register; ends.
    #[must_use]
    pub fn fwd(device: Reg) -> Self {
        Self::new(c"fwd", [(sys::NFTNL_EXPR_FWD_SREG_DEV, Value::U32(device.0))])
    }

    /// Sends a copy to the device whose index is in a register; continues.
    #[must_use]
    pub fn dup(device: Reg) -> Self {
        Self::new(c"dup", [(sys::NFTNL_EXPR_DUP_SREG_DEV, Value::U32(device.0))])
    }

    /// Translates the destination to the address and port in registers, each if there is one; ends.
    #[must_use]
    pub fn dnat(family: IpAddr, address: Option<Reg>, port: Option<Reg>) -> Self {
        /// `NFT_NAT_DNAT`.
        const DNAT: u32 = 1;
        Self::nat(DNAT, family, address, port)
    }

    /// Translates the source to the address in a register; ends.
    #[must_use]
    pub fn snat(family: IpAddr, address: Reg) -> Self {
        /// `NFT_NAT_SNAT`.
        const SNAT: u32 = 0;
        Self::nat(SNAT, family, Some(address), None)
    }

    fn nat(kind: u32, family: IpAddr, address: Option<Reg>, port: Option<Reg>) -> Self {
        // The families of `linux/netfilter.h`.
        let family = if family.is_ipv4() { 2 } else { 10 };
        let kind = [
            (sys::NFTNL_EXPR_NAT_TYPE, Value::U32(kind)),
            (sys::NFTNL_EXPR_NAT_FAMILY, Value::U32(family)),
        ];
        let mut expr = Self::new(c"nat", kind);
        let registers = [
            (sys::NFTNL_EXPR_NAT_REG_ADDR_MIN, address),
            (sys::NFTNL_EXPR_NAT_REG_PROTO_MIN, port),
        ];
        let loaded = registers.into_iter().filter_map(|(name, reg)| Some((name, reg?)));
        expr.attributes.extend(loaded.map(|(name, reg)| (name, Value::U32(reg.0))));
        expr
    }

    /// Translates the source to an address of the output device; ends.
    #[must_use]
    pub fn masquerade() -> Self {
        Self::new(c"masq", [])
    }

    /// Gives a new connection the timeouts of this name ([`crate::timeout`]).
    #[must_use]
    pub fn ct_timeout(name: &CStr) -> Self {
        Self::new(
            c"objref",
            [
                (sys::NFTNL_EXPR_OBJREF_IMM_TYPE, Value::U32(crate::timeout::OBJECT)),
                (sys::NFTNL_EXPR_OBJREF_IMM_NAME, Value::Text(name.to_owned())),
            ],
        )
    }

    /// Accepts; ends.
    #[must_use]
    pub fn accept() -> Self {
        Self::verdict(1, None)
    }

    /// Drops; ends.
    #[must_use]
    pub fn drop() -> Self {
        Self::verdict(0, None)
    }

    /// Continues in another chain, and returns from its end.
    #[must_use]
    pub fn jump(chain: &CStr) -> Self {
        /// `NFT_JUMP`.
        const JUMP: i32 = -3;
        Self::verdict(JUMP.cast_unsigned(), Some(chain.to_owned()))
    }

    fn verdict(code: u32, chain: Option<CString>) -> Self {
        let mut expr = Self::new(
            c"immediate",
            [
                (sys::NFTNL_EXPR_IMM_DREG, Value::U32(REG_VERDICT)),
                (sys::NFTNL_EXPR_IMM_VERDICT, Value::U32(code)),
            ],
        );
        if let Some(chain) = chain {
            expr.attributes.push((sys::NFTNL_EXPR_IMM_CHAIN, Value::Text(chain)));
        }
        expr
    }
}

impl Expression for Expr {
    fn to_expr(&self, _rule: &Rule<'_>) -> NonNull<sys::nftnl_expr> {
        // SAFETY: the name is a terminated string. libnftnl allocates the expression; the rule that it is
        // added to frees it (the trait's contract).
        let expr = unsafe { sys::nftnl_expr_alloc(self.name.as_ptr()) };
        let expr = NonNull::new(expr).expect("libnftnl knows the expression, and there is memory");
        for (attribute, value) in &self.attributes {
            let attribute = u16::try_from(*attribute).expect("attributes are small");
            // SAFETY: `expr` was just made and is ours. libnftnl copies each value. The constructors above, the
            // only makers of an `Expr`, give each attribute the type that libnftnl reads from it, texts are
            // terminated, and no data is longer than its buffer of `NFT_DATA_VALUE_MAXLEN` bytes.
            unsafe {
                let expr = expr.as_ptr();
                match value {
                    Value::U8(value) => sys::nftnl_expr_set_u8(expr, attribute, *value),
                    Value::U16(value) => sys::nftnl_expr_set_u16(expr, attribute, *value),
                    Value::U32(value) => sys::nftnl_expr_set_u32(expr, attribute, *value),
                    Value::Data(bytes) => {
                        let start = bytes.as_ptr().cast::<c_void>();
                        sys::nftnl_expr_set(expr, attribute, start, bytes.len() as u32);
                    }
                    Value::Text(text) => {
                        sys::nftnl_expr_set_str(expr, attribute, text.as_ptr());
                    }
                }
            }
        }
        expr
    }
}
