//! The use-cases as their callers see them, on ports that behave.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

mod fetching;
mod querying;
mod sources;
mod world;
