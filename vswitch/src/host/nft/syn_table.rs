//! The table that hands SYNs to ports of the proxy of ::1 to it, before the kernel accepts them.
//!
//! # Theory of operation
//!
//! A SYN to one of the `ports` on the loopback device is noted in the set `known` by its ports and sequence number, copied
//! to a log group, and dropped. It passes when it comes again, by whomever: the proxy repeats it once the container has
//! accepted, and so does the client after a second. So nobody waits longer than that for a proxy that is busy, or has
//! stopped. While the set is full, all SYNs pass.
//!
//! A chain of type `nat` sees the first packet of a connection only: no other one costs anything. Where the kernel does not
//! track the loopback device (`notrack`), SYNs pass. At `postrouting`, the host's own rules for `output` have judged.
//!
//! The table belongs to its socket, and goes with it. A kernel that has no owners (before Linux 5.12) gets none, since it
//! would stay after a crash.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};

use vswitch_sys::expr::{Base, Cmp, Expr, Meta, Reg};
use vswitch_sys::set::{Field, Set};
use vswitch_sys::socket::Socket;
use vswitch_sys::table::{Flagged, Flags};
use vswitch_sys::{Batch, ChainType, Hook, MsgType, ProtoFamily, Table};

use super::build::{ChainHook, Writer, device_is, l4proto_is, text};
use super::exchange;
use super::kernel::{NftError, table_name};
use super::{Protocol, blocking, protocol_number};
use crate::host::limits::{SYN_KNOWN, SYNS_KNOWN_MAX};

/// Just after `NF_IP6_PRI_NAT_SRC`.
const PRIORITY: i32 = 101;

/// Bytes of a packet that are copied: headers of IPv6 and TCP with all options.
const COPIED_LEN: u32 = 40 + 60;

/// `NF_CT_STATE_BIT` of a new connection.
const NEW: u32 = 0b1000;

/// Offset of the flags in a TCP header, and FIN, SYN, RST and ACK of them.
const FLAGS_AT: u32 = 13;
const FLAGS: u8 = 0x17;
const SYN: u8 = 0x02;

const HINT: &str = "it needs Linux 5.12 and the modules nft_log and nfnetlink_log";

const PORTS: &CStr = c"ports";

/// The table of a switch.
#[derive(Debug)]
pub(crate) struct SynTable {
    socket: Socket,
    name: CString,
}

impl SynTable {
    /// Loads the table for these ports. SYNs go to a log group.
    ///
    /// # Errors
    /// The kernel refuses: nothing is changed then.
    pub(crate) async fn load(
        bridge: &str,
        group: u16,
        ports: BTreeSet<u16>,
    ) -> Result<Self, NftError> {
        // No device has a slash in its name, so the table is no other switch's.
        let name = text(&format!("{}/syn", table_name(bridge).to_string_lossy()));
        blocking(move || {
            let socket = exchange::open().map_err(NftError::Socket)?;
            let table = Self { socket, name };
            table.send(write(&table.name, group, &ports))?;
            Ok(table)
        })
        .await
    }

    /// Changes the ports.
    ///
    /// # Errors
    /// The kernel refuses: the table is gone then.
    pub(crate) async fn change(
        self,
        gone: BTreeSet<u16>,
        new: BTreeSet<u16>,
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

fn write(name: &CString, group: u16, ports: &BTreeSet<u16>) -> Batch {
    let mut batch = Batch::new();
    let table = Table::new(name, ProtoFamily::Ipv6);
    batch.add(&Flagged { table: &table, flags: Flags::Owner }, MsgType::Add);
    write_rules(&mut Writer::new(&mut batch, &table, 0), group, ports);
    batch
}

fn write_rules(writer: &mut Writer<'_>, group: u16, ports: &BTreeSet<u16>) {
    let mut served = writer.set(PORTS, &[Field::Port]);
    add(&mut served, ports);
    served.put(writer.batch);
    let key = [Field::Port, Field::Port, Field::Number];
    let known = writer.dynamic_set(c"known", &key, (SYN_KNOWN, SYNS_KNOWN_MAX));
    known.put(writer.batch);
    let at = ChainHook::Stack(ChainType::Nat, Hook::PostRouting, PRIORITY);
    let chain = writer.chain(c"postrouting", at);
    let is_syn = [
        // A rule that reads the state makes the kernel track.
        Expr::ct_state(Reg::R0),
        Expr::mask(Reg::R0, &NEW.to_ne_bytes()),
        Expr::cmp(Reg::R0, Cmp::Neq, &[0; 4]),
        Expr::payload(Base::Transport, FLAGS_AT, 1, Reg::R0),
        Expr::mask(Reg::R0, &[FLAGS]),
        Expr::cmp(Reg::R0, Cmp::Eq, &[SYN]),
        Expr::payload(Base::Transport, 2, 2, Reg::R0),
        Expr::lookup(Reg::R0, &served),
    ];
    let source = Reg::R0;
    let destination = source.after(2);
    let identity = [
        Expr::payload(Base::Transport, 0, 2, source),
        Expr::payload(Base::Transport, 2, 2, destination),
        Expr::payload(Base::Transport, 4, 4, destination.after(2)),
    ];
    let to_loopback = device_is(Meta::OifName, Cmp::Eq, c"lo");
    let is_tcp = l4proto_is(protocol_number(Protocol::Tcp));
    let is_syn = [&to_loopback[..], &is_tcp, &is_syn, &identity].concat();
    writer.rule(&chain, &[&is_syn, &[Expr::lookup(source, &known), Expr::accept()]]);
    let hand_over = [Expr::add_to(source, &known), Expr::log(group, COPIED_LEN), Expr::drop()];
    writer.rule(&chain, &[&is_syn, &hand_over]);
}

fn write_change(name: &CString, gone: &BTreeSet<u16>, new: &BTreeSet<u16>) -> Batch {
    let mut batch = Batch::new();
    let table = Table::new(name, ProtoFamily::Ipv6);
    for (ports, change) in [(gone, MsgType::Del), (new, MsgType::Add)] {
        let mut set = Set::new(PORTS, 1, &table, &[Field::Port]);
        add(&mut set, ports);
        set.put_elements(&mut batch, change);
    }
    batch
}

fn add(set: &mut Set<'_>, ports: &BTreeSet<u16>) {
    for port in ports {
        let port = port.to_be_bytes();
        set.add(&[&port], &[&port]);
    }
}
