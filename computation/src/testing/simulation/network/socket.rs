//! One end of a connection: what is read when it has arrived, and written while there is room.

use super::{At, End, Packet, Pair, RESEND, State, WINDOW_BYTES, wake};
use crate::testing::simulation::time::Virtual;
use bytes::Bytes;
use std::fmt;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// One end of a connection.
pub(super) struct Socket {
    pub(super) at: At,
    pub(super) end: End,
    /// Until the next packet is here.
    pub(super) sleep: Option<Pin<Box<Sleep>>>,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {} at {}", self.end.connection, self.at.place)
    }
}

/// What a reader finds.
enum Found {
    Read,
    Ended,
    Wait(Option<Virtual>),
}

impl Socket {
    fn look(&self, now: Virtual, into: &mut ReadBuf<'_>, waker: &Waker) -> io::Result<Found> {
        let mut state = self.at.fabric.state();
        let End { connection, side } = self.end;
        let Some(connection) = state.connections.get_mut(&connection) else {
            return Err(ErrorKind::ConnectionReset.into());
        };
        if let Some(reset) = *connection.reset.of(side) {
            if reset <= now {
                return Err(ErrorKind::ConnectionReset.into());
            }
            connection.sent.of_mut(side.other()).reader = Some(waker.clone());
            return Ok(Found::Wait(Some(reset)));
        }
        let incoming = connection.sent.of_mut(side.other());
        let mut read = false;
        while let Some(packet) = incoming.packets.front_mut() {
            if packet.at.is_none_or(|at| at > now) || into.remaining() == 0 {
                break;
            }
            let taken = packet.bytes.len().min(into.remaining());
            into.put_slice(&packet.bytes.split_to(taken));
            incoming.bytes -= taken;
            read = true;
            if packet.bytes.is_empty() {
                incoming.packets.pop_front();
            }
        }
        if read {
            wake(&mut incoming.writer);
            return Ok(Found::Read);
        }
        let next = incoming.packets.front().map(|packet| packet.at);
        let wait = match next {
            Some(at) => at,
            None => match incoming.ended {
                Some(ended) if ended <= now => return Ok(Found::Ended),
                ended => ended,
            },
        };
        incoming.reader = Some(waker.clone());
        Ok(Found::Wait(wait))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut now = self.at.clock.virtual_now();
        loop {
            match self.look(now, into, cx.waker())? {
                Found::Read | Found::Ended => return Poll::Ready(Ok(())),
                Found::Wait(None) => return Poll::Pending,
                Found::Wait(Some(at)) => {
                    let moment = self.at.clock.moment(at);
                    let mut sleep =
                        self.sleep.take().unwrap_or_else(|| Box::pin(tokio::time::sleep_until(moment)));
                    if sleep.deadline() != moment {
                        sleep.as_mut().reset(moment);
                    }
                    let ready = sleep.as_mut().poll(cx).is_ready();
                    self.sleep = Some(sleep);
                    if !ready {
                        return Poll::Pending;
                    }
                    now = now.max(at);
                }
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let now = self.at.clock.virtual_now();
        let mut state = self.at.fabric.state();
        let End { connection: id, side } = self.end;
        let reset = state.weather.reset;
        if state.chance(reset) {
            state.reset(id, now);
        }
        let lost = state.weather.lost;
        let late = if state.chance(lost) { RESEND } else { Duration::ZERO };
        let delay = state.latency() + late;
        state.counts.packets += 1;
        state.counts.lost += u64::from(!late.is_zero());
        let State { connections, cut, history, .. } = &mut *state;
        let Some(connection) = connections.get_mut(&id) else {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        };
        if let Some(reset) = *connection.reset.of(side) {
            if reset <= now {
                return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
            }
            // It does not know yet: what it writes goes nowhere.
            return Poll::Ready(Ok(bytes.len()));
        }
        let (from, to) = (*connection.places.of(side), *connection.places.of(side.other()));
        let there = *connection.open.of(side.other());
        let outgoing = connection.sent.of_mut(side);
        let room = WINDOW_BYTES.saturating_sub(outgoing.bytes);
        if room == 0 {
            outgoing.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let taken = bytes.len().min(room);
        outgoing.bytes += taken;
        history.packet((from, to), now);
        if there {
            outgoing.last = outgoing.last.max(now + delay);
            let at = (!cut.contains(&(from, to))).then_some(outgoing.last);
            outgoing.packets.push_back(Packet {
                at,
                bytes: Bytes::copy_from_slice(bytes.get(..taken).unwrap_or_default()),
            });
            wake(&mut outgoing.reader);
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.at.end(self.end);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A runtime that is dropped takes its sockets along, and has no time any more: see `Fabric::crash`.
        if tokio::runtime::Handle::try_current().is_ok() {
            self.at.end(self.end);
        }
        let mut state = self.at.fabric.state();
        let End { connection: id, side } = self.end;
        let Some(connection) = state.connections.get_mut(&id) else { return };
        *connection.open.of_mut(side) = false;
        wake(&mut connection.sent.of_mut(side.other()).writer);
        if connection.open == Pair::default() {
            state.connections.remove(&id);
        }
    }
}
