//! A network in virtual time: connections between processes, which are slow, cut and reset as the simulation says.
//!
//! It behaves as TCP does. Bytes arrive in order or not at all; a lost packet is late; what was under way when a
//! connection is reset is gone, and neither side knows how much of it had arrived. So records and acknowledgements are
//! lost and repeated as they are in production: by connections that end.
//!
//! Each process has an address of its own, 127.0.0.N. Nothing is decided by chance here but delays, which are drawn
//! in the order in which processes send: one seed gives one history.

use super::history::History;
use super::time::{ProcessClock, Virtual};
use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use pelton_transport::network::{Accepted, Bytestream, Listen, Network};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A process of the cluster, by its number.
pub(crate) type Place = u8;

/// Bytes that one direction of a connection holds before its writer waits.
const WINDOW_BYTES: usize = 64 << 10;
/// How much later a lost packet arrives: it is sent again.
const RESEND: Duration = Duration::from_millis(200);
/// How often a connection is tried across a cut link.
const CONNECT_AGAIN: Duration = Duration::from_millis(250);

/// How the network is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) latency_min: Duration,
    pub(crate) latency_max: Duration,
    /// Of packets, from 0 to 1.
    pub(crate) lost: f64,
    /// Connections that end, for each packet that is sent, from 0 to 1.
    pub(crate) reset: f64,
}

/// The network of one simulation.
#[derive(Clone)]
pub(crate) struct Fabric(Arc<Mutex<State>>);

struct State {
    rng: StdRng,
    history: History,
    weather: Weather,
    /// Links that carry nothing, in one direction each.
    cut: BTreeSet<(Place, Place)>,
    listeners: BTreeMap<SocketAddr, Listening>,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    next_port: u16,
    pub(crate) counts: Counts,
}

/// What has happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) packets: u64,
    pub(crate) lost: u64,
    pub(crate) resets: u64,
}

#[derive(Default)]
struct Listening {
    waiting: VecDeque<(End, SocketAddr)>,
    waker: Option<Waker>,
}

#[derive(Clone, Copy)]
struct End {
    connection: u64,
    /// 0: who connected; 1: who accepted.
    side: usize,
}

struct Connection {
    places: [Place; 2],
    /// What each side has sent.
    sent: [Direction; 2],
    /// Each side is told of the reset once the news has reached it.
    reset: [Option<Virtual>; 2],
    open: [bool; 2],
}

