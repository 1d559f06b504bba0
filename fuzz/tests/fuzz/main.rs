//! What comes from outside, at its worst. `cargo test -p secrethub-fuzz` runs the corpora and some thousands of inputs at random;
//! `BOLERO_RANDOM_ITERATIONS` runs more of them, `cargo bolero test -p secrethub-fuzz NAME` looks for new ones by coverage.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a target fails by panicking")]

mod audit;
mod certificates;
mod documents;
mod keys;
mod names;
mod requests;

use secrethub_fuzz::edited;

/// Inputs at random in a run of the tests.
const ITERATIONS: usize = 4096;

/// Tries a target: each seed as it is, then random bytes, and seeds edited by random bytes.
fn try_all(seeds: &[Vec<u8>], words: &[&str], target: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    for seed in seeds {
        target(seed);
    }
    bolero::check!().with_iterations(ITERATIONS).for_each(|input: &[u8]| {
        target(input);
        target(&edited(seeds, words, input));
    });
}

/// The same for what is read as text.
fn try_texts(seeds: &[Vec<u8>], words: &[&str], target: impl Fn(&str) + std::panic::RefUnwindSafe) {
    try_all(seeds, words, |bytes| target(&String::from_utf8_lossy(bytes)));
}
