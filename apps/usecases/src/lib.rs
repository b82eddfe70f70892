//! What the service does, in terms of the ports: no HTTP, no SQL, no exchange in sight.
//!
//! | use-case | promise |
//! | --- | --- |
//! | [`Backfill`] | a historic span, page by page; run again it asks only for what is missing |
//! | [`CatchUp`] | from the newest stored candle to the last closed one, then the due holes |
//! | [`FetchRange`] | the candles of a range that somebody named |
//! | [`SubmitJob`] | somebody asks for a fetch, which becomes a job |
//! | [`RunJob`] | a job is worked on, to its end or the next attempt |
//! | [`Import`] | candles that somebody brings along; the good ones stored, the others refused by name |
//! | [`Verify`] | stored against source, candle by candle; reports, repairs only when told |
//! | [`QueryCandles`] | sorted, unique, half-open; of any interval that the stored one divides; filled and derived rows marked, never stored |
//! | [`RowPages`] | every row of a range, a page at a time; none twice, none left out |
//! | [`LastPrices`] | the last close of assets at an instant, and how old it is |
//! | [`ReadSeries`] | the same by the piece, and where each series stands, for readers that keep what they read |
//! | [`FollowSeries`] | what is new in a series since a follower was last told; nothing is lost however long it was away |
//! | [`ListRevisions`] | candles that were replaced, as they were |
//! | [`ListGaps`] | every hole of a series with its cause, sorted |
//! | [`ListAssets`] | what is stored of every asset, without reading candles |
//! | [`Monitor`] | how far behind each asset is and how many holes there are, without reading candles |
//!
//! The fetching ones share five steps, a file each: `extend` puts new slots on the ledger, `audit`
//! compares ledger and rows, `confirm` asks again for what came from elsewhere, `fill_gaps` works the
//! ledger off, and `ingest` takes one page through the door into the store, while `asks` has the next ones
//! on their way. `standing` judges what came of it. All arithmetic is the domain's.

mod asks;
mod audit;
mod backfill;
mod catch_up;
mod confirm;
mod derive;
mod exchange_time;
mod extend;
mod fetch;
mod fetch_range;
mod fill_gaps;
mod follow_series;
mod holes;
mod import;
mod ingest;
mod job_board;
mod last_prices;
mod lease_terms;
mod list_assets;
mod list_gaps;
mod list_revisions;
mod look_up;
mod monitor;
mod page_room;
mod query_candles;
mod read_series;
mod report;
mod row_pages;
mod run_job;
mod shared_heads;
#[cfg(test)]
mod small_limits;
mod standing;
mod submit_job;
mod verify;

pub use backfill::{Backfill, BackfillGoal};
pub use catch_up::CatchUp;
pub use derive::{BASE_SLOTS_PER_PAGE_MAX, DerivedSeries};
pub use exchange_time::{CLOCK_DISTANCE_MAX, ExchangeTime};
pub use fetch::{FetchContext, FetchPolicy};
pub use fetch_range::FetchRange;
pub use follow_series::{FollowSeries, News, NewsPage, Telling, Told};
pub use import::{
    AssetImport, Import, ImportContext, ImportOptions, ImportReport, ImportRule, OfferedRow, OfferedRows,
    Place, REFUSALS_KEPT_MAX, Refusal, Unfit,
};
pub use last_prices::{ClosedCandle, LastPrice, LastPrices};
pub use lease_terms::{Kept, LeaseTerms};
pub use list_assets::{AssetCoverage, AssetStatus, ListAssets};
pub use list_gaps::{Gap, GapPage, GapQuery, ListGaps};
pub use list_revisions::{ListRevisions, RevisionPage, RevisionQuery};
pub use look_up::QueryError;
pub use monitor::{Monitor, MonitorPolicy, Observed};
pub use page_room::PageRoom;
pub use query_candles::{CandlePage, CandleQuery, FilledPage, QueryCandles};
pub use read_series::{FilledRows, ReadSeries};
pub use report::{AssetError, AssetReport, Gains, Outcome, Progress, ProgressSink, ReportSink, RunReport};
pub use row_pages::RowPages;
pub use run_job::{RunJob, Worked};
pub use submit_job::{FetchWish, SubmitError, SubmitJob, UNENDED_JOBS_MAX};
pub use verify::{
    FAULTS_KEPT_MAX, Fault, FaultCount, FaultKind, Faults, MonthDigest, SummaryFault, Verification,
    VerificationSink, Verify,
};
