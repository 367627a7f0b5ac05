//! Subscribes to a stream, and keeps its records in a file, one a line: key, a tab, value. Killed at any time and started
//! again, it goes on where it was.
//!
//! What is made of an answer and its token must become durable together. Here both are in one file: behind the lines of
//! each answer comes one with the token, and what stands behind the last such line is cut off at the start.

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Parser;
use pelton::client::{Begin, Received, SubscribeClient};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What begins the line of a token.
const TOKEN: &str = "token\u{1}";

/// Keeps the records of a published stream in a file.
#[derive(Debug, Parser)]
struct Arguments {
    /// Workers, with commas between them.
    #[arg(long, value_delimiter = ',', required = true)]
    workers: Vec<String>,
    /// The stream.
    #[arg(long)]
    stream: String,
    /// The file.
    #[arg(long)]
    output: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let (mut file, begin) = open(&arguments.output)?;
    let mut from = SubscribeClient::connect(arguments.workers, arguments.stream, begin)?;
    println!("begun");
    while let Some(received) = from.next().await? {
        file.write_all(&lines(&received))?;
    }
    println!("ended");
    Ok(())
}

fn open(path: &Path) -> Result<(File, Begin)> {
    let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let text = std::fs::read_to_string(path)?;
    let (mut kept, mut begin, mut at) = (0, Begin::Earliest, 0);
    for line in text.split_inclusive('\n') {
        at += line.len();
        if let Some(token) = line.strip_suffix('\n').and_then(|line| line.strip_prefix(TOKEN)) {
            (kept, begin) = (at, Begin::Token(bytes_of(token)?));
        }
    }
    file.set_len(u64::try_from(kept)?)?;
    Ok((file, begin))
}

fn lines(received: &Received) -> Vec<u8> {
    let mut out = Vec::new();
    for record in &received.records {
        out.extend([record.key.as_ref(), b"\t", &record.value, b"\n"].concat());
    }
    let token: String = received.token.iter().map(|byte| format!("{byte:02x}")).collect();
    out.extend(format!("{TOKEN}{token}\n").into_bytes());
    out
}

fn bytes_of(hex: &str) -> Result<Bytes> {
    let byte = |at: usize| {
        let digits = hex.get(at..at + 2).context("the file is damaged: half a byte of a token")?;
        u8::from_str_radix(digits, 16).context("the file is damaged: a token that is none")
    };
    (0..hex.len()).step_by(2).map(byte).collect()
}
