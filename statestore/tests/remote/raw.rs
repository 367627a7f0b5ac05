//! Clients that do not behave as [`Remote`](pelton_statestore::remote::Remote) does.

use bytes::{Buf, BufMut, Bytes};
use pelton_proto::statestore as wire;
use pelton_proto::statestore::state_store_client::StateStoreClient;
use pelton_transport::{Security, connect};
use std::net::SocketAddr;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

pub(crate) fn channel(address: SocketAddr) -> Channel {
    connect(&address.to_string(), &Security::none()).unwrap()
}

/// The generated client, without any bound of its own.
pub(crate) fn client(address: SocketAddr) -> StateStoreClient<Channel> {
    StateStoreClient::new(channel(address)).max_decoding_message_size(usize::MAX)
}

pub(crate) async fn incarnation(address: SocketAddr) -> Bytes {
    let asked = wire::DescribeRequest { protocol: 1 };
    client(address).describe(asked).await.unwrap().into_inner().incarnation
}

/// Calls `method` with bytes as they are. The answer has begun when this returns, and is not read.
pub(crate) async fn call(
    channel: &Channel,
    method: &str,
    message: Vec<u8>,
) -> Result<Streaming<Vec<u8>>, Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone()).max_decoding_message_size(usize::MAX);
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let path = PathAndQuery::try_from(format!("/pelton.statestore.v1.StateStore/{method}")).unwrap();
    Ok(grpc.server_streaming(Request::new(message), path, Plain).await?.into_inner())
}

/// Messages are bytes.
#[derive(Clone, Copy, Default)]
struct Plain;

impl Codec for Plain {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let length = from.remaining();
        Ok(Some(from.copy_to_bytes(length).to_vec()))
    }
}
