//! The contracts of Pelton: what stands in stores and goes over wires, and its way to domain types.
//!
//! The `.proto` files under `pelton/` are the source; [`store`] is generated from them. Conversions live in
//! [`convert`], and are the only place where raw numbers become domain types.

pub mod convert;

/// What Pelton keeps in its state store (`pelton/store/v1/store.proto`).
pub mod store {
    #![allow(missing_docs, clippy::doc_markdown, reason = "generated; documented in the .proto file")]
    include!(concat!(env!("OUT_DIR"), "/pelton.store.v1.rs"));
}

pub use convert::Malformed;
pub use prost::Message;
