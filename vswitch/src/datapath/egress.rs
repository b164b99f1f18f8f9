//! Where decided frames go: the engine, or what limits stand before it.

use fastpath::engine::Engine;
use fastpath::{Frame, PortIndex};

use super::{FrameIo, Observer};

/// Sends frames to ports. Every engine is one.
pub trait Egress {
    /// Whether a port is attached.
    fn is_open(&self, port: PortIndex) -> bool;

    /// Takes a frame over, and releases it once it is written.
    fn send<O: Observer>(&mut self, io: &mut FrameIo<'_, O>, port: PortIndex, frame: Frame);
}

impl<E: Engine + ?Sized> Egress for E {
    #[inline]
    fn is_open(&self, port: PortIndex) -> bool {
        Engine::is_open(self, port)
    }

    #[inline]
    fn send<O: Observer>(&mut self, io: &mut FrameIo<'_, O>, port: PortIndex, frame: Frame) {
        if O::IS_ON {
            io.observer.on_tx(port, io.pool.bytes(&frame));
        }
        Engine::send(self, io.pool, port, frame);
    }
}
