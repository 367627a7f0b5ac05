//! What the injector knows: status, computations, intervals, workers, watermarks. And what it is told: drain.

use crate::connection::Connection;
use crate::failure::Failure;
use crate::table;
use pelton::{EventTime, ProcessingTime};
use pelton_proto::injector::{
    ComputationStatus, DrainRequest, ExplainRequest, ExplainResponse, Held, IntervalId, Totals,
};
use serde_json::{Value, json};
use std::time::Duration;

fn watermark(us: i64) -> String {
    EventTime::from_micros(us).to_string()
}

fn time(us: i64) -> String {
    ProcessingTime::from_micros(us).to_string()
}

fn positions(id: &IntervalId) -> String {
    format!("{:016x}..{:016x}", id.first_position, id.last_position)
}

fn print_json(value: &Value) {
    println!("{value:#}");
}

pub(crate) async fn status(connection: &mut Connection, json: bool) -> Result<(), Failure> {
    let status = connection.status(false).await?;
    let intervals: u32 = status.computations.iter().map(|c| c.intervals).sum();
    let running: u32 = status.computations.iter().map(|c| c.running).sum();
    let done = status.is_done();
    let clocks = status.workers.iter().filter(|worker| worker.clock_refused).count();
    if json {
        print_json(&json!({
            "pipeline": status.pipeline, "epoch": status.epoch, "leader_since_us": status.leader_since_us,
            "graph_version": status.graph_version, "workers": status.workers.len(),
            "workers_clock_refused": clocks,
            "computations": status.computations.len(), "intervals": intervals, "running": running, "done": done,
        }));
        return Ok(());
    }
    println!("pipeline       {} (graph version {})", status.pipeline, status.graph_version);
    println!("leader         #{} since {}", status.epoch, time(status.leader_since_us));
    match clocks {
        0 => println!("workers        {}", status.workers.len()),
        clocks => println!(
            "workers        {}, {clocks} of them with a clock too far ahead: see pelton workers",
            status.workers.len()
        ),
    }
    println!("computations   {}", status.computations.len());
    println!("intervals      {intervals}, {running} of them running");
    println!("done           {}", if done { "yes" } else { "no" });
    Ok(())
}

fn totals_json(totals: Totals) -> Value {
    json!({
        "records": totals.records, "duplicates": totals.duplicates, "late_dropped": totals.late_dropped,
        "dead_lettered": totals.dead_lettered, "timers_fired": totals.timers_fired,
        "productions": totals.productions,
    })
}

fn held_json(held: Held) -> Value {
    json!({
        "waiting": held.waiting, "timers": held.timers, "failing_keys": held.failing_keys,
        "parked": held.parked, "outbox_bytes": held.outbox_bytes,
    })
}

pub(crate) async fn computations(connection: &mut Connection, json: bool) -> Result<(), Failure> {
    let status = connection.status(false).await?;
    if json {
        let of = |c: &ComputationStatus| {
            json!({
                "name": c.name, "number": c.computation, "producers": c.producers,
                "low_watermark_us": c.low_watermark_us, "oldest_unacknowledged_ms": c.oldest_unacknowledged_ms,
                "intervals": c.intervals, "running": c.running, "busy_permille": c.busy_permille,
                "totals": totals_json(c.totals.unwrap_or_default()), "held": held_json(c.held.unwrap_or_default()),
            })
        };
        print_json(&status.computations.iter().map(of).collect());
        return Ok(());
    }
    let row = |c: &ComputationStatus| {
        let (totals, held) = (c.totals.unwrap_or_default(), c.held.unwrap_or_default());
        vec![
            c.name.clone(),
            watermark(c.low_watermark_us),
            format!("{}/{}", c.running, c.intervals),
            totals.records.to_string(),
            totals.late_dropped.to_string(),
            totals.dead_lettered.to_string(),
            totals.productions.to_string(),
            held.timers.to_string(),
            held.waiting.to_string(),
            held.parked.to_string(),
        ]
    };
    let heading = [
        "COMPUTATION",
        "LOW WATERMARK",
        "RUNNING",
        "RECORDS",
        "LATE",
        "DEAD",
        "PRODUCTIONS",
        "TIMERS",
        "WAITING",
        "PARKED",
    ];
    table::print(&heading, &status.computations.iter().map(row).collect::<Vec<_>>());
    Ok(())
}

