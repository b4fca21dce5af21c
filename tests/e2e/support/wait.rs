//! Waiting for something that a test cannot be told of: it is looked at again until it holds.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long anything may take. Far more than it does, for machines that are busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Rest between two looks, so that waiting does not take the processor from what is waited for.
const REST: Duration = Duration::from_millis(5);

/// Looks until there is something; panics, with `what` was waited for, when patience has run out.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::park_timeout(REST);
    }
}
