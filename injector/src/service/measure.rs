//! The service's own path of a report, for those who measure it.

use super::board::Board;
use super::reporting;
use crate::assign::Worker;
use crate::injector::Injector;
use pelton_domain::SystemTime;
use pelton_proto::Message;
use pelton_proto::injector as proto;

/// Takes reports in as a session does, without a network.
#[derive(Debug)]
pub struct Reporting {
    injector: Injector,
    board: Board,
    worker: Worker,
}

impl Reporting {
    /// For the intervals that `injector` has assigned.
    #[must_use]
    pub fn new(injector: Injector) -> Self {
        Self { injector, board: Board::default(), worker: "measured".into() }
    }

    /// Takes in an encoded [`proto::Reports`]. Returns how many reports counted; `None` where the bytes are none.
    pub fn take_in(&mut self, bytes: &[u8]) -> Option<usize> {
        let reports = proto::Reports::decode(bytes).ok()?.reports;
        let count = reports.len();
        let refused =
            reporting::take_in(&self.injector, &mut self.board, &self.worker, reports, SystemTime::MAX)
                .ok()?;
        Some(count - refused.len())
    }
}
