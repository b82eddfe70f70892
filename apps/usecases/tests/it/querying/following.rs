//! What followers of a series are told: everything, once, from wherever they stand.

use std::sync::Arc;

use ohlcv_domain::{Grid, Interval, Timestamp};
use ohlcv_ports::CandleStore;
use ohlcv_ports::testing::MemoryStore;
use ohlcv_usecases::{FollowSeries, ListGaps, News, QueryError, ReadSeries, Telling, Told};

use super::series::commit;
use crate::world::{at, btc};

const GRID: Grid = Grid::new(Interval::H12);

/// An empty series, one letter a slot once something is written: see [`commit`].
struct Followed {
    store: Arc<MemoryStore>,
    follow: FollowSeries,
}

impl Followed {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let share = || Arc::<MemoryStore>::clone(&store);
        let series = ReadSeries::new(share(), share(), share(), Interval::H12, vec![btc()]);
        let follow = FollowSeries::new(series, ListGaps::new(share(), Interval::H12, vec![btc()]));
        Self { store, follow }
    }

    fn slot(number: i64) -> Timestamp {
        GRID.step(at("2020-01-01"), number)
    }

    async fn write(&self, from: i64, slots: &str) {
        self.store.apply(commit(btc(), GRID, Self::slot(from), slots)).await.unwrap();
    }

    /// The number of the slot of a piece of news, and its letter.
    fn shown(news: &News) -> (i64, char) {
        let (at, letter) = match news {
            News::Candle(candle) => (candle.open_time(), 'C'),
            News::Gap(gap) => (gap.hole.range.start(), gap.hole.cause.as_str().chars().next().unwrap()),
        };
        let slots = GRID.slots_in(ohlcv_domain::TimeRange::new(Self::slot(0), at).unwrap()).len();
        (i64::try_from(slots).unwrap(), letter)
    }

    /// All that is new behind a place, each with the place behind it.
    async fn all(&self, mut told: Told) -> Vec<((i64, char), Told)> {
        let mut all = Vec::new();
        let newest = self.follow.newest(btc()).await.unwrap();
        // Ends: every page gets on.
        while told.seq < newest {
            let page = self.follow.next(btc(), told).await.unwrap();
            assert_ne!(page.told, told, "a page gets on");
            if let Some((_, last)) = page.news.last() {
                assert_eq!(*last, page.told);
            }
            all.extend(page.news.iter().map(|(news, told)| (Self::shown(news), *told)));
            told = page.told;
        }
        all
    }
}

fn told(all: &[((i64, char), Told)]) -> Vec<(i64, char)> {
    all.iter().map(|(news, _)| *news).collect()
}

#[tokio::test]
async fn a_write_of_any_size_is_told_slot_by_slot_and_each_slot_once() {
    let followed = Followed::new();
    // More candles, and more holes, than a page has.
    let slots = "CeCrC".repeat(700);
    followed.write(0, &slots).await;
    let all = followed.all(Told::default()).await;
    let wanted: Vec<(i64, char)> =
        (0..).zip(slots.chars()).map(|(at, letter)| (at, if letter == 'e' { 's' } else { letter })).collect();
    assert_eq!(told(&all), wanted);
    // From behind any of them it goes on with the next one.
    for (number, (_, place)) in all.iter().enumerate().step_by(97) {
        assert_eq!(told(&followed.all(*place).await), wanted[number + 1..], "{number}");
    }
    assert_eq!(followed.all(all.last().unwrap().1).await, []);
}

#[tokio::test]
async fn who_is_thousands_of_changes_behind_is_told_of_each_slot_once() {
    let followed = Followed::new();
    followed.write(0, &"p".repeat(2_500)).await;
    for slot in 0..2_500 {
        followed.write(slot, "C").await;
    }
    let all = followed.all(Told::default()).await;
    assert_eq!(told(&all), (0..2_500).map(|slot| (slot, 'C')).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_changes_between_two_pages_is_told_with_its_change() {
    let followed = Followed::new();
    followed.write(0, &"p".repeat(1_200)).await;
    let first = followed.follow.next(btc(), Told::default()).await.unwrap();
    assert_eq!(first.news.iter().map(|(news, _)| Followed::shown(news)).collect::<Vec<_>>(), [(0, 'p')]);
    for (from, count) in [(0, 600), (600, 600)] {
        followed.write(from, &"C".repeat(count)).await;
    }
    let page = followed.follow.next(btc(), first.told).await.unwrap();
    assert_eq!(page.news.len(), 500);
    // A slot that was told already, and one that was not.
    followed.write(3, "r").await;
    followed.write(1_100, "eee").await;
    followed.write(1_200, "C").await;
    let rest = told(&followed.all(page.told).await);
    let mut wanted: Vec<(i64, char)> = (500..1_200).map(|slot| (slot, 'C')).collect();
    wanted.push((1_200, 'C'));
    assert_eq!(rest, wanted, "what is stored stays: findings cover no candle");
}

#[tokio::test]
async fn a_hole_that_reaches_over_several_changes_is_told_once() {
    let followed = Followed::new();
    followed.write(0, &"e".repeat(30)).await;
    let place = followed.all(Told::default()).await.last().unwrap().1;
    followed.write(4, "r").await;
    followed.write(20, "r").await;
    followed.write(4, "e").await;
    followed.write(20, "e").await;
    let news = told(&followed.all(place).await);
    let mut starts: Vec<i64> = news.iter().map(|(at, _)| *at).collect();
    starts.sort_unstable();
    starts.dedup();
    assert_eq!(starts.len(), news.len(), "{news:?}");
    assert!(news.iter().all(|(_, cause)| *cause == 's'), "{news:?}");
    assert!(news.iter().any(|(at, _)| *at <= 4) && news.iter().any(|(at, _)| *at <= 20), "{news:?}");
}

#[tokio::test]
async fn a_hole_that_a_later_change_covers_in_part_is_told_all_the_same() {
    let followed = Followed::new();
    followed.write(0, &"e".repeat(30)).await;
    let telling = Telling { until: followed.follow.newest(btc()).await.unwrap(), from: Timestamp::MIN };
    followed.write(4, "r").await;
    followed.write(4, "e").await;
    let place = Told { seq: 0, telling: Some(telling) };
    let page = followed.follow.next(btc(), place).await.unwrap();
    assert_eq!(page.news.iter().map(|(news, _)| Followed::shown(news)).collect::<Vec<_>>(), [(0, 's')]);
    // One that it covers wholly is told with it.
    followed.write(0, &"r".repeat(30)).await;
    assert_eq!(followed.follow.next(btc(), place).await.unwrap().news, []);
}

#[tokio::test]
async fn an_asset_without_data_has_no_news_and_an_unknown_one_is_unknown() {
    let followed = Followed::new();
    assert_eq!(followed.follow.newest(btc()).await.unwrap(), 0);
    assert_eq!(followed.follow.next(btc(), Told::default()).await.unwrap().told, Told::default());
    let unknown = followed.follow.newest("DOGE".parse().unwrap()).await;
    assert!(matches!(unknown, Err(QueryError::UnknownAsset { .. })), "{unknown:?}");
}
