//! The table that hands SYNs to ports of the proxy of ::1 to it, before the kernel accepts them.
//!
//! # Theory of operation
//!
//! A SYN to a socket of the proxy on the loopback device, by its address and port or for `[::]` by its port alone, is noted in
//! the set `known` by its ports and sequence number, copied to a log group, and dropped. It passes when it comes again, by
//! whomever: the proxy repeats it once the container has accepted, and so does the client after a second. So nobody waits
//! longer than that for a proxy that is busy, or has stopped. While the set is full, all SYNs pass.
//!
//! A chain of type `nat` sees the first packet of a connection only: no other one costs anything. Where the kernel does not
//! track the loopback device (`notrack`), SYNs pass. At `postrouting`, the host's own rules for `output` have judged. SYNs
//! that they have translated pass.
//!
//! A reset that the proxy sends answers a SYN that connection tracking has forgotten, dropped as it was: it would be *invalid*,
//! which many a host's rules drop. So the chain `untracked` takes it, by its mark, out of the tracking.
//!
//! The table belongs to its socket, and goes with it. A kernel that has no owners (before Linux 5.12) gets none, since it
//! would stay after a crash.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::net::Ipv6Addr;

use vswitch_sys::expr::{Base, CT_STATUS_DNAT, Cmp, Expr, Meta, Reg};
use vswitch_sys::set::{Field, Set};
use vswitch_sys::socket::Socket;
use vswitch_sys::table::{Flagged, Flags};
use vswitch_sys::{Batch, ChainType, Hook, MsgType, ProtoFamily, Table};

use super::build::{ChainHook, Writer, device_is, l4proto_is, text};
use super::exchange;
use super::kernel::{NftError, table_name};
use super::{Protocol, blocking, protocol_number};
use crate::host::limits::{RESET_MARK, SYN_KNOWN, SYNS_KNOWN_MAX};

/// Just after `NF_IP6_PRI_NAT_SRC`.
const PRIORITY: i32 = 101;

/// `NF_IP6_PRI_RAW`: before connection tracking.
const PRIORITY_RAW: i32 = -300;

/// Bytes of a packet that are copied: headers of IPv6 and TCP with all options.
const COPIED_LEN: u32 = 40 + 60;

/// `NF_CT_STATE_BIT` of a new connection.
const NEW: u32 = 0b1000;

/// Offset of the flags in a TCP header, and FIN, SYN, RST and ACK of them.
const FLAGS_AT: u32 = 13;
const FLAGS: u8 = 0x17;
const SYN: u8 = 0x02;

const HINT: &str = "it needs Linux 5.12 and the modules nft_log and nfnetlink_log";

/// Sockets of one address, and of all.
const SOCKETS: &CStr = c"sockets";
const PORTS: &CStr = c"ports";
const SOCKETS_KEY: [Field; 2] = [Field::Ipv6, Field::Port];
const PORTS_KEY: [Field; 1] = [Field::Port];

/// Address and port of a socket; the unspecified address is all.
pub(crate) type BoundTo = (Ipv6Addr, u16);

/// The table of a switch.
#[derive(Debug)]
pub(crate) struct SynTable {
    socket: Socket,
    name: CString,
}

impl SynTable {
    /// Loads the table for these sockets. SYNs go to a log group.
    ///
    /// # Errors
    /// The kernel refuses: nothing is changed then.
    pub(crate) async fn load(
        bridge: &str,
        group: u16,
        sockets: BTreeSet<BoundTo>,
    ) -> Result<Self, NftError> {
        // No device has a slash in its name, so the table is no other switch's.
        let name = text(&format!("{}/syn", table_name(bridge).to_string_lossy()));
        blocking(move || {
            let socket = exchange::open().map_err(NftError::Socket)?;
            let table = Self { socket, name };
            table.send(write(&table.name, group, &sockets))?;
            Ok(table)
        })
        .await
    }

    /// Changes the sockets.
    ///
    /// # Errors
    /// The kernel refuses: the table is gone then.
    pub(crate) async fn change(
        self,
        gone: BTreeSet<BoundTo>,
        new: BTreeSet<BoundTo>,
    ) -> Result<Self, NftError> {
        if gone.is_empty() && new.is_empty() {
            return Ok(self);
        }
        blocking(move || {
            self.send(write_change(&self.name, &gone, &new))?;
            Ok(self)
        })
        .await
    }

    fn send(&self, batch: Batch) -> Result<(), NftError> {
        exchange::send(&self.socket, batch).map_err(|(message, source)| NftError::Refused {
            table: self.name.to_string_lossy().into(),
            message,
            source,
            hint: HINT,
        })
    }
}

