//! Two translators in a row: containers behind one, which is itself behind another, and back; with a seeded
//! schedule of packets, losses and time.

use std::time::Duration;

use crate::common::*;
use vswitch_nat::{Edit, Endpoint, Realm, Translation, Transport, Tuple, View};

/// The inner one appears from 10.5.0.2, the external one from 192.0.2.1.
fn row() -> (Lab, Lab) {
    let mut inner = policy();
    inner.external_v4 = Some("10.5.0.2".parse().expect("an address"));
    inner.host_addrs = vec![ip("10.5.0.2"), ip("10.99.0.1")];
    (Lab::with(inner), Lab::seeded(policy(), 4096, 99))
}

fn after(view: &View, edit: &Edit) -> View {
    let mut view = *view;
    (view.src, view.dst) = (edit.src.address, edit.dst.address);
    if let vswitch_nat::Kind::Flow { tuple, .. } = &mut view.kind {
        (tuple.src, tuple.dst) = (edit.src, edit.dst);
    }
    view
}

/// A packet through both, if both let it.
fn out(inner: &mut Lab, outer: &mut Lab, view: &View) -> Option<View> {
    let Ok(Translation::Edit { edit, .. }) = inner.send(internal(1), view) else { return None };
    let between = after(view, &edit);
    let Ok(Translation::Edit { edit, .. }) = outer.send(internal(7), &between) else { return None };
    Some(after(&between, &edit))
}

fn back(inner: &mut Lab, outer: &mut Lab, view: &View) -> Option<View> {
    let Ok(Translation::Edit { edit, .. }) = outer.send(Realm::External, view) else { return None };
    let between = after(view, &edit);
    let Ok(Translation::Edit { edit, .. }) = inner.send(Realm::External, &between) else {
        return None;
    };
    Some(after(&between, &edit))
}

fn answer(view: &View) -> View {
    let vswitch_nat::Kind::Flow { tuple, .. } = view.kind else { panic!("a flow") };
    view_of(tuple.reversed(), None, false)
}

#[test]
fn answers_find_back_through_both() {
    for seed in 1..=20 {
        let (mut inner, mut outer) = row();
        let mut state = seed * 0x9e37_79b9_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        for step in 0..400 {
            let (port, remote) = (1 + random(30), random(20));
            let src = Endpoint::new(ip(A), port as u16);
            let dst = Endpoint::new(ip(&format!("198.51.100.{remote}")), 53);
            let sent = view_of(Tuple { transport: Transport::Udp, src, dst }, None, false);
            let seen = out(&mut inner, &mut outer, &sent).expect("it gets out");
            assert_eq!((seen.src, seen.dst), (ip(EXTERNAL), sent.dst), "seed {seed}, step {step}");
            if random(4) > 0 {
                let got = back(&mut inner, &mut outer, &answer(&seen)).expect("it gets in");
                assert_eq!(got, answer(&sent), "seed {seed}, step {step}");
            }
            let time = Duration::from_secs(random(60));
            inner.wait(time);
            outer.wait(time);
        }
        inner.wait_s(130);
        outer.wait_s(130);
        assert!(inner.nat.is_empty() && outer.nat.is_empty(), "seed {seed}");
    }
}

#[test]
fn an_error_comes_back_through_both() {
    let (mut inner, mut outer) = row();
    let sent = udp("10.99.0.2:4000", "198.51.100.7:53");
    let seen = out(&mut inner, &mut outer, &sent).expect("it gets out");
    let vswitch_nat::Kind::Flow { tuple: quoted, .. } = seen.kind else { panic!("a flow") };
    let view = error("203.0.113.1", seen.src, quoted, None);
    let (edit, _) = outer.edit(Realm::External, &view);
    let (src, dst) = edit.quoted.expect("what it quotes");
    let quoted = Tuple { transport: Transport::Udp, src, dst };
    let view = error("203.0.113.1", edit.dst.address, quoted, None);
    let (edit, to) = inner.edit(Realm::External, &view);
    assert_eq!((edit.dst.address, to), (ip(A), internal(1)));
    assert_eq!(edit.quoted, Some((endpoint("10.99.0.2:4000"), endpoint("198.51.100.7:53"))));
}

#[test]
fn both_see_a_tcp_connection_open_and_close() {
    let (mut inner, mut outer) = row();
    let (a, r) = ("10.99.0.2:4000", "198.51.100.7:80");
    let syn = tcp(a, r, segment(SYN, 1000, 0, 0));
    let seen = out(&mut inner, &mut outer, &syn).expect("it gets out");
    let vswitch_nat::Kind::Flow { tuple, .. } = seen.kind else { panic!("a flow") };
    let o = tuple.src.to_string();
    back(&mut inner, &mut outer, &tcp(r, &o, segment(SYN_ACK, 5000, 1001, 0))).expect("in");
    out(&mut inner, &mut outer, &tcp(a, r, segment(ACK, 1001, 5001, 0))).expect("out");
    assert_eq!(
        (inner.state(), outer.state()),
        (vswitch_nat::State::Established, vswitch_nat::State::Established)
    );
    back(&mut inner, &mut outer, &tcp(r, &o, segment(FIN_ACK, 5001, 1001, 0))).expect("in");
    out(&mut inner, &mut outer, &tcp(a, r, segment(FIN_ACK, 1001, 5002, 0))).expect("out");
    back(&mut inner, &mut outer, &tcp(r, &o, segment(ACK, 5002, 1002, 0))).expect("in");
    assert_eq!(
        (inner.state(), outer.state()),
        (vswitch_nat::State::TimeWait, vswitch_nat::State::TimeWait)
    );
}
