//! Where windows lie, and what counts as a contradiction.

use ohlcv_domain::{Grid, Interval, Timestamp};

use super::*;

const PAGE: NonZeroU32 = NonZeroU32::new(1_000).unwrap();

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn file(month: u32) -> ArchiveFile {
    let grid = Grid::new(Interval::M5);
    let start = at(&format!("2024-{month:02}-01T00:00:00Z"));
    let asked = SlotRange::new(grid, start, Grid::new(Interval::Mo1).next(start)).unwrap();
    let [asset, quote] = ["BTC", "USDT"].map(|name| name.parse().unwrap());
    ArchiveFile::at_start_of(asset, quote, asked, at("2026-01-01T00:00:00Z")).unwrap()
}

/// The candles of a file but for some slots, counted from its start.
fn candles_but(file: &ArchiveFile, lacks: impl Fn(usize) -> bool) -> Vec<Candle> {
    let open_times = file.slots.iter().enumerate().filter(|(slot, _)| !lacks(*slot));
    open_times.map(|(_, open_time)| Candle::flat(open_time, "1".parse().unwrap())).collect()
}

#[test]
fn windows_cover_what_is_lacking_once_and_none_is_larger_than_a_page() {
    type Lacks = fn(usize) -> bool;
    let cases: [(Lacks, usize); 6] = [
        (|_| false, 1),
        (|slot| slot == 5_000, 2),
        (|slot| slot % 2 == 0, 10),
        (|slot| slot >= 6_000, 4),
        (|slot| slot < 2_500, 4),
        (|_| true, 10),
    ];
    for month in 1..=12 {
        let file = file(month);
        for (case, (lacks, windows_max)) in cases.into_iter().enumerate() {
            let candles = candles_but(&file, lacks);
            let windows = windows(&file, &candles, PAGE);
            assert!(windows.len() <= windows_max, "case {case}: {windows:?}");
            assert!(windows.iter().all(|window| !window.is_empty() && window.len() <= 1_000));
            assert!(windows.windows(2).all(|pair| pair[0].end() <= pair[1].start()), "{windows:?}");
            let covered = |at: Timestamp| windows.iter().any(|window| window.time().contains(at));
            assert!(
                gaps(file.slots, candles.iter().map(Candle::open_time)).all(|gap| gap.iter().all(covered))
            );
            assert!(sample(&file, PAGE).iter().all(covered));
        }
    }
}

#[test]
fn samples_differ_from_file_to_file_reach_both_ends_and_are_the_same_every_time() {
    let place = |month| sample(&file(month), PAGE).start().since(file(month).slots.start());
    let places: Vec<_> = (1..=12).map(place).collect();
    assert_eq!(places, (1..=12).map(place).collect::<Vec<_>>());
    assert!(places.iter().filter(|place| place.is_zero()).count() >= 3);
    assert!((1..=12).any(|month| sample(&file(month), PAGE).end() == file(month).slots.end()));
    assert!((1..=12).all(|month| sample(&file(month), PAGE).len() == 1_000));
}

#[test]
fn a_slot_that_a_file_lacks_contradicts_nothing_and_all_else_does() {
    let file = file(1);
    let candles = candles_but(&file, |slot| slot >= 3);
    let rows = |candles: &[Candle]| candles.iter().copied().map(Ok).collect::<Vec<_>>();
    let other = Candle::flat(candles[1].open_time(), "2".parse().unwrap());
    let lacking = compare(&candles[..2], &rows(&candles));
    assert_eq!((lacking.contradiction, lacking.differing), (None, 1));
    let beyond = compare(&candles, &rows(&candles[..2]));
    assert!(beyond.contradiction.unwrap().starts_with("2024-01-01T00:10:00Z"));
    let differing = compare(&candles, &rows(&[candles[0], other, candles[2]]));
    assert!(differing.contradiction.unwrap().starts_with("2024-01-01T00:05:00Z"));
    assert_eq!(compare(&candles, &rows(&candles)), Compared { contradiction: None, differing: 0 });
}
