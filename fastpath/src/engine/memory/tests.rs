use super::*;
use crate::datagram::{Header, LEN};

/// Three datagrams of 250 bytes together.
fn datagrams() -> Vec<u8> {
    let mut bytes = vec![7; LEN + 250];
    let header = Header { peer: ([192, 0, 2, 1], 4789).into(), segment: 100, socket: 3, tos: 0 };
    assert!(header.write(&mut bytes));
    bytes
}

#[test]
fn a_port_of_datagrams_passes_bytes_and_counts_datagrams() {
    let (a, b) = (PortIndex(0), PortIndex(1));
    let mut pool = Pool::new(8).expect("memory");
    let mut engine = MemoryEngine::new();
    engine.open_datagrams(a);
    engine.open_datagram_cycle(b, vec![datagrams()]);
    engine.inject(a, datagrams());
    engine.inject(a, vec![0; LEN - 1]);
    let mut received = Vec::new();
    engine.round(&mut pool, Wait::No, &mut received).expect("memory");
    let traffic = |engine: &MemoryEngine, port| engine.port_io(port).traffic;
    let rx = traffic(&engine, a);
    assert_eq!((rx.rx_frames, rx.rx_bytes, engine.port_io(a).rx_errors), (3, 250, 1));
    assert!(traffic(&engine, b).rx_frames >= 3);
    for Received { frame, .. } in received {
        assert_eq!(pool.bytes(&frame), datagrams());
        engine.send(&mut pool, a, frame);
    }
    let sent = engine.sent(a);
    assert_eq!(sent[0], datagrams());
    let tx = traffic(&engine, a);
    assert_eq!((tx.tx_frames, tx.tx_bytes), (3 * sent.len() as u64, 250 * sent.len() as u64));
    assert_eq!(pool.available(), pool.capacity());
}
