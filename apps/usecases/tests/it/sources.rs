//! Ways to an exchange, and to a store, that take their time or have an order of their own.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ohlcv_domain::{
    Applied, Asset, Breaks, Candle, Change, Commit, Interval, SlotRange, TimeRange, Timestamp,
};
use ohlcv_ports::testing::{MemoryStore, ScriptedSource};
use ohlcv_ports::{CandleSource, CandleStore, SourceError, SourcePage, StoreError, Take};

/// Answers pages after a while, or never.
#[derive(Debug)]
pub(crate) struct SlowSource {
    inner: Arc<ScriptedSource>,
    page_time: Duration,
    hangs: Option<(Asset, Timestamp)>,
    listing_hangs: bool,
    waiting: AtomicUsize,
    waiting_most: AtomicUsize,
}

impl SlowSource {
    /// Takes `page_time` for every page.
    pub(crate) fn new(inner: &Arc<ScriptedSource>, page_time: Duration) -> Self {
        Self {
            inner: Arc::clone(inner),
            page_time,
            hangs: None,
            listing_hangs: false,
            waiting: AtomicUsize::new(0),
            waiting_most: AtomicUsize::new(0),
        }
    }

    /// Never answers about the pages of an asset that begin at `from` or later.
    pub(crate) fn hanging(mut self, asset: Asset, from: Timestamp) -> Self {
        self.hangs = Some((asset, from));
        self
    }

    /// Never says when an asset was listed.
    pub(crate) fn with_hanging_listings(mut self) -> Self {
        self.listing_hangs = true;
        self
    }

    /// The most pages that were ever waited for at once.
    pub(crate) fn waiting_most(&self) -> usize {
        self.waiting_most.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl CandleSource for SlowSource {
    async fn server_time(&self) -> Result<Timestamp, SourceError> {
        self.inner.server_time().await
    }

    async fn listing(&self, asset: Asset, interval: Interval) -> Result<Option<Timestamp>, SourceError> {
        if self.listing_hangs {
            return std::future::pending().await;
        }
        self.inner.listing(asset, interval).await
    }

    async fn page(&self, asset: Asset, asked: SlotRange) -> Result<SourcePage, SourceError> {
        if self.hangs.is_some_and(|(hanging, from)| hanging == asset && asked.start() >= from) {
            return std::future::pending().await;
        }
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        self.waiting_most.fetch_max(waiting, Ordering::Relaxed);
        tokio::time::sleep(self.page_time).await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.inner.page(asset, asked).await
    }

    fn page_slots_max(&self) -> NonZeroU32 {
        self.inner.page_slots_max()
    }
}

/// An exchange whose answers end where a day of UTC does.
#[derive(Debug)]
pub(crate) struct DailySource(pub(crate) Arc<ScriptedSource>);

#[async_trait]
impl CandleSource for DailySource {
    async fn server_time(&self) -> Result<Timestamp, SourceError> {
        self.0.server_time().await
    }

    async fn listing(&self, asset: Asset, interval: Interval) -> Result<Option<Timestamp>, SourceError> {
        self.0.listing(asset, interval).await
    }

    async fn page(&self, asset: Asset, asked: SlotRange) -> Result<SourcePage, SourceError> {
        let page = self.0.page(asset, self.page_within(asked)).await?;
        Ok(SourcePage { answered_until: page.answered_until.min(self.page_within(asked).end()), ..page })
    }

    fn page_slots_max(&self) -> NonZeroU32 {
        self.0.page_slots_max()
    }

    fn page_within(&self, slots: SlotRange) -> SlotRange {
        let day_ms = 24 * 60 * 60 * 1_000;
        let end = (slots.start().millis().div_euclid(day_ms) + 1) * day_ms;
        slots.before(Timestamp::from_millis(end).unwrap())
    }
}

/// Takes a while for every write.
#[derive(Debug)]
pub(crate) struct SlowStore {
    pub(crate) inner: Arc<MemoryStore>,
    pub(crate) write_time: Duration,
}

#[async_trait]
impl CandleStore for SlowStore {
    async fn apply(&self, commit: Commit) -> Result<Applied, StoreError> {
        tokio::time::sleep(self.write_time).await;
        self.inner.apply(commit).await
    }

    async fn page(
        &self,
        asset: Asset,
        range: TimeRange,
        take: Take,
        limit: u64,
    ) -> Result<Vec<Candle>, StoreError> {
        self.inner.page(asset, range, take, limit).await
    }

    async fn breaks(&self, asset: Asset, range: TimeRange, longest: Duration) -> Result<Breaks, StoreError> {
        self.inner.breaks(asset, range, longest).await
    }

    async fn changes(&self, asset: Asset, seq: u64, limit: u64) -> Result<Vec<Change>, StoreError> {
        self.inner.changes(asset, seq, limit).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().await
    }
}
