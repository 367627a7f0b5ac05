//! The calls of the contract, on a store.

use super::broken::Broken;
use super::budget::Connection;
use super::{ANSWER_BYTES_MAX, answer, request};
use crate::store::{CommitError, ReadError, StoreHandle};
use bytes::Bytes;
use pelton_proto::statestore as wire;
use pelton_transport::MESSAGE_BYTES_MAX;
use std::sync::Arc;
use tonic::{Extensions, Request, Response, Status};
use wire::state_store_server::{StateStore, StateStoreServer};

/// How many keys are read from the store before their values' bytes are counted: so that many large values are never
/// in memory only to be left out of the answer.
const READ_STEP_KEYS_MAX: usize = 64;

/// What a value counts in an answer beside its bytes.
const VALUE_OVERHEAD_BYTES: usize = 8;

/// A store, as the contract has it.
pub(super) struct Service {
    store: StoreHandle,
    broken: Arc<Broken>,
}

impl Service {
    pub(super) fn new(store: StoreHandle, broken: Arc<Broken>) -> Self {
        Self { store, broken }
    }

    pub(super) fn into_server(self) -> StateStoreServer<Self> {
        StateStoreServer::new(self)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn check_incarnation(&self, named: &Bytes) -> Result<(), Status> {
        request::check_incarnation(named, self.store.incarnation())
    }

    fn read_error(&self, error: &ReadError) -> Status {
        if let ReadError::Fatal(fault) = error {
            self.broken.notice(fault);
        }
        answer::read_error(error)
    }

    /// The values of the first keys: as many as fit into one answer, and at least one.
    async fn values(&self, keys: &[Bytes]) -> Result<Vec<wire::OptionalValue>, Status> {
        let (mut values, mut bytes) = (Vec::new(), 0);
        for step in keys.chunks(READ_STEP_KEYS_MAX) {
            for value in self.store.read(step.to_vec()).await.map_err(|error| self.read_error(&error))? {
                bytes += VALUE_OVERHEAD_BYTES + value.as_ref().map_or(0, Bytes::len);
                if bytes > ANSWER_BYTES_MAX && !values.is_empty() {
                    return Ok(values);
                }
                values.push(wire::OptionalValue { value });
            }
        }
        Ok(values)
    }
}

/// An answer that counts against the budget of its connection until the client has read it.
fn charged<M: prost::Message>(answer: M, asked: &Extensions) -> Result<Response<M>, Status> {
    let bytes = answer.encoded_len();
    let mut response = Response::new(answer);
    if let Some(connection) = asked.get::<Arc<Connection>>() {
        response.extensions_mut().insert(connection.answer(bytes)?);
    }
    Ok(response)
}

#[tonic::async_trait]
impl StateStore for Service {
    async fn describe(
        &self,
        request: Request<wire::DescribeRequest>,
    ) -> Result<Response<wire::DescribeResponse>, Status> {
        request::check_protocol(request.get_ref().protocol)?;
        Ok(Response::new(answer::description(self.store.as_ref())))
    }

    async fn read(
        &self,
        request: Request<wire::ReadRequest>,
    ) -> Result<Response<wire::ReadResponse>, Status> {
        let (_, asked, message) = request.into_parts();
        self.check_incarnation(&message.incarnation)?;
        let keys = request::keys(message.keys)?;
        charged(wire::ReadResponse { values: self.values(&keys).await? }, &asked)
    }

    async fn scan(
        &self,
        request: Request<wire::ScanRequest>,
    ) -> Result<Response<wire::ScanResponse>, Status> {
        let (_, asked, message) = request.into_parts();
        self.check_incarnation(&message.incarnation)?;
        let scan = request::scan(message)?;
        let page = self.store.scan(scan).await.map_err(|error| self.read_error(&error))?;
        charged(answer::page(page), &asked)
    }

    async fn commit(
        &self,
        request: Request<wire::CommitRequest>,
    ) -> Result<Response<wire::CommitResponse>, Status> {
        let message = request.into_inner();
        self.check_incarnation(&message.incarnation)?;
        let result = self.store.commit(request::commit(message)?).await;
        // From here on no status is given: it would say that nothing was written.
        if let Err(CommitError::Fatal(fault)) = &result {
            self.broken.notice(fault);
        }
        Ok(Response::new(answer::outcome(result)))
    }
}
