//! A stream and a table: by the key of both, or by any key where every part of the stream has a copy of the table.

use super::keyed::Keyed;
use super::records::Records;
use crate::join::{Asked, Row, Side, TableJoinOperator, TableJoinSpec};
use crate::pipeline::Step;
use crate::stream::Stream;
use pelton_domain::Key;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

type IsDeletion<B> = Arc<dyn Fn(&B) -> bool + Send + Sync>;

/// A stream of rows, each of which is valid from its event time on until the next one of its key.
pub struct Table<'f, B, K = Key> {
    rows: Records<'f, B>,
    is_deletion: Option<IsDeletion<B>>,
    key: std::marker::PhantomData<fn(K)>,
}

impl<B, K> fmt::Debug for Table<'_, B, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table<{}>", std::any::type_name::<B>())
    }
}

impl<B, K> Table<'_, B, K> {
    /// Where `is_deletion` says so of a row, there is none of its key from then on.
    #[must_use]
    pub fn deleted_by(mut self, is_deletion: impl Fn(&B) -> bool + Send + Sync + 'static) -> Self {
        self.is_deletion = Some(Arc::new(is_deletion));
        self
    }
}

impl<'f, A, K> Keyed<'f, A, K>
where
    A: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// Takes them for the rows of a table: each replaces the one of its key, from its event time on.
    pub fn table(self) -> Table<'f, A, K> {
        Table { rows: self.untyped().into_records(), is_deletion: None, key: std::marker::PhantomData }
    }

    /// With the row of the same key that was valid at the record's event time.
    pub fn join_table<B>(self, table: Table<'f, B, K>) -> TableJoin<'f, A, B> {
        let Table { rows, is_deletion, .. } = table;
        self.flow().same(rows.flow);
        TableJoin { left: self.untyped(), rows: Keyed::of(rows), is_deletion, lateness: Duration::ZERO }
    }
}

/// A join with a table by key.
#[must_use = "end it with `.inner(..)` or `.left(..)`"]
pub struct TableJoin<'f, A, B> {
    left: Keyed<'f, A>,
    rows: Keyed<'f, B>,
    is_deletion: Option<IsDeletion<B>>,
    lateness: Duration,
}

impl<A, B> fmt::Debug for TableJoin<'_, A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableJoin({:?}, {:?})", self.left, self.rows)
    }
}

impl<'f, A, B> TableJoin<'f, A, B>
where
    A: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    B: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// How far behind the watermark a record may be and still meet its row. Default 0.
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.lateness = lateness;
        self
    }

    /// Every record that has a row, as the step `name`.
    pub fn inner<O: Clone + 'static>(
        self,
        name: &str,
        join: impl Fn(A, &B) -> O + Send + Sync + 'static,
    ) -> Records<'f, O> {
        self.told(name, move |a, row| row.map(|row| join(a, row)))
    }

    /// Every record, with its row if it has one, as the step `name`.
    pub fn left<O: Clone + 'static>(
        self,
        name: &str,
        join: impl Fn(A, Option<&B>) -> O + Send + Sync + 'static,
    ) -> Records<'f, O> {
        self.told(name, move |a, row| Some(join(a, row)))
    }

    fn told<O: Clone + 'static>(
        self,
        name: &str,
        join: impl Fn(A, Option<&B>) -> Option<O> + Send + Sync + 'static,
    ) -> Records<'f, O> {
        let Self { left, rows, is_deletion, lateness } = self;
        let (flow, left) = left.to_step(name, "left");
        let (_, rows) = rows.to_step(name, "table");
        let step_name = name.to_owned();
        flow.step(name, move |outlet| {
            let spec = TableJoinSpec { lateness, copies: None, is_deletion, join: Box::new(join), outlet };
            let asks = |value| Side::Left(Asked { key: None, kind: Vec::new(), value });
            let is = |value| Side::Right(Row { kind: Vec::new(), value });
            let step = Step::new(step_name, TableJoinOperator::new(spec));
            Ok(step.reads_as(&left, asks).reads_as(&rows, is))
        })
    }
}

