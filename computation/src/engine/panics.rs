//! Panics of one thread, while somebody watches: the simulation, since one that only ends a task is seen by nobody.
//!
//! A panic of user code is caught around the call, and is a failure of that call (I10): who catches it takes it back. One
//! that this crate's own code raises in the midst of such a call is a bug of the engine's, and stays.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic::{Location, PanicHookInfo};
use std::sync::Once;

/// A panic: what it said, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Panicked {
    message: String,
    file: String,
    line: u32,
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked at {}:{}: {}", self.file, self.line, self.message)
    }
}

impl Panicked {
    fn of(info: &PanicHookInfo<'_>) -> Self {
        let message = info.payload_as_str().unwrap_or("without a message").to_owned();
        let (file, line) = info.location().map_or(("nowhere", 0), |at: &Location<'_>| (at.file(), at.line()));
        Self { message, file: file.to_owned(), line }
    }

    /// Whether this crate's own code raised it.
    fn is_ours(&self) -> bool {
        let sources = file!().strip_suffix("engine/panics.rs").unwrap_or(file!());
        self.file.strip_prefix(sources).is_some_and(|path| !path.contains("tests"))
    }
}

thread_local! {
    static SEEN: RefCell<Option<Vec<Panicked>>> = const { RefCell::new(None) };
}

/// Watches this thread's panics, until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    before: Option<Vec<Panicked>>,
    /// It is of this thread.
    _stays: std::marker::PhantomData<*const ()>,
}

impl Watch {
    pub(crate) fn begin() -> Self {
        static HOOKED: Once = Once::new();
        HOOKED.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                change(|seen| seen.push(Panicked::of(info)));
                before(info);
            }));
        });
        let before = SEEN.with(|seen| seen.borrow_mut().replace(Vec::new()));
        Self { before, _stays: std::marker::PhantomData }
    }

    /// The first that nobody has taken back.
    pub(crate) fn first(&self) -> Option<Panicked> {
        SEEN.with(|seen| seen.borrow().as_ref()?.first().cloned())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        SEEN.with(|seen| *seen.borrow_mut() = self.before.take());
    }
}

/// A hook may be called anywhere, so also where the thread ends.
fn change(how: impl FnOnce(&mut Vec<Panicked>)) {
    let _ = SEEN.try_with(|seen| {
        if let Ok(mut seen) = seen.try_borrow_mut()
            && let Some(seen) = &mut *seen
        {
            how(seen);
        }
    });
}

/// The last panic of this thread was caught around a call of user code: it is a failure of that call. What it said.
pub(crate) fn caught(panic: &(dyn Any + Send)) -> &str {
    take_back();
    panic_message(panic)
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "without a message",
    }
}

fn take_back() {
    change(|seen| {
        seen.pop_if(|last| !last.is_ours());
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn panics(words: &str) {
        let caught = catch_unwind(AssertUnwindSafe(|| panic!("{words}")));
        assert!(caught.is_err());
    }

    #[test]
    fn what_panics_is_seen_with_its_words_and_place_by_who_watches_this_thread() {
        panics("before");
        let watch = Watch::begin();
        assert_eq!(watch.first(), None);
        assert!(std::thread::spawn(|| panics("elsewhere")).join().is_ok());
        assert_eq!(watch.first(), None);
        panics("first");
        panics("second");
        let first = watch.first().map(|first| first.to_string()).unwrap_or_default();
        assert!(first.contains("panics.rs:") && first.ends_with(": first"), "{first}");
    }

    #[test]
    fn what_user_code_panicked_is_taken_back_and_what_is_of_this_crate_is_not() {
        let watch = Watch::begin();
        let of = |file: &str| Panicked { message: String::new(), file: file.to_owned(), line: 1 };
        let sources = file!().strip_suffix("engine/panics.rs").unwrap();
        for users in
            ["src/main.rs", "/rustc/library/core/src/option.rs", &format!("{sources}engine/tests/x.rs")]
        {
            change(|seen| seen.push(of(users)));
            take_back();
            assert_eq!(watch.first(), None, "{users}");
        }
        let ours = of(&format!("{sources}context.rs"));
        change(|seen| seen.push(ours.clone()));
        take_back();
        assert_eq!(watch.first(), Some(ours));
    }
}
