//! State cells: named, typed places that a computation keeps for each key.
//!
//! | cell | holds | order of iteration |
//! |---|---|---|
//! | [`Value`] | one value | |
//! | [`Combining`] | one accumulator of a [`Combiner`] | |
//! | [`Bag`] | values, blindly added | none promised |
//! | [`List`] | values, appended | as appended |
//! | [`Map`] | values by sub-key | by encoded sub-key |
//! | [`Set`] | sub-keys | by encoded sub-key |
//!
//! A cell is a `static`; its calls take the context, whose key (and window) they act on. Reads come from the
//! interval's cache where they can; writes go to the cache and into the record's commit (I2). A single entry
//! is at most as large as a store value (100 KB); collections are read in pages and have no such limit.

mod cell;
mod collections;
mod single;

pub use cell::{CellKind, CellSpec, Migration, Show, Shows, StateCell};
pub use collections::{Bag, List, ListPosition, Map, Set};
pub use single::{Combiner, Combining, Value};

pub(crate) use cell::Envelope;
