//! The exchange with its bulk archives: many candles at once from a file, everything else from the API.

mod check;

use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use ohlcv_domain::{Asset, Candle, Interval, SlotRange, Timestamp};
use ohlcv_ports::{CandleSource, SourceError, SourcePage};

use self::check::{Compared, compare, windows};
use super::archive::{Archive, ArchiveFile, Contents, Part, Sum};
use super::metrics;
use super::model::KlineRow;

/// An exchange whose history is read from its archives where a file pays.
///
/// Its answers are whole, as those of the exchange: what a file lacks is asked of the exchange within
/// the same answer, and only the exchange says that there is nothing. A file is used if its CHECKSUM is
/// right and a part of it equals the exchange's answer; else the exchange is asked about all of it.
#[derive(Clone, Debug)]
pub struct BulkSource {
    archive: Archive,
    exchange: Arc<dyn CandleSource>,
}

impl BulkSource {
    /// The candles of `exchange`, by way of `archive` where that pays.
    #[must_use]
    pub fn new(archive: Archive, exchange: Arc<dyn CandleSource>) -> Self {
        Self { archive, exchange }
    }

    async fn ask_exchange(&self, asset: Asset, asked: SlotRange) -> Result<SourcePage, SourceError> {
        self.exchange.page(asset, self.exchange.page_within(asked)).await
    }

    /// A file whose checksum is right: what it lacks, and a sample, is asked of the exchange.
    async fn sampled(
        &self,
        asset: Asset,
        file: &ArchiveFile,
        candles: Vec<Candle>,
    ) -> Result<SourcePage, SourceError> {
        let mut rows = Vec::with_capacity(candles.len());
        let mut left = candles.as_slice();
        for window in windows(file, &candles, self.exchange.page_slots_max()) {
            let asked = self.ask_all(asset, window).await;
            if let Some(error) = asked.failure {
                return Err(error);
            }
            let (before, inside, after) = split(left, window);
            let compared = compare(inside, &asked.rows);
            if let Some(difference) = compared.contradiction {
                let doubt = format!("it contradicts the exchange: {difference}");
                return self.verified(asset, file, &candles, &doubt, "differs").await;
            }
            rows.extend(before.iter().copied().map(Ok));
            rows.extend(asked.rows);
            left = after;
        }
        rows.extend(left.iter().copied().map(Ok));
        metrics::archive_file("used");
        Ok(SourcePage { rows, answered_until: file.slots.end() })
    }

    /// A file in doubt: the exchange is asked about all of it, and compared with it.
    async fn verified(
        &self,
        asset: Asset,
        file: &ArchiveFile,
        candles: &[Candle],
        doubt: &str,
        outcome: &'static str,
    ) -> Result<SourcePage, SourceError> {
        metrics::archive_file(outcome);
        let asked = self.ask_all(asset, file.slots).await;
        let (_, answered, _) = split(candles, file.slots.before(asked.answered_until));
        let Compared { differing, .. } = compare(answered, &asked.rows);
        match asked.failure {
            Some(error) if asked.answered_until == file.slots.start() => return Err(error),
            Some(error) => {
                tracing::warn!(
                    "{file}: {doubt}; {differing} slots differ up to {}, where the exchange could not be asked further: {error}",
                    asked.answered_until
                );
            }
            None if differing == 0 => {
                tracing::warn!("{file}: {doubt}; all its rows equal those of the exchange, which are taken");
            }
            None => tracing::warn!(
                "{file}: {doubt}; {differing} slots differ from the exchange, whose rows are taken"
            ),
        }
        Ok(SourcePage { rows: asked.rows, answered_until: asked.answered_until })
    }

    /// Everything that the exchange has for `slots`, or as much of it as it told before it failed.
    async fn ask_all(&self, asset: Asset, slots: SlotRange) -> Asked {
        let mut asked = Asked { rows: Vec::new(), answered_until: slots.start(), failure: None };
        let mut left = slots;
        // Ends: every answer takes at least one slot off what is left, or is an error.
        while !left.is_empty() {
            let page = match self.ask_exchange(asset, left).await {
                Ok(page) => page,
                Err(error) => {
                    asked.failure = Some(error);
                    return asked;
                }
            };
            let after = left.from(page.answered_until);
            if after.start() == left.start() && !after.is_empty() {
                let reason = format!("an answer for {left} that says nothing about its first slot");
                asked.failure = Some(SourceError::Unavailable { reason, source: None });
                return asked;
            }
            asked.rows.extend(page.rows);
            asked.answered_until = after.start();
            left = after;
        }
        asked
    }
}

/// What the exchange told of a run of slots.
struct Asked {
    rows: Vec<KlineRow>,
    answered_until: Timestamp,
    failure: Option<SourceError>,
}

/// The candles before, in and after a run of slots.
fn split(candles: &[Candle], slots: SlotRange) -> (&[Candle], &[Candle], &[Candle]) {
    let start = candles.partition_point(|candle| candle.open_time() < slots.start());
    let end = candles.partition_point(|candle| candle.open_time() < slots.end());
    (&candles[..start], &candles[start..end.max(start)], &candles[end.max(start)..])
}

#[async_trait]
impl CandleSource for BulkSource {
    async fn server_time(&self) -> Result<Timestamp, SourceError> {
        self.exchange.server_time().await
    }

    async fn listing(&self, asset: Asset, interval: Interval) -> Result<Option<Timestamp>, SourceError> {
        self.exchange.listing(asset, interval).await
    }

    async fn page(&self, asset: Asset, asked: SlotRange) -> Result<SourcePage, SourceError> {
        if asked.is_empty() {
            return self.exchange.page(asset, asked).await;
        }
        let Some(file) = self.archive.file_for(asset, asked) else {
            let fits = asked.len() <= u64::from(self.page_slots_max().get());
            return self.exchange.page(asset, if fits { asked } else { self.page_within(asked) }).await;
        };
        match self.archive.read(&file).await {
            Ok(Contents { candles, sum: Sum::Right }) => self.sampled(asset, &file, candles).await,
            Ok(Contents { candles, sum: Sum::Wrong(doubt) }) => {
                self.verified(asset, &file, &candles, &doubt, "checksum").await
            }
            Err(refusal) => {
                metrics::archive_file(refusal.outcome());
                if refusal.is_news() {
                    tracing::warn!("{file}: {refusal}; the exchange is asked instead");
                } else {
                    tracing::debug!("{file}: {refusal}; the exchange is asked instead");
                }
                self.ask_exchange(asset, asked).await
            }
        }
    }

    fn page_slots_max(&self) -> NonZeroU32 {
        self.exchange.page_slots_max()
    }

    fn page_within(&self, slots: SlotRange) -> SlotRange {
        match self.archive.first_part(slots) {
            Part::File(file) => file,
            Part::BeforeFile(part) => self.exchange.page_within(part),
        }
    }
}
