//! Which holes are marked as outages of the exchange.

use std::num::NonZeroU32;
use std::sync::Arc;

use ohlcv_domain::{Asset, Grid, Interval, TimeRange};
use ohlcv_ports::CandleStore;
use ohlcv_ports::testing::MemoryStore;
use ohlcv_usecases::{Gap, GapQuery, ListGaps};

use super::series::commit;
use crate::world::{asset, at, btc, range};

/// The holes of BTC among these series, which begin at `origin`.
async fn gaps(origin: &str, series: &[(&str, &str)], tracked: &[&str]) -> Vec<Gap> {
    let store = MemoryStore::new();
    for (name, slots) in series {
        store.apply(commit(asset(name), Grid::new(Interval::H12), at(origin), slots)).await.unwrap();
    }
    let tracked: Vec<Asset> = tracked.iter().map(|name| asset(name)).collect();
    let list = ListGaps::new(Arc::new(store), Interval::H12, tracked);
    let limit = NonZeroU32::new(100).unwrap();
    let query = GapQuery { asset: btc(), start: None, end: None, cause: None, limit };
    list.run(query).await.unwrap().gaps
}

/// For each hole of BTC the outage that it comes from.
async fn incidents(series: &[(&str, &str)], tracked: &[&str]) -> Vec<Option<TimeRange>> {
    let gaps = gaps("2024-11-01", series, tracked).await;
    gaps.into_iter().map(|gap| gap.incident.map(|incident| incident.range)).collect()
}

#[tokio::test]
async fn the_one_12h_candle_that_btc_never_had_comes_from_a_known_outage() {
    // BTC is alone here: what is known needs no other series.
    let gaps = gaps("2018-02-08", &[("BTC", "CeCCCCe")], &["BTC"]).await;
    let incident = gaps[0].incident.as_ref().unwrap();
    assert_eq!(incident.range, range("2018-02-08T00:28:14Z", "2018-02-09T09:59:00Z"));
    assert!(incident.source.contains("binance-public-data"), "{}", incident.source);
    assert_eq!(gaps[1].incident, None);
}

#[tokio::test]
async fn a_hole_that_most_tracked_assets_have_at_the_same_time_is_an_incident() {
    let series = [("BTC", "CeCCeC"), ("ETH", "CeCCCC"), ("SOL", "CeeCCC"), ("XRP", "CCCCCC")];
    let all = ["BTC", "ETH", "SOL", "XRP"];
    let shared = range("2024-11-01T12:00", "2024-11-02");
    assert_eq!(incidents(&series, &all).await, [Some(shared), None]);
    let gaps = gaps("2024-11-01", &series, &all).await;
    let incident = gaps[0].incident.as_ref().unwrap();
    assert!(!incident.detail.is_empty() && incident.source.contains("tracked assets"), "{incident:?}");
}

#[tokio::test]
async fn two_of_three_are_too_few() {
    let series = [("BTC", "CeC"), ("ETH", "CeC"), ("SOL", "CCC")];
    assert_eq!(incidents(&series, &["BTC", "ETH", "SOL"]).await, [None]);
}

#[tokio::test]
async fn assets_that_are_not_tracked_or_were_not_listed_then_have_no_say() {
    let series = [
        ("BTC", "CeC"),
        ("ETH", "CeC"),
        ("SOL", "CeC"),
        ("NEWA", "bbC"),
        ("NEWB", "bbC"),
        ("NEWC", "bbC"),
        ("OLDA", "CCC"),
        ("OLDB", "CCC"),
        ("OLDC", "CCC"),
    ];
    let tracked = ["BTC", "ETH", "SOL", "NEWA", "NEWB", "NEWC"];
    assert!(incidents(&series, &tracked).await[0].is_some());
    let all = [&tracked[..], &["OLDA", "OLDB", "OLDC"]].concat();
    assert_eq!(incidents(&series, &all).await, [None]);
    assert_eq!(incidents(&series, &["BTC", "NEWA", "NEWB", "NEWC"]).await, [None]);
}

#[tokio::test]
async fn only_what_the_exchange_does_not_have_comes_from_an_outage() {
    let series = [("BTC", "CpCfCrC"), ("ETH", "CpCfCrC"), ("SOL", "CpCfCrC")];
    assert_eq!(incidents(&series, &["BTC", "ETH", "SOL"]).await, [None, None, None]);
}

#[tokio::test]
async fn a_market_that_was_halted_for_long_is_no_outage() {
    let halted = format!("C{}C", "e".repeat(20));
    let series = [("BTC", halted.as_str()), ("ETH", "CCCCeCCC"), ("SOL", "CCCCeCCC")];
    assert_eq!(incidents(&series, &["BTC", "ETH", "SOL"]).await, [None]);
}

#[tokio::test]
async fn markets_that_have_stopped_have_no_say_about_what_the_others_lack_since() {
    let gone = "CCeeeeeeee";
    let series =
        [("BTC", "CCCeCCCCCC"), ("ETH", "CCCCCCCCCC"), ("OLDA", gone), ("OLDB", gone), ("OLDC", gone)];
    let all = ["BTC", "ETH", "OLDA", "OLDB", "OLDC"];
    assert_eq!(incidents(&series, &all).await, [None]);
}

#[tokio::test]
async fn an_outage_ends_where_it_ended_for_most_however_short_the_hole_that_was_asked_for() {
    let series = [("BTC", "CCeCCC"), ("ETH", "CeeeCC"), ("SOL", "CeeeCC"), ("XRP", "CeeeCC")];
    let all = ["BTC", "ETH", "SOL", "XRP"];
    let shared = range("2024-11-01T12:00", "2024-11-03");
    assert_eq!(incidents(&series, &all).await, [Some(shared)]);
}