pub(crate) async fn intervals(
    connection: &mut Connection,
    computation: Option<String>,
    json: bool,
) -> Result<(), Failure> {
    let status = connection.status(true).await?;
    let name = |number: u32| {
        let found = status.computations.iter().find(|c| c.computation == number);
        found.map_or_else(|| number.to_string(), |c| c.name.clone())
    };
    if let Some(wanted) = &computation
        && !status.computations.iter().any(|c| c.name == *wanted)
    {
        let known: Vec<_> = status.computations.iter().map(|c| c.name.as_str()).collect();
        return Err(Failure::NotFound(format!(
            "there is no computation {wanted:?}; there are {}",
            known.join(", ")
        )));
    }
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for interval in &status.intervals {
        let Some(id) = interval.interval.as_ref() else { continue };
        let name = name(id.computation);
        if computation.as_ref().is_some_and(|wanted| *wanted != name) {
            continue;
        }
        let report = interval.report.clone();
        if json {
            values.push(json!({
                "computation": name, "first_position": id.first_position, "last_position": id.last_position,
                "sequencer": id.sequencer, "worker": interval.worker, "running": interval.running,
                "low_watermark_us": report.as_ref().map(|r| r.low_watermark_us),
                "holder": report.as_ref().map(|r| r.holder.clone()),
                "busy_permille": report.as_ref().map(|r| r.busy_permille),
                "memory_bytes": report.as_ref().map(|r| r.memory_bytes),
                "totals": report.as_ref().map(|r| totals_json(r.totals.unwrap_or_default())),
                "held": report.as_ref().map(|r| held_json(r.held.unwrap_or_default())),
            }));
            continue;
        }
        rows.push(vec![
            name,
            positions(id),
            format!("#{}", id.sequencer),
            interval.worker.clone(),
            if interval.running { "yes" } else { "no" }.to_owned(),
            report.as_ref().map_or_else(|| "-".to_owned(), |r| watermark(r.low_watermark_us)),
            report.as_ref().map_or_else(|| "-".to_owned(), |r| r.holder.clone()),
            report.as_ref().map_or_else(|| "-".to_owned(), |r| r.busy_permille.to_string()),
        ]);
    }
    if json {
        print_json(&Value::Array(values));
    } else {
        let heading = [
            "COMPUTATION",
            "POSITIONS",
            "REIGN",
            "WORKER",
            "RUNNING",
            "LOW WATERMARK",
            "HOLDER",
            "BUSY/1000",
        ];
        table::print(&heading, &rows);
    }
    Ok(())
}

pub(crate) async fn workers(connection: &mut Connection, json: bool) -> Result<(), Failure> {
    let status = connection.status(false).await?;
    if json {
        let of = |w: &pelton_proto::injector::WorkerStatus| {
            json!({
                "worker": w.worker, "address": w.address, "graph_version": w.graph_version,
                "joined_us": w.joined_us, "heard_us": w.heard_us, "intervals": w.intervals,
                "busy_permille": w.busy_permille, "memory_bytes": w.memory_bytes, "draining": w.draining,
                "clock_ahead_ms": w.clock_ahead_ms, "clock_refused": w.clock_refused,
            })
        };
        print_json(&status.workers.iter().map(of).collect());
        return Ok(());
    }
    let row = |w: &pelton_proto::injector::WorkerStatus| {
        vec![
            w.worker.clone(),
            w.address.clone(),
            w.graph_version.to_string(),
            time(w.joined_us),
            time(w.heard_us),
            w.intervals.to_string(),
            w.busy_permille.to_string(),
            format!("{:.1} MB", f64::from(u32::try_from(w.memory_bytes / 1000).unwrap_or(u32::MAX)) / 1000.0),
            format!("{:+.1} s", w.clock_ahead_ms as f64 / 1000.0),
            worker_note(w).to_owned(),
        ]
    };
    let heading =
        ["WORKER", "ADDRESS", "GRAPH", "JOINED", "HEARD", "INTERVALS", "BUSY/1000", "MEMORY", "CLOCK", ""];
    table::print(&heading, &status.workers.iter().map(row).collect::<Vec<_>>());
    Ok(())
}

