//! Half-closed TCP connections of the host to published ports: as long as the host's own wait, not a minute.
//!
//! The kernel forgets a translated connection 60 s after the first FIN is acknowledged (`close_wait` of conntrack), though
//! the other half may still send. Ours get [`HALF_CLOSED_IDLE`] by an object of our table; the host's settings stay, and
//! hold for all other connections. A connection gets its timeouts with its first packet, and loses them with the table.

use vswitch_sys::expr::{Cmp, Expr, Meta, Reg};
use vswitch_sys::set::Set;
use vswitch_sys::timeout::TcpTimeouts;
use vswitch_sys::{ChainType, Hook, MsgType};

use super::build::{ChainHook, Writer, l4proto_is};
use super::forwards::{Protocol, protocol_number};
use crate::host::limits::HALF_CLOSED_IDLE;

/// After DNAT, before SNAT: the source is still the host's.
const PRIORITY_FILTER: i32 = 0;

/// `NF_CT_STATE_BIT` of a new connection.
const NEW: u32 = 0b1000;

/// Writes the object, and a chain that gives it to new connections of the host to these devices that were translated.
pub(super) fn write(
    writer: &mut Writer<'_>,
    bridges: &Set<'_>,
    [was_translated, from_host]: [&[Expr]; 2],
) {
    if writer.is_whole {
        let object = TcpTimeouts::new(writer.table, c"half-closed", HALF_CLOSED_IDLE);
        writer.batch.add(&object, MsgType::Add);
    }
    let at = ChainHook::Stack(ChainType::Filter, Hook::PostRouting, PRIORITY_FILTER);
    let chain = writer.chain(c"timeouts", at);
    let is_new = [
        Expr::ct_state(Reg::R0),
        Expr::mask(Reg::R0, &NEW.to_ne_bytes()),
        Expr::cmp(Reg::R0, Cmp::Neq, &[0; 4]),
    ];
    let to_bridge = [Expr::meta(Meta::OifName, Reg::R0), Expr::lookup(Reg::R0, bridges)];
    let is_tcp = l4proto_is(protocol_number(Protocol::Tcp));
    let set = [Expr::ct_timeout(c"half-closed")];
    writer.rule(&chain, &[&is_new, &is_tcp, &to_bridge, was_translated, from_host, &set]);
}
