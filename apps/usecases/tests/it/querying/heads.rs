//! Where a series stands: one question for many readers, and never an old answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use ohlcv_domain::{Asset, BackfillState, Fence, Head, Hole, HoleCount, Interval, Summary, TimeRange};
use ohlcv_ports::{Coverage, HoleQuery, MockCandleStore, MockCoverage, StoreError};
use ohlcv_usecases::{QueryError, ReadSeries};

use super::series::now_alone;
use crate::world::btc;

/// How long the store takes to answer, after it has looked.
const ANSWER_TIME: Duration = Duration::from_millis(10);

/// Where the series stands while the store cannot be reached, and while asking it meets a bug.
const AWAY: u64 = u64::MAX;
const BUG: u64 = u64::MAX - 1;

fn head(seq: u64) -> Head {
    let first = Some("2024-11-01T00:00:00Z".parse().unwrap());
    Head { asset: btc(), seq, changed: None, answered_until: first, listing: first, first, last: first }
}

/// A series that stands where it is told, and how often it was asked.
#[derive(Debug, Default)]
struct Asked {
    seq: AtomicU64,
    questions: AtomicUsize,
}

/// It looks at once, and answers a little later: what happens between is not in the answer.
#[derive(Debug)]
struct Slow(Arc<Asked>);

#[async_trait::async_trait]
impl Coverage for Slow {
    async fn heads(&self, assets: &[Asset]) -> Result<Vec<Head>, StoreError> {
        let Self(asked) = self;
        asked.questions.fetch_add(1, Ordering::SeqCst);
        let seq = asked.seq.load(Ordering::SeqCst);
        tokio::time::sleep(ANSWER_TIME).await;
        assert!(seq != BUG, "a bug of the store");
        if seq == AWAY {
            return Err(StoreError::Unavailable { reason: "away".to_owned(), source: None });
        }
        Ok(assets.iter().filter(|asset| **asset == btc()).map(|_| head(seq)).collect())
    }

    async fn summary(&self, _: Asset) -> Result<Option<Summary>, StoreError> {
        unreachable!("readers ask for heads alone")
    }

    async fn summaries(&self) -> Result<Vec<Summary>, StoreError> {
        unreachable!("readers ask for heads alone")
    }

    async fn holes(&self, _: Asset, _: HoleQuery) -> Result<Vec<Hole>, StoreError> {
        unreachable!("readers ask for heads alone")
    }

    async fn unverified(&self, _: Asset, _: TimeRange, _: u64) -> Result<Vec<TimeRange>, StoreError> {
        unreachable!("readers ask for heads alone")
    }

    async fn hole_counts(&self) -> Result<Vec<HoleCount>, StoreError> {
        unreachable!("readers ask for heads alone")
    }

    async fn record_backfill(&self, _: Asset, _: BackfillState, _: Option<Fence>) -> Result<(), StoreError> {
        unreachable!("readers write nothing")
    }
}

fn reader(coverage: Arc<dyn Coverage>) -> ReadSeries {
    ReadSeries::new(Arc::new(MockCandleStore::new()), coverage, now_alone(), Interval::H12, vec![btc()])
}

fn slow() -> (Arc<Asked>, ReadSeries) {
    let asked = Arc::new(Asked::default());
    (Arc::clone(&asked), reader(Arc::new(Slow(asked))))
}

