//! What workers read from the store: timers, state, dead letters.

use crate::arguments::DeadLetters;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::table;
use pelton::{EventTime, ProcessingTime};
use pelton_proto::worker::{
    DeadLetterEntry, DeadLettersRequest, ReplayDeadLettersRequest, StateEntry, StateRequest, TimerEntry,
    TimersRequest,
};
use serde_json::{Value, json};

/// What is asked for when those of one key are wanted: the most a worker answers.
const LETTERS_MAX: u32 = 10_000;

fn fire_time(timer: &TimerEntry) -> String {
    match timer.domain.as_str() {
        "event" => EventTime::from_micros(timer.fire_at_us).to_string(),
        _ => ProcessingTime::from_micros(timer.fire_at_us).to_string(),
    }
}

pub(crate) async fn timers(
    connection: &mut Connection,
    computation: String,
    key: Option<String>,
    count_max: u32,
    json: bool,
) -> Result<(), Failure> {
    let key = key.as_deref().map(table::key).transpose()?.map(Into::into);
    let request = TimersRequest { computation, key, count_max };
    let answer = connection
        .any_worker(|mut client| {
            let request = request.clone();
            async move { client.timers(request).await }
        })
        .await?;
    if json {
        let of = |t: &TimerEntry| {
            json!({
                "key": table::text(&t.key), "domain": t.domain, "namespace": table::text(&t.namespace),
                "tag": table::text(&t.tag), "fire_at_us": t.fire_at_us, "output_time_us": t.output_time_us,
            })
        };
        let timers: Value = answer.timers.iter().map(of).collect();
        println!("{:#}", json!({ "timers": timers, "more": answer.more }));
        return Ok(());
    }
    let row = |t: &TimerEntry| {
        let output = EventTime::from_micros(t.output_time_us).to_string();
        vec![table::text(&t.key), t.domain.clone(), table::text(&t.tag), fire_time(t), output]
    };
    let rows: Vec<_> = answer.timers.iter().map(row).collect();
    table::print(&["KEY", "DOMAIN", "TAG", "FIRES AT", "HOLDS AT"], &rows);
    if answer.more {
        println!("and more: ask for them with --count");
    }
    Ok(())
}

/// All pages of a key's state, of one commit.
async fn pages(
    connection: &mut Connection,
    request: &mut StateRequest,
) -> Result<(Vec<StateEntry>, u64), Failure> {
    let (mut entries, mut commit) = (Vec::new(), None);
    loop {
        let page = connection
            .any_worker(|mut client| {
                let request = request.clone();
                async move { client.state(request).await }
            })
            .await?;
        if commit.is_some_and(|commit| commit != page.commit_number) {
            // The key's interval has committed in between: pages of two commits do not belong together.
            (entries, commit) = (Vec::new(), None);
            request.page.clear();
            continue;
        }
        commit = Some(page.commit_number);
        entries.extend(page.entries);
        if page.next_page.is_empty() {
            return Ok((entries, page.commit_number));
        }
        request.page = page.next_page;
    }
}

/// What a worker has shown as JSON; nothing where it could not.
fn parsed(shown: &str) -> Option<Value> {
    serde_json::from_str(shown).ok()
}

fn sub_key(entry: &StateEntry) -> String {
    if entry.sub_key_shown.is_empty() { table::text(&entry.sub_key) } else { entry.sub_key_shown.clone() }
}

/// What the worker's code makes of it, else the stored bytes; a set has none.
fn value(entry: &StateEntry) -> String {
    match (entry.kind.as_str(), entry.value_shown.as_str()) {
        ("set", "") => String::new(),
        (_, "") => format!("{} ({} bytes)", table::hex(&entry.value), entry.value.len()),
        (_, shown) => shown.to_owned(),
    }
}

pub(crate) async fn state(
    connection: &mut Connection,
    computation: String,
    key: String,
    json: bool,
) -> Result<(), Failure> {
    let mut request = StateRequest { computation, key: table::key(&key)?.into(), page: Default::default() };
    let (entries, commit) = pages(connection, &mut request).await?;
    if entries.is_empty() {
        return Err(Failure::NotFound(format!("{} keeps nothing of key {key:?}", request.computation)));
    }
    if json {
        let of = |e: &StateEntry| {
            json!({
                "cell": e.cell, "kind": e.kind, "namespace": table::text(&e.namespace),
                "sub_key": parsed(&e.sub_key_shown).unwrap_or_else(|| table::text(&e.sub_key).into()),
                "value": parsed(&e.value_shown), "value_hex": table::hex(&e.value),
            })
        };
        let values: Value = entries.iter().map(of).collect();
        println!("{:#}", json!({ "commit_number": commit, "entries": values }));
        return Ok(());
    }
    let row = |e: &StateEntry| {
        let namespace = table::text(&e.namespace);
        vec![e.cell.clone(), e.kind.clone(), namespace, sub_key(e), value(e)]
    };
    let rows: Vec<_> = entries.iter().map(row).collect();
    table::print(&["CELL", "KIND", "NAMESPACE", "SUB-KEY", "VALUE"], &rows);
    println!("as of commit {commit} of its interval");
    Ok(())
}

