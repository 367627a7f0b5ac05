//! Weighing calls against the budgets (I11), around the gRPC service.
//!
//! A request is weighed by the length that its first bytes declare, before the rest is received, and counts until it is
//! answered. An answer counts until its client has taken it.

use super::budget::{Budgets, Connection, Share};
use http_body::{Frame, SizeHint};
use pelton_transport::MESSAGE_BYTES_MAX;
use pelton_transport::Peer;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Bytes, Service};
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;

/// What a call counts beside its message: its task, its headers, its place in the store's queue.
const CALL_BYTES: usize = 4096;

/// The bytes before a gRPC message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// The service `S` within the budgets.
#[derive(Clone, Debug)]
pub(super) struct Admission<S> {
    inner: S,
    budgets: Arc<Budgets>,
}

impl<S> Admission<S> {
    pub(super) fn new(inner: S, budgets: Arc<Budgets>) -> Self {
        Self { inner, budgets }
    }
}

impl<S: NamedService> NamedService for Admission<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Admission<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        // An address and port are one connection.
        let mut call = tonic::Request::from_parts(MetadataMap::new(), parts.extensions, ());
        let connection = self.budgets.connection(Peer::of(&call).map(|peer| peer.address));
        call.extensions_mut().insert(Arc::clone(&connection));
        parts.extensions = call.into_parts().1;
        let call = match connection.request(CALL_BYTES) {
            Ok(share) => share,
            Err(refused) => return Box::pin(async move { Ok(refused.into_http()) }),
        };
        let message = Arc::new(Mutex::new(None));
        let weighed = Weighed { body, head: Vec::new(), seen: 0, connection, share: Arc::clone(&message) };
        let answer = self.inner.call(Request::from_parts(parts, Body::new(weighed)));
        Box::pin(async move {
            let mut answer = answer.await?;
            drop((call, message));
            Ok(match answer.extensions_mut().remove::<Share>() {
                Some(share) => answer.map(|body| Body::new(Held { body, _share: share })),
                None => answer,
            })
        })
    }
}

/// The body of a request, which is charged as soon as it says how long it is.
struct Weighed {
    body: Body,
    /// Its first bytes, until the prefix is whole.
    head: Vec<u8>,
    /// The bytes received so far.
    seen: usize,
    connection: Arc<Connection>,
    /// Where the charge is kept until the call is answered: the body itself is gone by then.
    share: Arc<Mutex<Option<Share>>>,
}

impl Weighed {
    fn weigh(&mut self, data: &[u8]) -> Result<(), Status> {
        let was_whole = self.head.len() == PREFIX_BYTES;
        let missing = PREFIX_BYTES - self.head.len();
        self.head.extend(data.iter().take(missing));
        self.seen += data.len();
        let &[_, a, b, c, d] = self.head.as_slice() else { return Ok(()) };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        // What is longer is refused by the decoder, in its own words and before it is received.
        if !was_whole && length <= MESSAGE_BYTES_MAX {
            let share = self.connection.request(length)?;
            *self.share.lock().unwrap_or_else(PoisonError::into_inner) = Some(share);
        }
        if self.seen > PREFIX_BYTES.saturating_add(length) {
            return Err(Status::invalid_argument("a call takes one message, and there are more"));
        }
        Ok(())
    }
}

impl http_body::Body for Weighed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                let weighed = frame.data_ref().map_or(Ok(()), |data| self.weigh(data));
                Some(weighed.map(|()| frame))
            }
            other => other,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, charged until it is dropped: that is when the last of it has gone to the client.
struct Held {
    body: Body,
    _share: Share,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