fn write(name: &CString, group: u16, sockets: &BTreeSet<BoundTo>) -> Batch {
    let mut batch = Batch::new();
    let table = Table::new(name, ProtoFamily::Ipv6);
    batch.add(&Flagged { table: &table, flags: Flags::Owner }, MsgType::Add);
    write_rules(&mut Writer::new(&mut batch, &table, 0), group, sockets);
    batch
}

fn write_rules(writer: &mut Writer<'_>, group: u16, sockets: &BTreeSet<BoundTo>) {
    let mut served = [writer.keys(SOCKETS, &SOCKETS_KEY), writer.set(PORTS, &PORTS_KEY)];
    add(&mut served, sockets);
    served.iter().for_each(|set| set.put(writer.batch));
    let key = [Field::Port, Field::Port, Field::Number];
    let known = writer.dynamic_set(c"known", &key, (SYN_KNOWN, SYNS_KNOWN_MAX));
    known.put(writer.batch);
    let is_syn = [
        // A rule that reads the state makes the kernel track.
        Expr::ct_state(Reg::R0),
        Expr::mask(Reg::R0, &NEW.to_ne_bytes()),
        Expr::cmp(Reg::R0, Cmp::Neq, &[0; 4]),
        // One that the host's own rules have translated cannot be repeated: the packet is not what its client has sent.
        Expr::ct_status(Reg::R0),
        Expr::mask(Reg::R0, &CT_STATUS_DNAT.to_ne_bytes()),
        Expr::cmp(Reg::R0, Cmp::Eq, &[0; 4]),
        Expr::payload(Base::Transport, FLAGS_AT, 1, Reg::R0),
        Expr::mask(Reg::R0, &[FLAGS]),
        Expr::cmp(Reg::R0, Cmp::Eq, &[SYN]),
    ];
    let to_loopback = device_is(Meta::OifName, Cmp::Eq, c"lo");
    let is_tcp = l4proto_is(protocol_number(Protocol::Tcp));
    let is_syn = [&to_loopback[..], &is_tcp, &is_syn].concat();
    let [at_one, at_all] = &served;
    let port = |to| Expr::payload(Base::Transport, 2, 2, to);
    let to_one = [
        Expr::payload(Base::Network, 24, 16, Reg::R0),
        port(Reg::R0.after(16)),
        Expr::lookup(Reg::R0, at_one),
    ];
    let to_all = [port(Reg::R0), Expr::lookup(Reg::R0, at_all)];
    let source = Reg::R0;
    let destination = source.after(2);
    let identity = [
        Expr::payload(Base::Transport, 0, 2, source),
        port(destination),
        Expr::payload(Base::Transport, 4, 4, destination.after(2)),
    ];
    let hand_over = writer.chain(c"hand_over", ChainHook::Jump);
    writer.rule(&hand_over, &[&identity, &[Expr::lookup(source, &known), Expr::accept()]]);
    let keep = [Expr::add_to(source, &known), Expr::log(group, COPIED_LEN), Expr::drop()];
    writer.rule(&hand_over, &[&identity, &keep]);
    let at = ChainHook::Stack(ChainType::Filter, Hook::Out, PRIORITY_RAW);
    let untracked = writer.chain(c"untracked", at);
    let is_reset =
        [Expr::meta(Meta::Mark, Reg::R0), Expr::cmp(Reg::R0, Cmp::Eq, &RESET_MARK.to_ne_bytes())];
    writer.rule(&untracked, &[&is_reset, &[Expr::notrack()]]);
    let at = ChainHook::Stack(ChainType::Nat, Hook::PostRouting, PRIORITY);
    let chain = writer.chain(c"postrouting", at);
    writer.rule(&chain, &[&is_syn, &to_one, &[Expr::jump(c"hand_over")]]);
    writer.rule(&chain, &[&is_syn, &to_all, &[Expr::jump(c"hand_over")]]);
}

fn write_change(name: &CString, gone: &BTreeSet<BoundTo>, new: &BTreeSet<BoundTo>) -> Batch {
    let mut batch = Batch::new();
    let table = Table::new(name, ProtoFamily::Ipv6);
    for (sockets, change) in [(gone, MsgType::Del), (new, MsgType::Add)] {
        let mut sets =
            [Set::keys(SOCKETS, 1, &table, &SOCKETS_KEY), Set::new(PORTS, 2, &table, &PORTS_KEY)];
        add(&mut sets, sockets);
        sets.iter().for_each(|set| set.put_elements(&mut batch, change));
    }
    batch
}

/// Adds each socket to its set: of those of one address, or of all.
fn add([at_one, at_all]: &mut [Set<'_>; 2], sockets: &BTreeSet<BoundTo>) {
    for (address, port) in sockets {
        let (is_all, port) = (address.is_unspecified(), port.to_be_bytes());
        let address = address.octets();
        match is_all {
            true => at_all.add(&[&port], &[&port]),
            false => at_one.add(&[&address, &port], &[&address, &port]),
        }
    }
}
