//! What an error of the client means for whoever called.
//!
//! The codes are FoundationDB's. The question is never what went wrong, but what may have been written and what
//! helps. Before a commit is sent nothing can have been written. After that, only the codes by which the cluster
//! or the client says that it refused are "not written"; every other passing trouble is "unknown" (I3), and what
//! does not pass ends the use of the store.

use foundationdb::FdbError;
use pelton_statestore::StoreFault;

/// What went wrong while a transaction was made.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The client says so.
    Client(FdbError),
    /// The cluster is not the one that the store was opened on.
    OtherCluster {
        /// The cluster of the store.
        opened: String,
        /// The cluster that answers now.
        found: String,
    },
    /// Nothing was heard of any cluster in time.
    Silence,
}

impl From<FdbError> for Trouble {
    fn from(error: FdbError) -> Self {
        Self::Client(error)
    }
}

/// What it means when a read failed, or anything else before a commit was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BeforeCommit {
    /// The snapshot has passed away: begin a new transaction.
    Stale,
    /// Not now: back off.
    NotNow,
    /// It will not pass.
    Broken,
}

/// What it means when a commit failed that was, or may have been, sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtCommit {
    /// Not written: another commit wrote what this one had read; or the client itself did, to settle an earlier one.
    Conflict,
    /// Not written: the read version has passed away. Begin anew.
    Stale,
    /// Not written, and not now: back off.
    NotNow,
    /// Written, or not, or later.
    Unknown,
    /// Not written: over a limit.
    TooLarge,
    /// It will not pass.
    Broken,
}

/// FoundationDB's codes, by its own names.
mod code {
    pub(super) const TRANSACTION_TOO_OLD: i32 = 1007;
    pub(super) const FUTURE_VERSION: i32 = 1009;
    pub(super) const NOT_COMMITTED: i32 = 1020;
    pub(super) const PROCESS_BEHIND: i32 = 1037;
    pub(super) const DATABASE_LOCKED: i32 = 1038;
    pub(super) const COMMIT_PROXY_MEMORY_LIMIT_EXCEEDED: i32 = 1042;
    pub(super) const BATCH_TRANSACTION_THROTTLED: i32 = 1051;
    pub(super) const GRV_PROXY_MEMORY_LIMIT_EXCEEDED: i32 = 1078;
    pub(super) const TAG_THROTTLED: i32 = 1213;
    pub(super) const PROXY_TAG_THROTTLED: i32 = 1223;
    pub(super) const STORAGE_QUOTA_EXCEEDED: i32 = 1225;
    pub(super) const INCOMPATIBLE_PROTOCOL_VERSION: i32 = 2100;
    pub(super) const TRANSACTION_TOO_LARGE: i32 = 2101;
    pub(super) const KEY_TOO_LARGE: i32 = 2102;
    pub(super) const VALUE_TOO_LARGE: i32 = 2103;
    pub(super) const INCOMPATIBLE_CLIENT: i32 = 2125;
    pub(super) const TENANT_NAME_REQUIRED: i32 = 2130;
}

/// The codes of troubles that may pass.
const PASSING: std::ops::Range<i32> = 1000..1500;

pub(crate) fn before_commit(code: i32) -> BeforeCommit {
    match code {
        code::TRANSACTION_TOO_OLD | code::FUTURE_VERSION | code::PROCESS_BEHIND => BeforeCommit::Stale,
        _ if PASSING.contains(&code) => BeforeCommit::NotNow,
        _ => BeforeCommit::Broken,
    }
}

