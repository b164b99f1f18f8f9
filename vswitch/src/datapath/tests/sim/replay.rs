//! Captures that come in again.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use fastpath::engine::pcap::PcapEngine;
use fastpath::engine::{Engine, Wait};
use fastpath::limits::VNET_LEN;
use fastpath::{Pool, PortIndex};

use super::{Sim, frame, mac};
use crate::datapath::*;

/// A sink that the test can look into.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A capture that one switch wrote comes in at another, which writes the same bytes.
pub(in crate::datapath::tests) fn replay_capture() {
    let frames: Vec<Vec<u8>> =
        (0..5u8).map(|n| frame(mac(1), mac(0), &vec![n; 60 + usize::from(n)])).collect();
    let first = Shared::default();
    let mut pool = Pool::new(64).expect("memory");
    let mut engine = PcapEngine::new();
    engine.open(PortIndex(1), None, Some(Box::new(first.clone()))).expect("a capture");
    for bytes in &frames {
        let frame = pool.alloc_with(&bytes[VNET_LEN..]).expect("a buffer");
        Engine::send(&mut engine, &mut pool, PortIndex(1), frame);
    }
    let capture = first.0.lock().expect("no panic").clone();

    let second = Shared::default();
    let mut engine = PcapEngine::new();
    let source: Box<dyn io::Read> = Box::new(io::Cursor::new(capture.clone()));
    engine.open(PortIndex(0), Some(source), None).expect("a capture");
    engine.open(PortIndex(1), None, Some(Box::new(second.clone()))).expect("a capture");
    let sim = Sim::new(2);
    let (mut state, mut stats) = (State::new(1, false), Stats::default());
    let mut batch = Batch::default();
    while engine.is_busy() {
        engine.round(&mut pool, Wait::No, batch.incoming()).expect("memory");
        let (pool, stats) = (&mut pool, &mut stats);
        let io = &mut FrameIo { pool, stats, observer: &mut NoObserver };
        run(sim.now, &mut batch, &sim.snapshot, &mut state, io, &mut engine);
    }
    assert_eq!(*second.0.lock().expect("no panic"), capture);
    assert_eq!(engine.port_io(PortIndex(1)).traffic.tx_frames, 5);
    assert_eq!(pool.available(), pool.capacity());
}
