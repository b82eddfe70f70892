//! What the repository promises about itself: its crates, its sources, its documents, what others see.
//!
//! A test here fails with a list of places, each with what to do about it.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

mod code;
mod code_map;
mod dependencies;
mod documents;
mod pinned;
mod repository;
