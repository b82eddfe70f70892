//! What followers are told, read once for all who stand at the same place.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Asset, Row};
use ohlcv_ports::{Clock, JobChanges, Jobs, StoreError};
use ohlcv_usecases::{FollowSeries, News, QueryError, Told};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::http::admission::Admission;
use crate::http::candle_bytes::push_row;
use crate::http::gaps::GapRow;
use crate::http::jobs::JobBody;

/// How often it is asked whether there is something new.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a follower waits for a page, with the wait for a turn at the database.
const PAGE_TIME_MAX: Duration = Duration::from_secs(30);
/// What is kept of pages for followers who stand where another one stood, in bytes.
const KEPT_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// A page of one candle.
const PAGE_BYTES_USUAL: u64 = 512;
/// What a piece of news takes besides its text.
const NEWS_BYTES: u64 = 64;
/// How many jobs are read at a time.
const JOBS_PER_READ: u64 = 100;

/// Something to tell.
#[derive(Debug)]
pub(super) struct Piece {
    /// The name of its kind.
    pub(super) kind: &'static str,
    /// What it says, in JSON.
    pub(super) json: String,
    /// Where a follower stands who was told of it.
    pub(super) told: Told,
}

/// What is new of one asset, ready to be sent.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) pieces: Vec<Piece>,
    /// Where a follower stands behind it.
    pub(super) told: Told,
}

#[derive(Clone, Debug)]
struct PageBytes;

impl Weighter<(Asset, Told), Arc<Page>> for PageBytes {
    fn weight(&self, _: &(Asset, Told), page: &Arc<Page>) -> u64 {
        let pieces = page.pieces.iter().map(|piece| NEWS_BYTES + piece.json.len() as u64);
        NEWS_BYTES + pieces.sum::<u64>()
    }
}

/// Why there is nothing to tell now.
#[derive(Debug)]
pub(super) enum Untold {
    /// Later there may be.
    Later(String),
    /// It cannot be read, and soon asking again will hardly help.
    Broken(String),
}

impl From<StoreError> for Untold {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => Self::Later(error.to_string()),
            error => Self::Broken(error.to_string()),
        }
    }
}

impl From<QueryError> for Untold {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Store(error) => error.into(),
            error => Self::Broken(error.to_string()),
        }
    }
}

/// Reads what followers are told.
pub(super) struct Newsroom {
    series: FollowSeries,
    jobs: Arc<dyn Jobs>,
    clock: Arc<dyn Clock>,
    admission: Arc<Admission>,
    pages: Cache<(Asset, Told), Arc<Page>, PageBytes>,
    // When it was last asked how many changes of jobs there are, and what came of it.
    newest_of_jobs: Mutex<Option<(Instant, u64)>>,
    /// All followers look at the same instants, so that they share their questions.
    begun: Instant,
}

impl Newsroom {
    pub(super) fn new(
        series: FollowSeries,
        jobs: Arc<dyn Jobs>,
        clock: Arc<dyn Clock>,
        admission: Arc<Admission>,
    ) -> Self {
        let items = usize::try_from(KEPT_BYTES_MAX / PAGE_BYTES_USUAL).unwrap_or(usize::MAX);
        let pages = Cache::with_weighter(items, KEPT_BYTES_MAX, PageBytes);
        let (newest_of_jobs, begun) = (Mutex::default(), Instant::now());
        Self { series, jobs, clock, admission, pages, newest_of_jobs, begun }
    }

    /// The next instant at which all followers look whether there is something new.
    pub(super) fn next_look(&self) -> Instant {
        let looks = self.begun.elapsed().as_millis() / LOOK_EVERY.as_millis();
        let looks = u32::try_from(looks).unwrap_or(u32::MAX).saturating_add(1);
        self.begun + LOOK_EVERY.saturating_mul(looks)
    }

    /// The number of the newest change of an asset.
    pub(super) async fn newest(&self, asset: Asset) -> Result<u64, QueryError> {
        self.series.newest(asset).await
    }

    /// The number of the newest change of all jobs, as it was a moment ago.
    pub(super) async fn newest_of_jobs(&self) -> Result<u64, StoreError> {
        let mut known = self.newest_of_jobs.lock().await;
        if let Some((at, newest)) = *known
            && at.elapsed() < LOOK_EVERY / 2
        {
            return Ok(newest);
        }
        self.ask_for_jobs(&mut known).await
    }

    /// The same as it is now.
    pub(super) async fn newest_of_jobs_now(&self) -> Result<u64, StoreError> {
        let mut known = self.newest_of_jobs.lock().await;
        self.ask_for_jobs(&mut known).await
    }

    async fn ask_for_jobs(&self, known: &mut Option<(Instant, u64)>) -> Result<u64, StoreError> {
        let newest = self.jobs.changes(0, 0).await?.newest;
        *known = Some((Instant::now(), newest));
        Ok(newest)
    }

    /// What is new of an asset behind `told`.
    pub(super) async fn page(&self, asset: Asset, told: Told) -> Result<Arc<Page>, Untold> {
        let key = (asset, told);
        let reading = self.pages.get_or_insert_async(&key, async {
            let _turn = self.admission.turn_in_time().await;
            let page = self.series.next(asset, told).await?;
            if page.told == told {
                return Err(Untold::Later(format!(
                    "the change log of {asset} lacks what is behind {}",
                    told.seq
                )));
            }
            let pieces = page.news.into_iter().map(|(news, told)| piece(asset, news, told));
            let pieces =
                pieces.collect::<Result<_, _>>().map_err(|error| Untold::Broken(error.to_string()))?;
            Ok(Arc::new(Page { pieces, told: page.told }))
        });
        in_time(reading).await
    }

    /// The jobs that have changed since the change `seq`, in JSON, each with the number of its change; some
    /// of them, if there are many.
    pub(super) async fn jobs(
        &self,
        seq: u64,
        of: Option<&[Asset]>,
    ) -> Result<Vec<(u64, Option<String>)>, Untold> {
        let reading = async {
            let _turn = self.admission.turn_in_time().await;
            Ok(self.jobs.changes(seq, JOBS_PER_READ).await?)
        };
        let JobChanges { jobs, .. } = in_time(reading).await?;
        let now = self.clock.now();
        jobs.iter()
            .map(|(seq, job)| {
                let wanted = |of: &[Asset]| job.assets.iter().any(|asset| of.contains(&asset.asset));
                let json = of.is_none_or(wanted).then(|| serde_json::to_string(&JobBody::of(job, now)));
                json.transpose().map(|json| (*seq, json)).map_err(|error| Untold::Broken(error.to_string()))
            })
            .collect()
    }
}

async fn in_time<T>(reading: impl Future<Output = Result<T, Untold>>) -> Result<T, Untold> {
    match tokio::time::timeout(PAGE_TIME_MAX, reading).await {
        Ok(read) => read,
        Err(_) => Err(Untold::Later(format!("no answer within {PAGE_TIME_MAX:?}"))),
    }
}

fn piece(asset: Asset, news: News, told: Told) -> serde_json::Result<Piece> {
    let (kind, row) = match news {
        News::Candle(candle) => {
            let mut row = String::new();
            push_row(&mut row, &Row::stored(candle), false);
            ("candle", row)
        }
        News::Gap(gap) => ("gap", serde_json::to_string(&GapRow::from(gap))?),
    };
    let mut json = String::with_capacity(row.len() + 32);
    // Writing to a string cannot fail.
    let _ = write!(json, r#"{{"asset":"{asset}",{}"#, row.trim_start_matches('{'));
    Ok(Piece { kind, json, told })
}
