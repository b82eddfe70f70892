//! Gap search and forward-fill on two million slots of one minute, of which one in a hundred is empty.
//!
//! `cargo bench -p ohlcv-domain`; divide by the number of slots for the time of one.

use divan::{Bencher, black_box};
use ohlcv_domain::{
    Candle, Grid, Interval, Ohlc, Price, Row, SlotRange, Timestamp, TradeDetails, Volume, forward_fill, gaps,
};

const SLOTS: u64 = 2_000_000;
const MINUTE_MILLIS: u64 = 60_000;
const EMPTY_PER_THOUSAND: u64 = 10;
/// Of prices, in 10⁻⁸.
const LEVEL: u64 = 2_000_000_000_000;

fn main() {
    divan::main();
}

/// Numbers that look random and are the same in every run.
fn scrambled(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits ^ (bits >> 31)
}

fn at(slot: u64) -> Timestamp {
    i64::try_from(slot * MINUTE_MILLIS)
        .map_or(Timestamp::MAX, |millis| Timestamp::from_millis(millis).unwrap_or(Timestamp::MAX))
}

fn slots() -> SlotRange {
    Grid::new(Interval::M1).slots_in(match ohlcv_domain::TimeRange::new(at(0), at(SLOTS)) {
        Ok(range) => range,
        Err(error) => panic!("{error}"),
    })
}

/// A candle with everything that the exchange tells, so that rows are as large as they get.
fn candle(slot: u64) -> Candle {
    let luck = scrambled(slot) % 1_000_000_000;
    let price = |offset: u64| Price::from_units(u128::from(LEVEL + luck + offset)).unwrap_or_default();
    let amount = |units: u64| Volume::from_units(u128::from(units)).unwrap_or_default();
    let prices = Ohlc { open: price(10), high: price(40), low: price(0), close: price(20) };
    let details = TradeDetails {
        quote_volume: amount(luck * 7),
        trades: 120,
        taker_buy_volume: amount(luck / 2),
        taker_buy_quote_volume: amount(luck * 3),
    };
    match Candle::new(at(slot), prices, amount(luck)) {
        Ok(candle) => candle.with_details(details),
        Err(error) => panic!("{error}"),
    }
}

fn candles() -> Vec<Candle> {
    let is_kept =
        |slot: &u64| *slot == 0 || *slot == SLOTS - 1 || scrambled(!*slot) % 1_000 >= EMPTY_PER_THOUSAND;
    (0..SLOTS).filter(is_kept).map(candle).collect()
}

/// From open times, as an index gives them.
#[divan::bench]
fn gap_search_of_open_times(bencher: Bencher<'_, '_>) {
    let open_times: Vec<Timestamp> = candles().iter().map(Candle::open_time).collect();
    bencher
        .bench_local(|| gaps(black_box(slots()), black_box(&open_times).iter().copied()).collect::<Vec<_>>());
}

/// From whole candles, which are twenty times as much memory to go through.
#[divan::bench]
fn gap_search_of_candles(bencher: Bencher<'_, '_>) {
    let candles = candles();
    bencher.bench_local(|| {
        gaps(black_box(slots()), black_box(&candles).iter().map(Candle::open_time)).collect::<Vec<_>>()
    });
}

/// Every row is made and handed over whole, one after the other.
#[divan::bench]
fn forward_fill_row_by_row(bencher: Bencher<'_, '_>) {
    let candles = candles();
    bencher.bench_local(|| {
        let mut filled = 0_u64;
        for row in forward_fill(black_box(slots()), None, black_box(&candles).iter().copied()) {
            filled += u64::from(black_box(&row).filled);
        }
        filled
    });
}

/// Every row is written into memory that is there already.
#[divan::bench]
fn forward_fill_into_a_buffer(bencher: Bencher<'_, '_>) {
    let candles = candles();
    let mut rows: Vec<Row> = Vec::new();
    bencher.bench_local(|| {
        rows.clear();
        rows.extend(forward_fill(black_box(slots()), None, black_box(&candles).iter().copied()));
        black_box(&rows).len()
    });
}

/// Every row is written into memory that the system has to hand out first.
#[divan::bench]
fn forward_fill_into_new_memory(bencher: Bencher<'_, '_>) {
    let candles = candles();
    bencher.bench_local(|| {
        forward_fill(black_box(slots()), None, black_box(&candles).iter().copied()).collect::<Vec<_>>()
    });
}
