//! The engine inside a worker: intervals, and everything one interval owns.
//!
//! Decisions are pure and tested without a runtime; I/O stands around them.
//!
//! | module | noun | keeps |
//! |---|---|---|
//! | [`rows`] | the write-through state cache, and what is not yet committed | I2 |
//! | [`timers`] | the timer table | I8 |
//! | [`dedup`] | admission by id: filters, packed entries, ids in flight | I6 |
//! | [`ids`] | the ids of new productions | I6 |
//! | [`outbox`] | productions until they are acknowledged | I5, I7 |
//! | [`channel`] | numbered delivery between two intervals | I9, I11 |
//! | [`failing`] | keys whose code fails: waiting, parked, given up | I9, I10 |
//! | [`batch`] | what one commit will hold | I2, I4 |
//! | [`scope`] | what user code acts on: the parts above, for one key at a time | |
//! | [`bundle`] | the contract between interval and code | |
//! | [`asking`] | questions to the outside, several at once | I2, I9, I11 |
//! | [`interval`] | one task that owns one interval | I1 to I11 |
//! | [`recovery`] | the scan after a take-over | I1, I5, I6, I8 |
//! | [`reshape`] | split and merge | I1, I5 |
//! | [`authority`] | the injector, in this process or elsewhere | I7 |
//! | [`session`] | the membership of this process in a pipeline that an injector elsewhere leads | I7 |
//! | [`peers`] | delivery to and from other processes | I4, I5, I9, I11 |
//! | [`gateway`] | the way in for records from outside | I4, I5, I9, I11 |
//! | [`panics`] | panics, while somebody watches | I10 |
//! | [`published`] | how far the logs of published streams have come | |
//! | [`router`] | who owns which interval, and mail between them | |
//! | [`streams`] | who reads which stream, under every version of the graph | I5, I6, I10 |
//! | [`worker`] | hosts intervals, starts them again when they fail | |

pub(crate) mod asking;
pub(crate) mod authority;
pub(crate) mod batch;
pub(crate) mod bundle;
pub(crate) mod channel;
pub(crate) mod clock;
pub(crate) mod dedup;
pub(crate) mod failing;
pub(crate) mod gateway;
pub(crate) mod holds;
pub(crate) mod ids;
pub(crate) mod interval;
pub(crate) mod letter;
#[cfg(test)]
mod models;
pub(crate) mod outbox;
pub(crate) mod panics;
pub(crate) mod peers;
pub(crate) mod published;
pub(crate) mod recovery;
pub(crate) mod reshape;
pub(crate) mod router;
pub(crate) mod rows;
pub(crate) mod scope;
pub(crate) mod session;
pub(crate) mod sorted;
pub(crate) mod streams;
pub(crate) mod timers;
pub(crate) mod worker;