impl<'f, A> Records<'f, A>
where
    A: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// With the row of a slowly changing table that `look_up` asks for, as it was at the record's event time. Records
    /// keep their keys and need none of the table's: they are cut into parts, and each has a copy of the table.
    pub fn side_input<B, K: Into<Key>>(
        &self,
        table: Table<'f, B, K>,
        look_up: impl Fn(&A) -> K + Send + Sync + 'static,
    ) -> SideInput<'f, A, B> {
        let Table { rows, is_deletion, .. } = table;
        self.flow.same(rows.flow);
        let look_up = Arc::new(move |value: &A| look_up(value).into());
        SideInput {
            records: self.clone(),
            rows,
            is_deletion,
            look_up,
            copies: SideInput::<A, B>::COPIES,
            lateness: Duration::ZERO,
        }
    }
}

/// A join with a table of which every part of the stream has a copy.
#[must_use = "end it with `.join(..)`"]
pub struct SideInput<'f, A, B> {
    records: Records<'f, A>,
    rows: Records<'f, B>,
    is_deletion: Option<IsDeletion<B>>,
    look_up: Arc<dyn Fn(&A) -> Key + Send + Sync>,
    copies: u32,
    lateness: Duration,
}

impl<A, B> fmt::Debug for SideInput<'_, A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SideInput({:?}, {:?}, {} copies)", self.records, self.rows, self.copies)
    }
}

impl<A, B> SideInput<'_, A, B> {
    /// How many copies there are unless said otherwise.
    pub const COPIES: u32 = 16;

    /// Into how many parts the records are cut, each with a copy of the table: so many can run side by side. State
    /// hangs on it. Default [`Self::COPIES`].
    pub fn copies(mut self, copies: u32) -> Self {
        self.copies = copies;
        self
    }

    /// How far behind the watermark a record may be and still meet its row. Default 0.
    pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
        self.lateness = lateness;
        self
    }
}

impl<'f, A, B> SideInput<'f, A, B>
where
    A: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    B: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// Every record with its row, if there is one, as the step `name`: under the record's own key.
    pub fn join<O: Clone + 'static>(
        self,
        name: &str,
        join: impl Fn(A, Option<&B>) -> O + Send + Sync + 'static,
    ) -> Records<'f, O> {
        let Self { records, rows, is_deletion, look_up, copies, lateness } = self;
        let flow = records.flow;
        let asked: Stream<Asked<A>> = Stream::named(format!("{name}.in"));
        let table: Stream<Row<B>> = Stream::named(format!("{name}.table"));
        let asks = records.then("side_input", move |value, key, give| {
            let part = part_of(&key, copies);
            let asked = Asked {
                key: Some(key.as_bytes().to_vec()),
                kind: look_up(&value).as_bytes().to_vec(),
                value,
            };
            give(asked, part);
        });
        let is = rows.then("broadcast", move |value: B, key, give| {
            for part in 0..copies {
                give(Row { kind: key.as_bytes().to_vec(), value: value.clone() }, part_key(part));
            }
        });
        asks.send(&asked);
        is.send(&table);
        let step_name = name.to_owned();
        flow.step(name, move |outlet| {
            if copies == 0 {
                return Err(format!(
                    "step {step_name:?}: a side input needs a copy of its table: `.copies(1)`"
                ));
            }
            let join = Box::new(move |a, row: Option<&B>| Some(join(a, row)));
            let spec = TableJoinSpec { lateness, copies: Some(copies), is_deletion, join, outlet };
            let step = Step::new(step_name, TableJoinOperator::new(spec));
            Ok(step.reads_as(&asked, Side::Left).reads_as(&table, Side::Right))
        })
    }
}

/// Which part a key belongs to: parts are ranges of key positions.
fn part_of(key: &Key, parts: u32) -> Key {
    let part = (u128::from(key.position().0) * u128::from(parts)) >> 64;
    part_key(u32::try_from(part).unwrap_or(0))
}

fn part_key(part: u32) -> Key {
    u64::from(part).into()
}