fn worker_note(worker: &pelton_proto::injector::WorkerStatus) -> &'static str {
    match (worker.clock_refused, worker.draining) {
        (true, _) => "its clock is too far ahead: it gets no intervals; set it by NTP",
        (false, true) => "draining",
        (false, false) => "",
    }
}

fn explanation_json(name: &str, why: &ExplainResponse) -> Value {
    json!({
        "computation": name, "low_watermark_us": why.low_watermark_us, "path": why.path, "cause": why.cause,
        "words": why.words, "worker": why.worker, "holder": why.holder,
        "first_position": why.interval.as_ref().map(|id| id.first_position),
        "last_position": why.interval.as_ref().map(|id| id.last_position),
        "key": why.holder_key.as_ref().map(|key| table::text(key)), "since_us": why.since_us,
    })
}

pub(crate) async fn watermarks(connection: &mut Connection, why: bool, json: bool) -> Result<(), Failure> {
    let status = connection.status(false).await?;
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for computation in &status.computations {
        let name = computation.name.clone();
        let mut row = vec![name.clone(), watermark(computation.low_watermark_us)];
        let mut value = json!({ "computation": name, "low_watermark_us": computation.low_watermark_us });
        if why {
            let request = ExplainRequest { computation: name.clone() };
            let answer = connection
                .leader(|mut client| {
                    let request = request.clone();
                    async move { client.explain(request).await }
                })
                .await?;
            value = explanation_json(&name, &answer);
            row.push(answer.since_us.map_or_else(|| "-".to_owned(), time));
            row.push(answer.path.join(" < "));
            row.push(answer.words);
        }
        rows.push(row);
        values.push(value);
    }
    if json {
        print_json(&Value::Array(values));
    } else if why {
        table::print(&["COMPUTATION", "LOW WATERMARK", "SINCE", "WAITS FOR", "WHY"], &rows);
    } else {
        table::print(&["COMPUTATION", "LOW WATERMARK"], &rows);
    }
    Ok(())
}

pub(crate) async fn wait(connection: &mut Connection, timeout: Option<u64>) -> Result<(), Failure> {
    let done = async {
        loop {
            match connection.status(false).await {
                Ok(status) if status.is_done() => return Ok(()),
                // One may be about to take the lead.
                Ok(_) | Err(Failure::NoLeader { .. }) => tokio::time::sleep(Duration::from_millis(200)).await,
                Err(failure) => return Err(failure),
            }
        }
    };
    match timeout {
        None => done.await,
        Some(seconds) => match tokio::time::timeout(Duration::from_secs(seconds), done).await {
            Ok(done) => done,
            Err(_) => Err(Failure::NotDone(seconds)),
        },
    }
}

pub(crate) async fn drain(connection: &mut Connection, worker: String, json: bool) -> Result<(), Failure> {
    let request = DrainRequest { worker: worker.clone() };
    let drained = connection
        .leader(|mut client| {
            let request = request.clone();
            async move { client.drain(request).await }
        })
        .await?;
    if json {
        print_json(&json!({ "worker": worker, "moved": drained.moved }));
    } else {
        println!("{worker} is drained: {} intervals moved", drained.moved);
    }
    Ok(())
}
