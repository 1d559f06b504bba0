//! Places at which a test can end this process as a crash would: with SIGKILL, at once. They are there in debug builds only.

/// Ends the process here if `SECRETHUB_FAILPOINT` names this place.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        $crate::failpoint::reached($name);
    };
}
pub(crate) use failpoint;

#[cfg(debug_assertions)]
pub(crate) fn reached(name: &str) {
    use rustix::process::{Signal, getpid, kill_process};
    use std::sync::LazyLock;

    static WANTED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("SECRETHUB_FAILPOINT").ok());

    if WANTED.as_deref() == Some(name) {
        // SIGKILL to oneself does not fail, and nothing after it runs
        let _ = kill_process(getpid(), Signal::KILL);
    }
}