pub(crate) fn at_commit(code: i32) -> AtCommit {
    match code {
        code::NOT_COMMITTED => AtCommit::Conflict,
        code::TRANSACTION_TOO_OLD | code::FUTURE_VERSION | code::PROCESS_BEHIND => AtCommit::Stale,
        code::DATABASE_LOCKED
        | code::COMMIT_PROXY_MEMORY_LIMIT_EXCEEDED
        | code::GRV_PROXY_MEMORY_LIMIT_EXCEEDED
        | code::BATCH_TRANSACTION_THROTTLED
        | code::TAG_THROTTLED
        | code::PROXY_TAG_THROTTLED
        | code::STORAGE_QUOTA_EXCEEDED => AtCommit::NotNow,
        code::TRANSACTION_TOO_LARGE | code::KEY_TOO_LARGE | code::VALUE_TOO_LARGE => AtCommit::TooLarge,
        _ if PASSING.contains(&code) => AtCommit::Unknown,
        _ => AtCommit::Broken,
    }
}

impl Trouble {
    pub(crate) fn before_commit(&self) -> BeforeCommit {
        match self {
            Self::Client(error) => before_commit(error.code()),
            Self::OtherCluster { .. } => BeforeCommit::Broken,
            Self::Silence => BeforeCommit::NotNow,
        }
    }

    pub(crate) fn fault(&self) -> StoreFault {
        match self {
            Self::Client(error) => fault(*error),
            Self::OtherCluster { opened, found } => StoreFault(format!(
                "the store was opened on cluster {opened}, and cluster {found} answers now: it was replaced under \
                 the running process; stop, and open the store anew"
            )),
            Self::Silence => StoreFault("no cluster answers".to_owned()),
        }
    }
}

/// The client's words, its code, and what to do where that is not plain.
pub(crate) fn fault(error: FdbError) -> StoreFault {
    let hint = match error.code() {
        code::DATABASE_LOCKED => "; a restore is running, or an operator locked the database",
        code::INCOMPATIBLE_PROTOCOL_VERSION | code::INCOMPATIBLE_CLIENT => {
            "; install the client library of the cluster's version, or name it with external_client=.."
        }
        code::TENANT_NAME_REQUIRED => "; the cluster must be used without tenants, or with optional ones",
        _ => "",
    };
    StoreFault(format!("{} (FoundationDB error {}){hint}", error.message(), error.code()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_agrees_on_what_is_written() {
        for code in 1..10_000 {
            let (error, fate) = (FdbError::from_code(code), at_commit(code));
            if error.is_maybe_committed() {
                assert_eq!(fate, AtCommit::Unknown, "{error} ({code})");
            }
            if error.is_retryable_not_committed() {
                let not_written = matches!(fate, AtCommit::Conflict | AtCommit::Stale | AtCommit::NotNow);
                assert!(not_written, "{error} ({code}) is {fate:?}");
                assert_ne!(before_commit(code), BeforeCommit::Broken, "{error} ({code})");
            }
        }
    }

    #[test]
    fn an_answer_that_never_came_is_unknown() {
        let (commit_unknown, cancelled, maybe_delivered, timed_out, version_changed, broken_promise) =
            (1021, 1025, 1030, 1031, 1039, 1100);
        for code in [commit_unknown, cancelled, maybe_delivered, timed_out, version_changed, broken_promise] {
            assert_eq!(at_commit(code), AtCommit::Unknown, "{code}");
            assert_eq!(before_commit(code), BeforeCommit::NotNow, "{code}");
        }
    }

    #[test]
    fn what_does_not_pass_stops() {
        let (io_error, no_cluster_file, invalid_operation, protocol, internal, permission) =
            (1510, 1515, 2000, 2100, 4100, 6000);
        for code in [io_error, no_cluster_file, invalid_operation, protocol, internal, permission] {
            assert_eq!(at_commit(code), AtCommit::Broken, "{code}");
            assert_eq!(before_commit(code), BeforeCommit::Broken, "{code}");
        }
    }

    #[test]
    fn limits_are_limits() {
        for code in [2101, 2102, 2103] {
            assert_eq!(at_commit(code), AtCommit::TooLarge, "{code}");
        }
    }

    #[test]
    fn a_fault_says_what_to_do() {
        assert!(fault(FdbError::from_code(2125)).0.contains("external_client"));
        assert!(fault(FdbError::from_code(1038)).0.contains("(FoundationDB error 1038); a restore"));
    }
}
