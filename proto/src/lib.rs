//! The contracts of Pelton: what stands in stores and goes over wires, and its way to domain types.
//!
//! The `.proto` files under `pelton/` are the source; the modules here are generated from them. Conversions live in
//! [`convert`], and are the only place where raw numbers become domain types.

pub mod convert;
mod status;

/// Generated from the contracts, each package where its references to others expect it.
mod pelton {
    macro_rules! package {
        ($name:ident) => {
            pub(crate) mod $name {
                #[allow(
                    missing_docs,
                    unreachable_pub,
                    clippy::all,
                    clippy::pedantic,
                    reason = "generated; documented in the .proto file"
                )]
                pub(crate) mod v1 {
                    include!(concat!(env!("OUT_DIR"), "/pelton.", stringify!($name), ".v1.rs"));
                }
            }
        };
    }

    package!(ingest);
    package!(injector);
    package!(statestore);
    package!(store);
    package!(subscribe);
    package!(worker);
}

/// What outside clients say (`pelton/ingest/v1/ingest.proto`).
pub mod ingest {
    pub use crate::pelton::ingest::v1::*;
}

/// What workers and operators say to the injector (`pelton/injector/v1/injector.proto`).
pub mod injector {
    pub use crate::pelton::injector::v1::*;
}

/// A state store, served (`pelton/statestore/v1/statestore.proto`).
pub mod statestore {
    pub use crate::pelton::statestore::v1::*;
}

/// What Pelton keeps in its state store (`pelton/store/v1/store.proto`).
pub mod store {
    pub use crate::pelton::store::v1::*;
}

/// What outside clients read (`pelton/subscribe/v1/subscribe.proto`).
pub mod subscribe {
    pub use crate::pelton::subscribe::v1::*;
}

/// What workers offer each other (`pelton/worker/v1/worker.proto`).
pub mod worker {
    pub use crate::pelton::worker::v1::*;
}

/// Every contract as a compiled descriptor set: what a gRPC server's reflection answers from.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The protocol that this version speaks, in every handshake.
pub const PROTOCOL: u32 = 1;

pub use convert::Malformed;
pub use prost::Message;
