//! A network in virtual time: connections between processes, which are slow, cut and reset as the simulation says.
//!
//! It behaves as TCP does. Bytes arrive in order or not at all; a lost packet is late; what was under way when a
//! connection is reset is gone, and neither side knows how much of it had arrived. So records and acknowledgements are
//! lost and repeated as they are in production: by connections that end.
//!
//! Each process has an address of its own, 127.0.0.N. Nothing is decided by chance here but delays, which are drawn
//! in the order in which processes send: one seed gives one history.

mod socket;

use super::history::History;
use super::time::{ProcessClock, Virtual};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use pelton_transport::network::{Accepted, Bytestream, Listen, Network};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use socket::Socket;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

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
    side: Side,
}

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Connected,
    Accepted,
}

impl Side {
    const BOTH: [Self; 2] = [Self::Connected, Self::Accepted];

    fn other(self) -> Self {
        match self {
            Self::Connected => Self::Accepted,
            Self::Accepted => Self::Connected,
        }
    }
}

/// Something that each side has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pair<T> {
    connected: T,
    accepted: T,
}

impl<T> Pair<T> {
    fn of(&self, side: Side) -> &T {
        match side {
            Side::Connected => &self.connected,
            Side::Accepted => &self.accepted,
        }
    }

    fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Connected => &mut self.connected,
            Side::Accepted => &mut self.accepted,
        }
    }
}

struct Connection {
    places: Pair<Place>,
    /// What each side has sent.
    sent: Pair<Direction>,
    /// Each side is told of the reset once the news has reached it.
    reset: Pair<Option<Virtual>>,
    open: Pair<bool>,
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
        let heard = Pair { connected: now + self.latency(), accepted: now + self.latency() };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        for side in Side::BOTH {
            connection.reset.of_mut(side).get_or_insert(*heard.of(side));
            let direction = connection.sent.of_mut(side);
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
            for side in Side::BOTH {
                if (*connection.places.of(side), *connection.places.of(side.other())) == (from, to) {
                    connection.sent.of_mut(side).packets.iter_mut().for_each(|packet| packet.at = None);
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
            for side in Side::BOTH {
                let direction = connection.sent.of_mut(side);
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
        let theirs =
            |connection: &Connection| Side::BOTH.iter().any(|side| *connection.places.of(*side) == place);
        let ended: Vec<u64> =
            state.connections.iter().filter(|(_, c)| theirs(c)).map(|(id, _)| *id).collect();
        for id in ended {
            if told {
                state.reset(id, now);
            } else if let Some(connection) = state.connections.get_mut(&id) {
                let here = connection.places.connected == place;
                let side = if here { Side::Connected } else { Side::Accepted };
                connection.sent.of_mut(side).packets.clear();
                *connection.open.of_mut(side) = false;
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
            places: Pair { connected: self.place, accepted: there },
            sent: Pair::default(),
            reset: Pair::default(),
            open: Pair { connected: true, accepted: true },
        };
        state.connections.insert(id, connection);
        let port = 32_768 + u16::try_from(id % 16_384).unwrap_or_default();
        if let Some(listening) = state.listeners.get_mut(&to) {
            listening
                .waiting
                .push_back((End { connection: id, side: Side::Accepted }, address_of(self.place, port)));
            wake(&mut listening.waker);
        }
        let end = End { connection: id, side: Side::Connected };
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

impl At {
    /// A side has said all that it will.
    fn end(&self, End { connection: id, side }: End) {
        let now = self.clock.virtual_now();
        let mut state = self.fabric.state();
        let gone =
            |connection: &Connection| !*connection.open.of(side) || connection.sent.of(side).ended.is_some();
        if state.connections.get(&id).is_none_or(gone) {
            return;
        }
        let latency = state.latency();
        let Some(connection) = state.connections.get_mut(&id) else { return };
        let outgoing = connection.sent.of_mut(side);
        outgoing.last = outgoing.last.max(now + latency);
        outgoing.ended = Some(outgoing.last);
        wake(&mut outgoing.reader);
    }
}
