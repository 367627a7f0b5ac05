//! The fence: one writer per interval (I1), whole batches (I2), and unknown outcomes settled (I3).
//!
//! Every interval has one fence record. Each commit of the interval requires the exact bytes of the fence it
//! last wrote and replaces them, in the same transaction, with ones that carry a token unique to the attempt.
//! So:
//!
//! * a take-over, which also replaces the fence, refuses every later commit of the old owner, one already on
//!   its way included;
//! * two attempts of one commit can never both land, since each requires what stood before;
//! * whether an attempt happened is read off its token. That it did *not* happen is never read: it is
//!   established by the next attempt's success, after which the earlier one can no longer land.
//!
//! | module | what |
//! |---|---|
//! | [`record`] | the fence itself and its encoding |
//! | [`reign`] | holding a fence: commit, split, merge |
//! | [`mod@take_over`] | getting one: creation and take-over |

pub mod record;
pub mod reign;
pub mod take_over;

mod attempt;

pub use record::{Ancestor, Counters, Fence, FenceUpdate};
pub use reign::{FencedError, Reign};
pub use take_over::{TakeOverError, create_fences, read_fences, take_over};

use pelton_domain::AttemptToken;
use std::sync::Arc;

/// Where tokens come from: every call gives another one, unique in the life of the store.
pub type Tokens = Arc<dyn Fn() -> AttemptToken + Send + Sync>;

/// Random tokens, 128 bits from the operating system.
#[must_use]
pub fn random_tokens() -> Tokens {
    Arc::new(|| AttemptToken(uuid::Uuid::new_v4().as_u128()))
}