#[tokio::test(start_paused = true)]
async fn all_who_ask_at_the_same_time_share_one_question() {
    let (asked, reader) = slow();
    let all = futures::future::join_all((0..500).map(|_| reader.head(btc()))).await;
    assert!(all.into_iter().all(|answer| answer.unwrap() == Some(head(0))));
    assert_eq!(asked.questions.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn who_asks_after_a_write_hears_of_it_though_a_question_is_under_way() {
    let (asked, reader) = slow();
    let early = tokio::spawn({
        let reader = reader.clone();
        async move { reader.head(btc()).await }
    });
    tokio::time::sleep(ANSWER_TIME / 2).await;
    asked.seq.store(1, Ordering::SeqCst);
    let late = reader.head(btc()).await.unwrap();
    assert_eq!(late, Some(head(1)), "the question under way was sent before");
    assert_eq!(early.await.unwrap().unwrap(), Some(head(0)));
    assert_eq!(asked.questions.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn all_who_come_while_a_question_is_under_way_share_the_next_one() {
    let (asked, reader) = slow();
    let several = |readers: usize| {
        let reader = reader.clone();
        tokio::spawn(async move {
            futures::future::join_all((0..readers).map(|_| reader.head(btc()))).await;
        })
    };
    let mut all = vec![several(10)];
    for _ in 0..5 {
        tokio::time::sleep(ANSWER_TIME / 10).await;
        all.push(several(20));
    }
    assert_eq!(asked.questions.load(Ordering::SeqCst), 1);
    for readers in all {
        readers.await.unwrap();
    }
    assert_eq!(asked.questions.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn who_comes_a_moment_later_still_joins_a_question_that_was_not_sent() {
    let (asked, reader) = slow();
    let late = async {
        tokio::task::yield_now().await;
        reader.head(btc()).await
    };
    let (early, late) = tokio::join!(reader.head(btc()), late);
    assert_eq!((early.unwrap(), late.unwrap()), (Some(head(0)), Some(head(0))));
    assert_eq!(asked.questions.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn newcomers_without_end_do_not_put_a_question_off() {
    let mut coverage = MockCoverage::new();
    coverage.expect_heads().returning(|_| Ok(vec![head(1)]));
    let reader = reader(Arc::new(coverage));
    let first = tokio::spawn({
        let reader = reader.clone();
        async move { reader.head(btc()).await }
    });
    let mut newcomers = tokio::task::JoinSet::new();
    while !first.is_finished() {
        assert!(newcomers.len() < 1_000, "it waits for all of them");
        let reader = reader.clone();
        newcomers.spawn(async move { reader.head(btc()).await });
        tokio::task::yield_now().await;
    }
    assert_eq!(first.await.unwrap().unwrap(), Some(head(1)));
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_takes_the_answer_from_nobody() {
    let (asked, reader) = slow();
    let gone = tokio::time::timeout(ANSWER_TIME / 2, reader.head(btc()));
    let (gone, stays) = tokio::join!(gone, reader.head(btc()));
    assert!(gone.is_err());
    assert_eq!(stays.unwrap(), Some(head(0)));
    assert_eq!(reader.head(btc()).await.unwrap(), Some(head(0)), "and the next one is asked for");
    assert_eq!(asked.questions.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_told_to_all_and_asked_again_by_the_next() {
    let (asked, reader) = slow();
    asked.seq.store(AWAY, Ordering::SeqCst);
    for answer in futures::future::join_all((0..10).map(|_| reader.head(btc()))).await {
        assert!(matches!(answer, Err(QueryError::Store(StoreError::Unavailable { .. }))), "{answer:?}");
    }
    asked.seq.store(7, Ordering::SeqCst);
    assert_eq!(reader.head(btc()).await.unwrap(), Some(head(7)));
}

#[tokio::test(start_paused = true)]
async fn many_assets_are_asked_for_some_at_a_time() {
    let mut coverage = MockCoverage::new();
    coverage.expect_heads().times(3).returning(|assets| {
        assert!(assets.len() <= 100);
        Ok(assets.iter().map(|asset| Head { asset: *asset, ..head(3) }).collect())
    });
    let assets: Vec<Asset> = (0..250).map(|number| format!("A{number}").parse().unwrap()).collect();
    let reader = reader(Arc::new(coverage));
    let heads = futures::future::join_all(assets.iter().map(|asset| reader.head(*asset))).await;
    for (asset, answer) in assets.iter().zip(heads) {
        assert_eq!(answer.unwrap().unwrap().asset, *asset);
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_that_panics_is_no_answer_and_the_next_one_is_asked() {
    let (asked, reader) = slow();
    asked.seq.store(BUG, Ordering::SeqCst);
    assert!(matches!(reader.head(btc()).await, Err(QueryError::Store(StoreError::Refused { .. }))));
    asked.seq.store(1, Ordering::SeqCst);
    assert_eq!(reader.head(btc()).await.unwrap(), Some(head(1)));
}
