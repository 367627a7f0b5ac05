//! Ways back: which stream the answers to a sender in another process go over.
//!
//! An answer goes back over the stream that its delivery came by, so it arrives also where the news of who owns
//! the sender's interval has not. A sender that is not known any more gets no answer, and sends again (I5).

use super::wire;
use crate::engine::channel::Party;
use crate::engine::router::Mail;
use pelton_proto::worker::Answer;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// One inbound stream's way back. What waits in it is bounded by the deliveries that came.
#[derive(Clone, Debug)]
pub(crate) struct ReturnPath {
    pub(super) stream: u64,
    pub(super) answers: mpsc::UnboundedSender<Answer>,
}

/// The ways back to all senders that were heard of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Returns(Arc<Mutex<Paths>>);

#[derive(Debug, Default)]
struct Paths {
    paths: BTreeMap<Party, ReturnPath>,
    streams: u64,
}

impl Returns {
    fn lock(&self) -> std::sync::MutexGuard<'_, Paths> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new stream, with the sending end of its answers.
    pub(super) fn open(&self, answers: mpsc::UnboundedSender<Answer>) -> ReturnPath {
        let mut paths = self.lock();
        paths.streams += 1;
        ReturnPath { stream: paths.streams, answers }
    }

    /// `sender` was heard over `path`.
    pub(super) fn heard(&self, sender: Party, path: &ReturnPath) {
        let mut paths = self.lock();
        if paths.paths.get(&sender).is_none_or(|known| known.stream != path.stream) {
            paths.paths.insert(sender, path.clone());
        }
    }

    /// The stream is gone.
    pub(super) fn close(&self, path: &ReturnPath) {
        self.lock().paths.retain(|_, known| known.stream != path.stream);
    }

    /// Sends an answer to a sender in another process; nothing where it is not known, or `mail` is no answer.
    pub(crate) fn answer(&self, to: Party, mail: &Mail) {
        let Some(answer) = wire::answer(to, mail) else { return };
        if let Some(path) = self.lock().paths.get(&to) {
            // The stream has just ended: its sender starts again from its oldest.
            let _ = path.answers.send(answer);
        }
    }
}
