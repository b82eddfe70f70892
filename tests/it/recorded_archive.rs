//! Files of the real archive mean what the real exchange's answers do.

use std::collections::BTreeMap;

use ohlcv_adapters::binance::archive_row;
use ohlcv_domain::{Candle, Grid, Interval, Timestamp, gaps};
use ohlcv_tests::recorded;

/// The recorded files, by interval.
const FILES: [(Interval, &[&str]); 11] = [
    (Interval::M1, &["2023-01-21"]),
    (Interval::M3, &["2023-01-21"]),
    (Interval::M5, &["2023-01-21"]),
    (Interval::M15, &["2023-01-21"]),
    (Interval::M30, &["2023-01-21"]),
    (Interval::H1, &["2023-01-21", "2024-11", "2024-12", "2025-01", "2025-02"]),
    (Interval::H2, &["2023-01-21"]),
    (Interval::H4, &["2023-01-21"]),
    (Interval::H6, &["2023-01-21"]),
    (Interval::H12, &["2023-01-21"]),
    (Interval::D1, &["2023-01-21"]),
];

fn file(interval: Interval, stamp: &str) -> Vec<Candle> {
    let text = recorded::text(&format!("archive/BTCUSDT-{interval}-{stamp}.csv"));
    let row = |line| archive_row(line).unwrap_or_else(|rejection| panic!("{interval} {stamp}: {rejection}"));
    text.lines().map(row).collect()
}

fn by_open_time(candles: impl IntoIterator<Item = Candle>) -> BTreeMap<Timestamp, Candle> {
    candles.into_iter().map(|candle| (candle.open_time(), candle)).collect()
}

#[test]
fn every_line_of_a_real_file_is_a_candle_on_its_grid_and_none_is_missing() {
    for (interval, stamps) in FILES {
        for stamp in stamps {
            let (candles, grid) = (file(interval, stamp), Grid::new(interval));
            assert!(candles.iter().all(|candle| grid.contains(candle.open_time())), "{interval} {stamp}");
            let (first, last) = (candles[0].open_time(), candles.last().unwrap().open_time());
            let slots = grid.slots_in(ohlcv_domain::TimeRange::new(first, grid.next(last)).unwrap());
            assert_eq!(gaps(slots, candles.iter().map(Candle::open_time)).next(), None, "{interval} {stamp}");
            assert_eq!(slots.len(), candles.len() as u64, "{interval} {stamp}");
        }
    }
}

#[test]
fn every_number_of_a_real_line_is_kept_to_the_digit() {
    for (interval, stamps) in FILES {
        for stamp in stamps {
            let text = recorded::text(&format!("archive/BTCUSDT-{interval}-{stamp}.csv"));
            for (line, candle) in text.lines().zip(file(interval, stamp)) {
                let details = candle.details().unwrap();
                let fields: Vec<&str> = line.split(',').collect();
                let told = [
                    candle.open().to_string(),
                    candle.high().to_string(),
                    candle.low().to_string(),
                    candle.close().to_string(),
                    candle.volume().to_string(),
                    details.quote_volume.to_string(),
                    details.trades.to_string(),
                    details.taker_buy_volume.to_string(),
                    details.taker_buy_quote_volume.to_string(),
                ];
                assert_eq!(told[..5], fields[1..6]);
                assert_eq!(told[5..], fields[7..11]);
                let millis = candle.open_time().millis().to_string();
                assert!(fields[0] == millis || fields[0] == format!("{millis}000"), "{line}");
            }
        }
    }
}

#[test]
fn files_in_milliseconds_and_in_microseconds_equal_the_recorded_candles_of_the_exchange() {
    let exchange = by_open_time(recorded::candles("candles/BTCUSDT_1h.csv"));
    let mut compared = 0;
    for stamp in ["2023-01-21", "2024-11", "2024-12", "2025-01", "2025-02"] {
        for candle in file(Interval::H1, stamp) {
            let told = exchange.get(&candle.open_time()).unwrap_or_else(|| panic!("{}", candle.open_time()));
            assert_eq!((candle.prices(), candle.volume()), (told.prices(), told.volume()));
            compared += 1;
        }
    }
    assert_eq!(compared, 24 + 720 + 744 + 744 + 672);
    let halves = by_open_time(recorded::candles("native12h/BTCUSDT_12h.csv"));
    for candle in file(Interval::H12, "2023-01-21") {
        let told = halves[&candle.open_time()];
        assert_eq!((candle.prices(), candle.volume()), (told.prices(), told.volume()));
    }
}
