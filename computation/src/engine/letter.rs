//! Mail as seen from outside: for tests that look at it, lose it, repeat it or put it out of order.

use super::channel::Party;
use super::router::Mail;
use pelton_domain::{KeyPosition, Record, Sequencer};
use std::sync::Arc;

/// Looks at every piece of mail before it goes, and says what becomes of it.
pub type MailFault = Arc<dyn Fn(&Letter) -> MailFate + Send + Sync>;

/// What becomes of a piece of mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailFate {
    /// It arrives.
    Arrives,
    /// It is lost.
    Lost,
    /// It arrives twice.
    Twice,
    /// It arrives behind the next one to the same interval.
    Late,
}

/// One reign over one interval, as a sender or receiver of mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Correspondent {
    /// The computation's number in the store.
    pub computation: u32,
    /// The interval's first position.
    pub first: KeyPosition,
    /// The reign.
    pub sequencer: Sequencer,
}

/// A piece of mail between two intervals.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Who sends it.
    pub from: Correspondent,
    /// To whom.
    pub to: Correspondent,
    /// The epoch of the channel: it ascends whenever the channel's sender starts again.
    pub epoch: u64,
    /// What it is.
    pub content: LetterContent,
}

/// What a piece of mail is.
#[derive(Clone, Debug)]
pub enum LetterContent {
    /// Records, each with the number of its stream.
    Delivery {
        /// The number of the delivery in its channel and epoch.
        number: u64,
        /// What it carries.
        records: Vec<(u32, Record)>,
    },
    /// The delivery of this number is settled (I4).
    Acknowledgement {
        /// The number.
        number: u64,
    },
    /// A delivery is missing: all after it are refused.
    Refusal,
}

impl Letter {
    pub(super) fn of(to: Party, mail: &Mail) -> Self {
        let (from, epoch, content) = match mail {
            Mail::Deliver { from, epoch, number, delivery } => {
                let records = delivery.items.iter().map(|item| (item.stream, item.record.clone())).collect();
                (*from, *epoch, LetterContent::Delivery { number: *number, records })
            }
            Mail::Acknowledge { from, epoch, number, .. } => {
                (*from, *epoch, LetterContent::Acknowledgement { number: *number })
            }
            Mail::Refuse { from, epoch } => (*from, *epoch, LetterContent::Refusal),
        };
        Self { from: from.into(), to: to.into(), epoch, content }
    }
}

impl From<Party> for Correspondent {
    fn from(Party { address, sequencer }: Party) -> Self {
        Self { computation: address.computation, first: address.first, sequencer }
    }
}
