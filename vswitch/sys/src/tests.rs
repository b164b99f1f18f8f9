use nftnl::{Batch, Chain, MsgType, ProtoFamily, Rule, Table};

use crate::expr::{Base, Expr, Reg};
use crate::query::{self, Answer};
use crate::set::{Field, Set};
use crate::table::{Flagged, Flags};

/// All bytes of a batch, one message after the other.
fn bytes(batch: Batch) -> Vec<u8> {
    batch.finalize().iter().flatten().copied().collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn rule_with(exprs: &[Expr]) -> Vec<u8> {
    let table = Table::new(c"t", ProtoFamily::NetDev);
    let chain = Chain::new(c"c", &table);
    let mut rule = Rule::new(&chain);
    exprs.iter().for_each(|expr| rule.add_expr(expr));
    let mut batch = Batch::new();
    batch.add(&rule, MsgType::Add);
    bytes(batch)
}

#[test]
fn expressions_reach_the_message_with_their_attributes() {
    let written = rule_with(&[
        Expr::payload(Base::Transport, 2, 2, Reg::R0),
        Expr::range(Reg::R0, &20_000_u16.to_be_bytes(), &29_999_u16.to_be_bytes()),
        Expr::immediate(Reg::R0, &7_u32.to_ne_bytes()),
        Expr::fwd(Reg::R0),
        Expr::dup(Reg::R0),
    ]);
    for name in ["payload", "range", "immediate", "fwd", "dup"] {
        assert!(contains(&written, name.as_bytes()), "{name}");
    }
    // NFTA_FWD_SREG_DEV and NFTA_DUP_SREG_DEV: type, then register 8, in network byte order.
    assert!(contains(&written, &[8, 0, 1, 0, 0, 0, 0, 8]), "fwd sreg_dev");
    assert!(contains(&written, &[8, 0, 2, 0, 0, 0, 0, 8]), "dup sreg_dev");
    // NFTA_DATA_VALUE of both ends.
    assert!(contains(&written, &[6, 0, 1, 0, 0x4e, 0x20]), "from");
    assert!(contains(&written, &[6, 0, 1, 0, 0x7f, 0xff]), "to");
}

#[test]
fn a_jump_carries_its_chain() {
    let written = rule_with(&[Expr::jump(c"elsewhere")]);
    assert!(contains(&written, b"elsewhere\0"));
    assert!(!contains(&rule_with(&[Expr::accept()]), b"elsewhere"));
}

#[test]
fn a_range_of_ports_is_one_element() {
    let table = Table::new(c"t", ProtoFamily::NetDev);
    let mut set = Set::new(c"s", 1, &table, &[Field::Protocol, Field::Port]);
    set.add(&[&[6], &20_000_u16.to_be_bytes()], &[&[6], &29_999_u16.to_be_bytes()]);
    let mut batch = Batch::new();
    set.put(&mut batch);
    let written = bytes(batch);
    assert!(written.len() < 400, "{} bytes", written.len());
    // Each field is filled up to a register.
    assert!(contains(&written, &[6, 0, 0, 0, 0x4e, 0x20, 0, 0]), "key");
    assert!(contains(&written, &[6, 0, 0, 0, 0x75, 0x2f, 0, 0]), "key end");
}

#[test]
#[should_panic(expected = "without intervals")]
fn a_plain_set_takes_no_intervals() {
    let table = Table::new(c"t", ProtoFamily::NetDev);
    let mut set = Set::new(c"s", 1, &table, &[Field::Ipv4]);
    set.add(&[&[10, 0, 0, 1]], &[&[10, 0, 0, 9]]);
}

#[test]
#[should_panic(expected = "no value of nftables")]
fn a_value_that_is_too_long_is_refused() {
    let _ = Expr::immediate(Reg::R0, &[0; 65]);
}

#[test]
#[should_panic(expected = "no register")]
fn registers_end() {
    let _ = Reg::R0.after(64);
}

#[test]
fn flags_are_in_the_message_that_adds_the_table() {
    let table = Table::new(c"vswitch-br0", ProtoFamily::Ipv4);
    let with = |flags| {
        let mut batch = Batch::new();
        batch.add(&Flagged { table: &table, flags }, MsgType::Add);
        bytes(batch)
    };
    // NFTA_TABLE_FLAGS.
    assert!(contains(&with(Flags::OwnerPersist), &[8, 0, 2, 0, 0, 0, 0, 6]));
    assert!(contains(&with(Flags::Owner), &[8, 0, 2, 0, 0, 0, 0, 2]));
}

fn message(kind: u16, seq: u32, body: &[u8]) -> Vec<u8> {
    let mut message = ((16 + body.len()) as u32).to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend([0, 0]);
    message.extend(seq.to_ne_bytes());
    message.extend([0; 4]);
    message.extend(body);
    message
}

#[test]
fn answers_are_understood_whole_or_not_at_all() {
    let error = message(2, 7, &(-17_i32).to_ne_bytes());
    assert_eq!(query::read(&error), Some(Answer::Ack { seq: 7, errno: 17 }));
    let rule = [&[0; 4][..], &[8, 0, 2, 0, 1, 2, 3, 4], &[7, 0, 1, 0, b'a', b'b', 0, 0]].concat();
    let rule = message(10 << 8 | 6, 1, &rule);
    assert_eq!(query::read(&rule), Some(Answer::Rule(b"ab".to_vec())));
    let generation = message(10 << 8 | 15, 1, &[0, 0, 0, 0, 8, 0, 1, 0, 0, 0, 1, 2]);
    assert_eq!(query::read(&generation), Some(Answer::Generation(258)));
    let owned = |flags| {
        let body =
            [&[5, 0, 0, 0][..], &[7, 0, 1, 0, b'a', b'b', 0, 0], &[8, 0, 2, 0, 0, 0, 0, flags]];
        match query::read(&message(10 << 8, 1, &body.concat())) {
            Some(Answer::Table { family: 5, name, is_owned }) if name == b"ab" => is_owned,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([0, 2, 4, 6].map(owned), [false, true, false, true]);
    for cut in 0..20 {
        assert_eq!(query::read(&error[..cut]), None, "{cut}");
    }
    for cut in 20..28 {
        assert_eq!(query::read(&generation[..cut]), None, "{cut}");
    }
}
