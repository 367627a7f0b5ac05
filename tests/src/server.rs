//! A server process that is killed and started again at random moments, while something else runs against it.

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A server that runs for as long as this lives.
#[derive(Debug)]
pub struct Server {
    command: Vec<String>,
    child: Arc<Mutex<Child>>,
}

impl Server {
    /// Starts `command`, split at spaces.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(command: &str) -> Result<Self> {
        let command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let child = Arc::new(Mutex::new(spawn(&command)?));
        Ok(Self { command, child })
    }

    /// Kills it `count` times in the background, at random moments over `over`, and starts it again at once each
    /// time; `told` hears of each.
    #[must_use]
    pub fn kill_repeatedly(
        &self,
        count: u32,
        over: Duration,
        seed: u64,
        told: impl Fn(u32) + Send + 'static,
    ) -> Killing {
        let (command, child) = (self.command.clone(), self.child.clone());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut random = StdRng::seed_from_u64(seed);
            for number in 1..=count {
                std::thread::sleep(over.mul_f64(random.random_range(0.5..1.5) / f64::from(count)));
                if stopped.load(Ordering::Acquire) {
                    return Ok(number - 1);
                }
                let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
                let ended = child.try_wait()?;
                ensure!(ended.is_none(), "the server had ended by itself before kill {number}: {ended:?}");
                child.kill()?;
                child.wait()?;
                *child = spawn(&command)?;
                told(number);
            }
            Ok(count)
        });
        Killing { stop, thread }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// The kills that are still to come.
#[derive(Debug)]
pub struct Killing {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<u32>>,
}

impl Killing {
    /// Ends it, and says how many kills there were.
    ///
    /// # Errors
    /// Where the server ended by itself, or could not be started again.
    pub fn end(self) -> Result<u32> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().map_err(|_| anyhow::anyhow!("the killing thread panicked"))?
    }
}

fn spawn(command: &[String]) -> Result<Child> {
    let (program, arguments) = command.split_first().context("the server's command is empty")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().with_context(|| format!("cannot start {program}"))
}