#[derive(Default)]
struct Direction {
    packets: VecDeque<Packet>,
    bytes: usize,
    /// The sender has ended; known to the reader behind the last packet.
    ended: Option<Virtual>,
    last: Virtual,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct Packet {
    /// When it arrives; `None` while the link is cut.
    at: Option<Virtual>,
    bytes: Bytes,
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl Direction {
    fn wake_all(&mut self) {
        wake(&mut self.reader);
        wake(&mut self.writer);
    }
}

impl State {
    fn latency(&mut self) -> Duration {
        let Weather { latency_min, latency_max, .. } = self.weather;
        let spread = latency_max.saturating_sub(latency_min);
        latency_min + spread.mul_f64(self.rng.random::<f64>())
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.rng.random::<f64>() < probability
    }

    /// Ends a connection now: what is under way is lost, and each side hears of it after a while, unless it is cut off.
    fn reset(&mut self, id: u64, now: Virtual) {
        let heard = [now + self.latency(), now + self.latency()];
        let Some(connection) = self.connections.get_mut(&id) else { return };
        for (side, at) in heard.into_iter().enumerate() {
            if let Some(reset) = connection.reset.get_mut(side) {
                reset.get_or_insert(at);
            }
        }
        for direction in &mut connection.sent {
            direction.packets.clear();
            direction.wake_all();
        }
        self.counts.resets += 1;
    }
}

impl Fabric {
    pub(crate) fn new(seed: u64, weather: Weather, history: History) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng: StdRng::seed_from_u64(seed),
            history,
            weather,
            cut: BTreeSet::new(),
            listeners: BTreeMap::new(),
            connections: BTreeMap::new(),
            next_connection: 0,
            next_port: 0,
            counts: Counts::default(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state().counts
    }

    pub(crate) fn set_weather(&self, weather: Weather) {
        self.state().weather = weather;
    }

    /// From now on nothing goes from `from` to `to`.
    pub(crate) fn cut(&self, from: Place, to: Place) {
        let mut state = self.state();
        state.cut.insert((from, to));
        for connection in state.connections.values_mut() {
            for side in 0..2 {
                if (connection.places[side], connection.places[1 - side]) == (from, to) {
                    connection.sent[side].packets.iter_mut().for_each(|packet| packet.at = None);
                }
            }
        }
    }

    /// Everything goes its way again; what was held back arrives.
    pub(crate) fn heal(&self, now: Virtual) {
        let mut state = self.state();
        state.cut.clear();
        let latency = state.latency();
        for connection in state.connections.values_mut() {
            for direction in &mut connection.sent {
                for packet in &mut direction.packets {
                    packet.at.get_or_insert(now + latency);
                }
                direction.last = direction.last.max(now + latency);
                direction.wake_all();
            }
        }
    }

    /// The process at `place` is gone: nobody listens there, and its connections end. Where the whole machine is gone,
    /// nobody is told.
    pub(crate) fn crash(&self, place: Place, now: Virtual, told: bool) {
        let mut state = self.state();
        state.listeners.retain(|address, _| place_of(*address) != Some(place));
        let theirs = |connection: &Connection| connection.places.contains(&place);
        let ended: Vec<u64> =
            state.connections.iter().filter(|(_, c)| theirs(c)).map(|(id, _)| *id).collect();
        for id in ended {
            if told {
                state.reset(id, now);
            } else if let Some(connection) = state.connections.get_mut(&id) {
                let side = usize::from(connection.places[1] == place);
                connection.sent[side].packets.clear();
                connection.open[side] = false;
            }
        }
    }

    /// The network as `place` sees it.
    pub(crate) fn at(&self, place: Place, clock: ProcessClock) -> Arc<dyn Network> {
        Arc::new(At { fabric: self.clone(), place, clock })
    }
}

/// The address of a process.
pub(crate) fn address_of(place: Place, port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(127, 0, 0, place), port))
}

fn place_of(address: SocketAddr) -> Option<Place> {
    match address {
        SocketAddr::V4(address) => Some(address.ip().octets()[3]),
        SocketAddr::V6(_) => None,
    }
}

#[derive(Clone)]
struct At {
    fabric: Fabric,
    place: Place,
    clock: ProcessClock,
}

impl fmt::Debug for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the network at {}", self.place)
    }
}

