//! The use-cases as their callers see them, on ports that behave.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

mod fetching;
mod jobs;
mod querying;
mod sources;
mod verifying;
mod world;
