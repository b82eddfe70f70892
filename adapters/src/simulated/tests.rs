//! What the simulated market promises.

use std::sync::Mutex;

use ohlcv_domain::{TimeRange, gaps};
use ohlcv_ports::testing::candle_source_contract::SourceFixture;

use super::*;

/// Shows what it was told to.
#[derive(Debug)]
struct ToldClock(Mutex<Timestamp>);

impl Clock for ToldClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn btc() -> Asset {
    "BTC".parse().unwrap()
}

fn market_at(now: Timestamp, seed: u64) -> SimulatedMarket {
    SimulatedMarket::new(Arc::new(ToldClock(Mutex::new(now))), seed)
}

/// Every candle that opens in a range.
async fn candles(
    market: &SimulatedMarket,
    asset: Asset,
    interval: Interval,
    range: TimeRange,
) -> Vec<Candle> {
    let listed = market.listing(asset, interval).await.unwrap().unwrap();
    let mut left = Grid::from_first(interval, listed).slots_in(range);
    let mut candles = Vec::new();
    while !left.is_empty() {
        let page = market.page(asset, left).await.unwrap();
        left = left.from(page.answered_until);
        candles.extend(page.rows.into_iter().map(Result::unwrap));
    }
    candles
}

async fn days(market: &SimulatedMarket, interval: Interval, days: u64) -> Vec<Candle> {
    let now = market.clock.now();
    let start = now.saturating_sub(Duration::from_secs(days * 86_400));
    candles(market, btc(), interval, TimeRange::new(start, Timestamp::MAX).unwrap()).await
}

/// The market as it says it is: the contract then holds every answer against every other.
async fn fixture_of(interval: Interval, now: &str) -> (SourceFixture, impl Sized) {
    let now = at(now);
    let market = market_at(now, 7);
    let all = candles(&market, btc(), interval, TimeRange::ALL).await;
    let source = Arc::new(market);
    (
        SourceFixture { source, now, asset: btc(), unknown: "NOPE".parse().unwrap(), interval, candles: all },
        (),
    )
}

mod half_days {
    use super::*;

    async fn since_the_listing() -> (SourceFixture, impl Sized) {
        fixture_of(Interval::H12, "2026-11-22T17:31:00Z").await
    }

    ohlcv_ports::candle_source_contract!(since_the_listing);
}

mod quarters_of_an_hour {
    use super::*;

    async fn since_the_listing() -> (SourceFixture, impl Sized) {
        fixture_of(Interval::M15, "2017-10-12T17:31:00Z").await
    }

    ohlcv_ports::candle_source_contract!(since_the_listing);
}

#[tokio::test]
async fn the_same_seed_makes_the_same_market_and_another_one_does_not() {
    let now = at("2026-11-22T17:31:00Z");
    let first = days(&market_at(now, 1), Interval::H1, 30).await;
    assert_eq!(first, days(&market_at(now, 1), Interval::H1, 30).await);
    assert_ne!(first, days(&market_at(now, 2), Interval::H1, 30).await);
    let later = now.saturating_add(Duration::from_secs(86_400));
    let again = days(&market_at(later, 1), Interval::H1, 31).await;
    assert_eq!(first[..first.len() - 1], again[..first.len() - 1], "what is closed stays");
}

#[tokio::test]
async fn assets_have_prices_of_their_own_on_their_ticks() {
    let now = at("2026-11-22T17:31:00Z");
    let market = market_at(now, 1);
    let range = TimeRange::new(now.saturating_sub(Duration::from_secs(730 * 86_400)), now).unwrap();
    for listed in &LISTED {
        let candles = candles(&market, listed.name.parse().unwrap(), Interval::H12, range).await;
        assert!(candles.len() > 1_400, "{}: {}", listed.name, candles.len());
        for candle in candles {
            for price in [candle.open(), candle.high(), candle.low(), candle.close()] {
                assert_eq!(price.units() % listed.tick_units, 0);
                assert!(price.units() > listed.level_units / 10 && price.units() < listed.level_units * 2);
            }
            assert_eq!(candle.volume().units() % listed.lot_units, 0);
            let details = candle.details().unwrap();
            assert!(details.taker_buy_volume <= candle.volume());
            assert!(details.taker_buy_quote_volume <= details.quote_volume);
            assert_eq!(details.trades == 0, candle.volume() == Volume::ZERO);
        }
    }
}

#[tokio::test]
async fn a_candle_opens_where_the_one_before_closed_except_around_maintenance() {
    for interval in [Interval::M15, Interval::H1, Interval::H12, Interval::D1, Interval::D3, Interval::Mo1] {
        let candles = days(&market_at(at("2026-11-22T17:31:00Z"), 3), interval, 730).await;
        let apart = candles.windows(2).filter(|pair| pair[0].close() != pair[1].open()).count();
        assert!(apart <= 4, "{interval}: {apart} of {}", candles.len());
        let swung = candles.iter().filter(|candle| candle.high() > candle.open().max(candle.close())).count();
        assert!(swung * 3 > candles.len(), "{interval}: {swung} of {}", candles.len());
    }
}

