//! What the application needs from the world, in domain words.
//!
//! A port is a small, object-safe trait; its docs say what every implementation MUST do, and a
//! contract suite in `testing` holds implementations to it.
//!
//! | port | stands for | implementations |
//! | --- | --- | --- |
//! | [`CandleSource`] | the exchange | Binance, the simulated market, `testing::ScriptedSource` |
//! | [`CandleStore`] | the stored candles | SQLite, PostgreSQL, `testing::MemoryStore` |
//! | [`Coverage`] | the ledger of holes, the summaries | the same |
//! | [`History`] | what the candles were earlier | the same |
//! | [`Leases`] | who works on what | SQLite, PostgreSQL |
//! | [`Jobs`], [`JobQueue`] | jobs, for those who ask for them and those who do them | the same |
//! | [`RequestBudget`] | how much the exchange may be asked | SQLite, PostgreSQL |
//! | [`Clock`] | the local clock | the system's, `testing::PausedClock` |
//!
//! Feature `mock` gives mockall mocks (`MockCandleSource`, …) to ask "was asked exactly this";
//! feature `testing` gives fakes that behave, contract suites, and a clock that stands still.

mod candle_source;
mod candle_store;
mod clock;
mod coverage;
mod history;
mod job;
mod job_queue;
mod jobs;
mod leases;
mod request_budget;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "mock")]
pub use candle_source::MockCandleSource;
pub use candle_source::{CandleSource, SourceError, SourcePage};
#[cfg(feature = "mock")]
pub use candle_store::MockCandleStore;
pub use candle_store::{CandleStore, StoreError, Take};
pub use clock::Clock;
#[cfg(feature = "mock")]
pub use clock::MockClock;
#[cfg(feature = "mock")]
pub use coverage::MockCoverage;
pub use coverage::{Coverage, HoleQuery};
pub use history::History;
#[cfg(feature = "mock")]
pub use history::MockHistory;
pub use job::{ClaimedJob, Job, JobAsset, JobEnd, JobState, JobWordError, NewJob, Work};
pub use job_queue::JobQueue;
#[cfg(feature = "mock")]
pub use job_queue::MockJobQueue;
#[cfg(feature = "mock")]
pub use jobs::MockJobs;
pub use jobs::{Cancelling, JobChanges, Jobs, Submitted};
pub use leases::Leases;
#[cfg(feature = "mock")]
pub use leases::MockLeases;
#[cfg(feature = "mock")]
pub use request_budget::MockRequestBudget;
pub use request_budget::{Paused, RequestBudget, Reservation};
