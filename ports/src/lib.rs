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
//!
//! # A program against the ports
//!
//! It takes `Arc<dyn Port>` and names no implementation, so that the same code runs over a database,
//! over a store in memory and over mocks:
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use ohlcv_domain::{Asset, Candle, Commit, Grid, Interval, Price, TimeRange};
//! use ohlcv_ports::testing::MemoryStore;
//! use ohlcv_ports::{CandleStore, StoreError, Take};
//!
//! async fn last_price(store: &dyn CandleStore, asset: Asset) -> Result<Option<Price>, StoreError> {
//!     let newest = store.page(asset, TimeRange::ALL, Take::Newest, 1).await?;
//!     Ok(newest.first().map(Candle::close))
//! }
//!
//! let store: Arc<dyn CandleStore> = Arc::new(MemoryStore::new());
//! let btc: Asset = "BTC".parse()?;
//! assert_eq!(last_price(&*store, btc).await?, None);
//!
//! // The one write: candles for all slots that were asked for, or findings why there are none.
//! let noon = "2024-11-01T12:00:00Z".parse()?;
//! let slots = Grid::new(Interval::H12).slots_in(TimeRange::new(noon, "2024-11-02T00:00:00Z".parse()?)?);
//! let candle = Candle::flat(noon, "69500.12".parse()?);
//! store.apply(Commit::new(btc, slots, vec![candle], Vec::new(), noon)?).await?;
//! assert_eq!(last_price(&*store, btc).await?, Some("69500.12".parse()?));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! # An implementation of your own
//!
//! Implement the trait, then hold it to the contract with one line in a test:
//! `candle_source_contract!` for a [`CandleSource`], `candle_store_contract!` for a [`CandleStore`] with
//! its [`Coverage`] and [`History`] (both macros are of feature `testing`). Every case is a test of its
//! own, named after the promise that it holds.
//!
//! # Errors
//!
//! [`SourceError`] and [`StoreError`] are sorted by what the caller can do: try later, wait until an
//! instant, give up. None of them means that there are no candles; that is an answer.

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
pub use jobs::{Cancelling, Jobs, Submitted};
pub use leases::Leases;
#[cfg(feature = "mock")]
pub use leases::MockLeases;
#[cfg(feature = "mock")]
pub use request_budget::MockRequestBudget;
pub use request_budget::{Paused, RequestBudget, Reservation};

/// The examples of the README, compiled and run.
#[cfg(all(doctest, feature = "testing"))]
#[doc = include_str!("../README.md")]
struct Readme;
