//! Fakes that behave, a clock that tests move, and contract suites for implementers.
//!
//! A fake is to be trusted because it passes the same contract as the real thing:
//! [`candle_store_contract`] for [`MemoryStore`] and the databases, [`candle_source_contract`] for
//! [`ScriptedSource`], the simulated market and the exchange's client.

pub mod candle_source_contract;
pub mod candle_store_contract;
mod memory_store;
mod paused_clock;
mod scripted_source;

pub use memory_store::MemoryStore;
pub use paused_clock::PausedClock;
pub use scripted_source::{Call, ScriptedSource};
