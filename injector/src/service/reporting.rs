//! The path of a report, apart from the stream that it came on: into the aggregate, and onto the board.

use super::board::Board;
use super::wire;
use crate::assign::Worker;
use crate::injector::Injector;
use crate::membership::IntervalReign;
use crate::report::ReportRefused;
use pelton_domain::SystemTime;
use pelton_proto::Malformed;
use pelton_proto::injector as proto;

/// Takes in what `worker` reports, and of its promises what no clock can have lifted (I6). Returns the reigns that it has
/// no more.
pub(super) fn take_in(
    injector: &Injector,
    board: &mut Board,
    worker: &Worker,
    reports: Vec<proto::Report>,
    id_time_max: SystemTime,
) -> Result<Vec<IntervalReign>, Malformed> {
    let mut refused: Vec<IntervalReign> = Vec::new();
    for said in reports {
        let mut report = wire::report(&said)?;
        report.oldest_unacknowledged = report.oldest_unacknowledged.min(id_time_max);
        let (computation, interval, sequencer) = (report.computation, report.interval, report.sequencer);
        let reign = IntervalReign { computation, interval, sequencer };
        match injector.report(report) {
            Ok(_) => board.report(reign, worker, said),
            Err(ReportRefused::Ended) => {}
            Err(
                ReportRefused::NoSuchComputation { .. }
                | ReportRefused::NotAssigned { .. }
                | ReportRefused::Stale { .. }
                | ReportRefused::Ahead { .. },
            ) => refused.push(reign),
        }
    }
    Ok(refused)
}