impl At {
    /// `None` where the link is cut.
    fn try_connect(&self, to: SocketAddr) -> io::Result<Option<(Socket, Duration)>> {
        let mut state = self.fabric.state();
        let there = place_of(to).ok_or(ErrorKind::AddrNotAvailable)?;
        if state.cut.contains(&(self.place, there)) || state.cut.contains(&(there, self.place)) {
            return Ok(None);
        }
        let latency = state.latency() + state.latency();
        if !state.listeners.contains_key(&to) {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let id = state.next_connection;
        state.next_connection += 1;
        let connection = Connection {
            places: [self.place, there],
            sent: Default::default(),
            reset: [None; 2],
            open: [true; 2],
        };
        state.connections.insert(id, connection);
        let port = 32_768 + u16::try_from(id % 16_384).unwrap_or_default();
        if let Some(listening) = state.listeners.get_mut(&to) {
            listening.waiting.push_back((End { connection: id, side: 1 }, address_of(self.place, port)));
            wake(&mut listening.waker);
        }
        let end = End { connection: id, side: 0 };
        Ok(Some((Socket { at: self.clone(), end, sleep: None }, latency)))
    }
}

impl Network for At {
    fn connect(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Box<dyn Bytestream>>> {
        let (at, to) = (self.clone(), format!("{host}:{port}").parse::<SocketAddr>());
        async move {
            let to = to.map_err(|_| io::Error::from(ErrorKind::AddrNotAvailable))?;
            loop {
                if let Some((socket, latency)) = at.try_connect(to)? {
                    tokio::time::sleep(latency).await;
                    return Ok(Box::new(socket) as Box<dyn Bytestream>);
                }
                tokio::time::sleep(CONNECT_AGAIN).await;
            }
        }
        .boxed()
    }

    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn Listen>> {
        let mut state = self.fabric.state();
        let port = match address.port() {
            0 => {
                state.next_port = state.next_port.wrapping_add(1);
                20_000 + state.next_port % 10_000
            }
            port => port,
        };
        let address = address_of(self.place, port);
        if state.listeners.contains_key(&address) {
            return Err(ErrorKind::AddrInUse.into());
        }
        state.listeners.insert(address, Listening::default());
        Ok(Box::new(Listener { at: self.clone(), address }))
    }
}

#[derive(Debug)]
struct Listener {
    at: At,
    address: SocketAddr,
}

impl Listen for Listener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        let mut state = self.at.fabric.state();
        let Some(listening) = state.listeners.get_mut(&self.address) else {
            return Poll::Ready(Err(ErrorKind::NotConnected.into()));
        };
        match listening.waiting.pop_front() {
            Some((end, peer)) => {
                let socket = Socket { at: self.at.clone(), end, sleep: None };
                Poll::Ready(Ok((Box::new(socket), peer)))
            }
            None => {
                listening.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.at.fabric.state().listeners.remove(&self.address);
    }
}

/// One end of a connection.
struct Socket {
    at: At,
    end: End,
    /// Until the next packet is here.
    sleep: Option<Pin<Box<Sleep>>>,
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
        if let Some(reset) = connection.reset[side] {
            if reset <= now {
                return Err(ErrorKind::ConnectionReset.into());
            }
            connection.sent[1 - side].reader = Some(waker.clone());
            return Ok(Found::Wait(Some(reset)));
        }
        let incoming = &mut connection.sent[1 - side];
        let mut read = false;
        while let Some(packet) = incoming.packets.front_mut() {
            if packet.at.is_none_or(|at| at > now) || into.remaining() == 0 {
                break;
            }
            let taken = packet.bytes.len().min(into.remaining());
            into.put_slice(&packet.bytes[..taken]);
            packet.bytes.advance(taken);
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
        let (cut, history) = (state.cut.clone(), state.history.clone());
        let Some(connection) = state.connections.get_mut(&id) else {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        };
        if let Some(reset) = connection.reset[side] {
            if reset <= now {
                return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
            }
            // It does not know yet: what it writes goes nowhere.
            return Poll::Ready(Ok(bytes.len()));
        }
        let (from, to) = (connection.places[side], connection.places[1 - side]);
        let there = connection.open[1 - side];
        let outgoing = &mut connection.sent[side];
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
            outgoing.packets.push_back(Packet { at, bytes: Bytes::copy_from_slice(&bytes[..taken]) });
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

impl At {
    /// A side has said all that it will.
    fn end(&self, End { connection: id, side }: End) {
        let now = self.clock.virtual_now();
        let mut state = self.fabric.state();
        let gone = |connection: &Connection| !connection.open[side] || connection.sent[side].ended.is_some();
        if state.connections.get(&id).is_none_or(gone) {
            return;
        }
        let latency = state.latency();
        let Some(connection) = state.connections.get_mut(&id) else { return };
        let outgoing = &mut connection.sent[side];
        outgoing.last = outgoing.last.max(now + latency);
        outgoing.ended = Some(outgoing.last);
        wake(&mut outgoing.reader);
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
        connection.open[side] = false;
        wake(&mut connection.sent[1 - side].writer);
        if connection.open == [false; 2] {
            state.connections.remove(&id);
        }
    }
}