#[tokio::test]
async fn the_last_two_years_of_any_day_have_holes_and_candles_without_trades() {
    for week in 0..60 {
        let now = at("2026-01-01T01:00:00Z").saturating_add(Duration::from_secs(week * 7 * 86_400));
        for interval in [Interval::H12, Interval::D1] {
            let candles = days(&market_at(now, 1), interval, 730).await;
            let (first, last) = (candles[0].open_time(), candles[candles.len() - 1].open_time());
            let slots = Grid::new(interval).slots_in(TimeRange::new(first, last).unwrap());
            let holes = gaps(slots, candles.iter().map(Candle::open_time)).count();
            assert!((2..=5).contains(&holes), "{interval} until {now}: {holes} holes");
            let quiet = candles.iter().filter(|candle| candle.volume() == Volume::ZERO).count();
            assert!(quiet >= if interval == Interval::D1 { 0 } else { 2 }, "{interval} until {now}: {quiet}");
        }
    }
}

#[tokio::test]
async fn maintenance_is_on_its_days() {
    let candles = days(&market_at(at("2026-11-22T17:31:00Z"), 1), Interval::H12, 365).await;
    let (first, last) = (candles[0].open_time(), candles[candles.len() - 1].open_time());
    let slots = Grid::new(Interval::H12).slots_in(TimeRange::new(first, last).unwrap());
    let holes: Vec<_> = gaps(slots, candles.iter().map(Candle::open_time)).map(SlotRange::time).collect();
    let winter = TimeRange::new(at("2026-02-10T12:00:00Z"), at("2026-02-11T00:00:00Z")).unwrap();
    let summer = TimeRange::new(at("2026-08-11T00:00:00Z"), at("2026-08-12T12:00:00Z")).unwrap();
    assert_eq!(holes, [winter, summer]);
}

#[tokio::test]
async fn the_candle_after_maintenance_carries_the_last_price() {
    let candles = days(&market_at(at("2026-11-22T17:31:00Z"), 1), Interval::H12, 730).await;
    let quiet: Vec<usize> = (1..candles.len()).filter(|n| candles[*n].volume() == Volume::ZERO).collect();
    assert!(!quiet.is_empty());
    for n in quiet {
        assert_eq!(candles[n], Candle::flat(candles[n].open_time(), candles[n - 1].close()));
    }
}

#[tokio::test]
async fn longer_candles_than_a_day_have_no_holes() {
    for interval in [Interval::D3, Interval::W1, Interval::Mo1] {
        let market = market_at(at("2026-11-22T17:31:00Z"), 1);
        let all = candles(&market, btc(), interval, TimeRange::ALL).await;
        let (first, last) = (all[0].open_time(), all[all.len() - 1].open_time());
        let slots = Grid::from_first(interval, first).slots_in(TimeRange::new(first, last).unwrap());
        assert_eq!(gaps(slots, all.iter().map(Candle::open_time)).next(), None, "{interval}");
    }
}

#[tokio::test]
async fn the_open_candle_grows_and_nothing_lies_in_the_future() {
    let clock = Arc::new(ToldClock(Mutex::new(at("2026-11-22T12:00:00Z"))));
    let market = SimulatedMarket::new(Arc::clone(&clock) as Arc<dyn Clock>, 1);
    let slots = Grid::new(Interval::H12)
        .slots_in(TimeRange::new(at("2026-11-22T12:00:00Z"), at("2026-11-25T00:00:00Z")).unwrap());
    let mut seen: Vec<Candle> = Vec::new();
    for minute in (0..720).step_by(30) {
        let now = at("2026-11-22T12:00:00Z").saturating_add(Duration::from_secs(minute * 60));
        *clock.0.lock().unwrap() = now;
        assert_eq!(market.server_time().await.unwrap(), now);
        let rows = market.page(btc(), slots).await.unwrap().rows;
        assert_eq!(rows.len(), 1);
        seen.push(rows.into_iter().next().unwrap().unwrap());
    }
    assert!(seen.windows(2).all(|pair| pair[0].volume() < pair[1].volume()));
    assert!(seen.windows(2).filter(|pair| pair[0].close() != pair[1].close()).count() > 20);
    assert!(seen.iter().all(|candle| candle.open() == seen[0].open()));
}

#[tokio::test]
async fn an_asset_that_is_not_listed_yet_has_no_candles() {
    let market = market_at(at("2017-08-17T03:00:00Z"), 1);
    assert_eq!(market.listing(btc(), Interval::H12).await.unwrap(), None);
    let day = TimeRange::new(at("2017-08-17T00:00:00Z"), at("2017-08-18T00:00:00Z")).unwrap();
    assert_eq!(market.page(btc(), Grid::new(Interval::H12).slots_in(day)).await.unwrap().rows, []);
}

#[tokio::test]
async fn assets_are_listed_when_they_were() {
    let market = market_at(at("2026-11-22T12:00:00Z"), 1);
    for (name, first) in [
        ("BTC", "2017-08-17T00:00:00Z"),
        ("BNB", "2017-11-06T00:00:00Z"),
        ("ADA", "2018-04-17T00:00:00Z"),
        ("XRP", "2018-05-04T00:00:00Z"),
        ("LINK", "2019-01-16T00:00:00Z"),
        ("SOL", "2020-08-11T00:00:00Z"),
    ] {
        let listing = market.listing(name.parse().unwrap(), Interval::H12).await.unwrap();
        assert_eq!(listing, Some(at(first)), "{name}");
        let slots = Grid::new(Interval::H12).slots_in(TimeRange::ALL);
        let page = market.page(name.parse().unwrap(), slots).await.unwrap();
        assert_eq!(page.rows[0].as_ref().unwrap().open_time(), at(first), "{name}");
    }
}