async fn letters(
    connection: &mut Connection,
    computation: String,
    count_max: u32,
) -> Result<Vec<DeadLetterEntry>, Failure> {
    let request = DeadLettersRequest { computation, count_max };
    let answer = connection
        .any_worker(|mut client| {
            let request = request.clone();
            async move { client.dead_letters(request).await }
        })
        .await?;
    Ok(answer.letters)
}

fn letters_json(letters: &[DeadLetterEntry]) -> Value {
    let of = |l: &DeadLetterEntry| {
        json!({
            "key": table::text(&l.key), "number": l.number, "error": l.error, "attempts": l.attempts,
            "failed_at_us": l.failed_at_us, "value": table::text(&l.value), "replayable": l.replayable,
        })
    };
    letters.iter().map(of).collect()
}

pub(crate) async fn dead_letters(
    connection: &mut Connection,
    command: DeadLetters,
    json: bool,
) -> Result<(), Failure> {
    match command {
        DeadLetters::List { computation, count } => {
            let letters = letters(connection, computation, count).await?;
            if json {
                println!("{:#}", letters_json(&letters));
                return Ok(());
            }
            let row = |l: &DeadLetterEntry| {
                let at = ProcessingTime::from_micros(l.failed_at_us).to_string();
                let replayable = if l.replayable { "yes" } else { "no" }.to_owned();
                vec![
                    table::text(&l.key),
                    l.number.to_string(),
                    at,
                    l.attempts.to_string(),
                    replayable,
                    l.error.clone(),
                ]
            };
            let rows: Vec<_> = letters.iter().map(row).collect();
            table::print(&["KEY", "NUMBER", "GIVEN UP AT", "ATTEMPTS", "REPLAYABLE", "ERROR"], &rows);
        }
        DeadLetters::Show { computation, key } => {
            let wanted = table::key(&key)?;
            let mut letters = letters(connection, computation, LETTERS_MAX).await?;
            letters.retain(|letter| letter.key == wanted);
            if letters.is_empty() {
                return Err(Failure::NotFound(format!("there is no dead letter of key {key:?}")));
            }
            if json {
                println!("{:#}", letters_json(&letters));
                return Ok(());
            }
            for letter in letters {
                println!("key       {}", table::text(&letter.key));
                println!("number    {}", letter.number);
                println!(
                    "given up  {}, after {} attempts",
                    ProcessingTime::from_micros(letter.failed_at_us),
                    letter.attempts
                );
                println!("error     {}", letter.error);
                println!("value     {}\n", table::text(&letter.value));
            }
        }
        DeadLetters::Replay { computation } => {
            let mut replayed = 0;
            for worker in connection.workers().await? {
                let request = ReplayDeadLettersRequest { computation: computation.clone() };
                let call = |mut client: pelton_proto::worker::inspect_client::InspectClient<_>| async move {
                    client.replay_dead_letters(request).await
                };
                replayed += connection.worker(&worker, call).await?.replayed;
            }
            if json {
                println!("{:#}", json!({ "replayed": replayed }));
            } else {
                println!("{replayed} dead letters go through {computation} again");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_can_read_is_shown_as_it_says_and_the_rest_in_hexadecimal_with_its_length() {
        let entry = |kind: &str, value: &'static [u8], value_shown: &str| StateEntry {
            kind: kind.to_owned(),
            sub_key: [0, 1].to_vec().into(),
            value: value.into(),
            value_shown: value_shown.to_owned(),
            ..StateEntry::default()
        };
        assert_eq!(value(&entry("value", &[0, 7], "7")), "7");
        assert_eq!(value(&entry("value", &[0, 255], "")), "0x00ff (2 bytes)");
        assert_eq!(value(&entry("set", &[0], "")), "");
        assert_eq!(sub_key(&entry("map", &[], "")), "0x0001");
        assert_eq!(parsed("[7]"), Some(json!([7])));
        assert_eq!(parsed(""), None);
    }
}
