//! Ways to an exchange that take their time.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ohlcv_domain::{Asset, Interval, SlotRange, Timestamp};
use ohlcv_ports::testing::ScriptedSource;
use ohlcv_ports::{CandleSource, SourceError, SourcePage};

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
