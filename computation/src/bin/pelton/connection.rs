//! Finding the injector in charge, and workers through it.

use crate::failure::Failure;
use pelton_proto::injector::injector_client::InjectorClient;
use pelton_proto::injector::{StatusRequest, StatusResponse, WorkerStatus};
use pelton_proto::worker::inspect_client::InspectClient;
use pelton_transport::config::SecurityArgs;
use pelton_transport::{MESSAGE_BYTES_MAX, Security, connect};
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// How often the injectors are asked in turn before none is said to lead.
const ROUNDS_MAX: usize = 10;
const ROUND_DELAY: Duration = Duration::from_millis(300);

/// The way to a pipeline.
pub(crate) struct Connection {
    injectors: Vec<String>,
    security: Security,
}

impl Connection {
    pub(crate) fn new(injectors: Vec<String>, security: &SecurityArgs) -> Result<Self, Failure> {
        let security = security.security().map_err(|error| Failure::Said(error.to_string()))?;
        for address in &injectors {
            connect(address, &security).map_err(|error| Failure::Said(error.to_string()))?;
        }
        Ok(Self { injectors, security })
    }

    /// Calls the injector in charge, which may change meanwhile.
    pub(crate) async fn leader<T, F>(
        &mut self,
        call: impl Fn(InjectorClient<Channel>) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let mut reason = String::new();
        for round in 0..ROUNDS_MAX {
            if round > 0 {
                tokio::time::sleep(ROUND_DELAY).await;
            }
            for at in 0..self.injectors.len() {
                let Some(address) = self.injectors.get(at) else { continue };
                let channel = connect(address, &self.security).map_err(|e| Failure::Said(e.to_string()))?;
                let client = InjectorClient::new(channel).max_decoding_message_size(64 << 20);
                match call(client).await {
                    Ok(response) => {
                        // It leads: the next call goes there first.
                        self.injectors.swap(0, at);
                        return Ok(response.into_inner());
                    }
                    Err(status) if status.code() == Code::Unavailable => reason = status.message().to_owned(),
                    Err(status) => return Err(status.into()),
                }
            }
        }
        Err(Failure::NoLeader { addresses: self.injectors.join(", "), reason })
    }

    pub(crate) async fn status(&mut self, intervals: bool) -> Result<StatusResponse, Failure> {
        self.leader(|mut client| async move { client.status(StatusRequest { intervals }).await }).await
    }

    /// The workers that there are.
    pub(crate) async fn workers(&mut self) -> Result<Vec<WorkerStatus>, Failure> {
        let workers = self.status(false).await?.workers;
        if workers.is_empty() { Err(Failure::NoWorkers) } else { Ok(workers) }
    }

    /// Calls a worker.
    pub(crate) async fn worker<T, F>(
        &self,
        worker: &WorkerStatus,
        call: impl FnOnce(InspectClient<Channel>) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let unreachable = |reason: String| Failure::Worker {
            worker: worker.worker.clone(),
            address: worker.address.clone(),
            reason,
        };
        let channel = connect(&worker.address, &self.security).map_err(|e| unreachable(e.to_string()))?;
        let client = InspectClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        match call(client).await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) if status.code() == Code::Unavailable => {
                Err(unreachable(status.message().to_owned()))
            }
            Err(status) => Err(status.into()),
        }
    }

    /// Calls the first worker that can be reached: any of them answers for all.
    pub(crate) async fn any_worker<T, F>(
        &mut self,
        call: impl Fn(InspectClient<Channel>) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let mut last = Failure::NoWorkers;
        for worker in self.workers().await? {
            match self.worker(&worker, &call).await {
                Err(failure @ Failure::Worker { .. }) => last = failure,
                answered => return answered,
            }
        }
        Err(last)
    }
}
