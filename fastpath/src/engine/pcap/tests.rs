use std::io::Cursor;
use std::sync::{Arc, Mutex};

use super::*;
use crate::datagram::{Header, LEN};

const A: PortIndex = PortIndex(0);

/// A file that a test looks at after the engine has written it.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn datagrams_that_are_written_are_read_again() {
    let mut pool = Pool::new(8).expect("memory");
    let header = Header { peer: ([192, 0, 2, 1], 4789).into(), segment: 100, socket: 3, tos: 0 };
    let mut bytes = vec![7; LEN + 250];
    assert!(header.write(&mut bytes));
    let file = Shared::default();
    let mut engine = PcapEngine::new();
    engine.open_datagrams(A, None, Some(Box::new(file.clone()))).expect("a file");
    let frame = pool.alloc_copy(&bytes).expect("a buffer");
    engine.send(&mut pool, A, frame);
    let short = pool.alloc_copy(&bytes[..LEN - 1]).expect("a buffer");
    engine.send(&mut pool, A, short);
    assert_eq!(engine.port_io(A).traffic.tx_bytes, 250);
    assert_eq!(engine.port_io(A).traffic.tx_frames, 4, "three, and one that is cut");

    let capture = file.0.lock().expect("no panic").clone();
    let source = || Some(Box::new(Cursor::new(capture.clone())) as Box<dyn Read>);
    assert!(engine.open(A, source(), None).is_err(), "no Ethernet frames");
    engine.open_datagrams(A, source(), None).expect("a capture");
    let mut received = Vec::new();
    engine.round(&mut pool, Wait::No, &mut received).expect("a file");
    assert_eq!(received.len(), 1);
    assert_eq!(pool.bytes(&received[0].frame), bytes);
    let io = engine.port_io(A);
    assert_eq!((io.traffic.rx_frames, io.traffic.rx_bytes, io.rx_errors), (3, 250, 1));
}
