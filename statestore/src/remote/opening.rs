//! Finding the server, and what it says of itself.

use super::{RemoteOptions, status};
use crate::store::{Limits, OpenError, StoreFault};
use pelton_domain::Incarnation;
use pelton_proto::statestore::{self as wire, state_store_client::StateStoreClient};
use pelton_proto::{PROTOCOL, convert};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

/// How long one attempt may take: a server that is stopped in the middle of it must not take all the time.
const ATTEMPT_DURATION_MAX: Duration = Duration::from_secs(3);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) incarnation: Incarnation,
    pub(super) adopted: Vec<Incarnation>,
    pub(super) limits: Limits,
    pub(super) read_keys_max: usize,
}

/// Asks until the server answers.
pub(super) async fn describe(
    address: &str,
    client: &StateStoreClient<Channel>,
    options: &RemoteOptions,
) -> Result<Description, OpenError> {
    let failed = |fault: String| OpenError::Failed {
        path: format!("remote:{address}").into(),
        fault: StoreFault(fault),
    };
    let mut last = "it did not answer".to_owned();
    let asking = async {
        loop {
            let mut client = client.clone();
            let call = client.describe(wire::DescribeRequest { protocol: PROTOCOL });
            match timeout(ATTEMPT_DURATION_MAX, call).await {
                Ok(Ok(answer)) => return parse(answer.into_inner()),
                Ok(Err(status)) if status::is_final(&status) => {
                    return Err(format!("the server there refuses: {}", status.message()));
                }
                Ok(Err(status)) => last = status::words(&status),
                Err(_) => last = format!("no answer within {ATTEMPT_DURATION_MAX:?}"),
            }
            sleep(PAUSE).await;
        }
    };
    let found = timeout(options.open_duration_max, asking).await;
    found.map_or_else(
        |_| {
            let waited = options.open_duration_max;
            Err(failed(format!(
                "no pelton-statestore answered there within {waited:?} ({last}): start one with --listen {address}, or correct the address"
            )))
        },
        |described| described.map_err(failed),
    )
}

/// What the answer says; what makes no sense is refused.
pub(super) fn parse(answer: wire::DescribeResponse) -> Result<Description, String> {
    if answer.protocol != PROTOCOL {
        return Err(format!(
            "the server there speaks protocol {}, and this program {PROTOCOL}: use programs of one version",
            answer.protocol
        ));
    }
    let incarnation =
        |bytes: &bytes::Bytes| convert::incarnation(bytes).map_err(|error| format!("its answer is {error}"));
    let positive = |what: &str, number: u64| match usize::try_from(number) {
        Ok(number @ 1..) => Ok(number),
        _ => Err(format!("its answer makes no sense: {what} is {number}")),
    };
    Ok(Description {
        incarnation: incarnation(&answer.incarnation)?,
        adopted: answer.adopted.iter().map(incarnation).collect::<Result<_, _>>()?,
        limits: Limits {
            commit_bytes_max: positive("commit_bytes_max", answer.commit_bytes_max)?,
            key_bytes_max: positive("key_bytes_max", answer.key_bytes_max)?,
            value_bytes_max: positive("value_bytes_max", answer.value_bytes_max)?,
        },
        read_keys_max: positive("read_keys_max", answer.read_keys_max.into())?,
    })
}
