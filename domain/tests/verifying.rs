//! The laws of comparing: candles with those of a source, a ledger with what is stored.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use ohlcv_domain::{
    Candle, Difference, Grid, Interval, LedgerFaults, Price, SlotRange, TimeRange, Timestamp, canonical_line,
    check_ledger, differences, gaps,
};
use proptest::prelude::*;

const SLOTS: i64 = 40;

fn day(day: i64) -> Timestamp {
    Timestamp::from_millis(day * 86_400_000).unwrap()
}

fn days(from: i64, to: i64) -> TimeRange {
    TimeRange::new(day(from), day(to)).unwrap()
}

fn slots() -> SlotRange {
    Grid::new(Interval::D1).slots_in(days(0, SLOTS))
}

/// Candles of some days; few prices, so that those of two series are often the same.
fn series() -> impl Strategy<Value = Vec<Candle>> {
    let day_of = proptest::collection::btree_map(0..SLOTS, 1_u128..4, 0..30);
    day_of.prop_map(|days| {
        let one = |(number, units)| Candle::flat(day(number), Price::from_units(units).unwrap());
        days.into_iter().map(one).collect()
    })
}

fn open_times(candles: &[Candle]) -> Vec<Timestamp> {
    candles.iter().map(Candle::open_time).collect()
}

/// A ledger as it should be: what is not stored, cut into holes at some slots.
fn ledger(stored: &[Timestamp], cuts: &[bool]) -> Vec<TimeRange> {
    let mut holes: Vec<TimeRange> = Vec::new();
    for gap in gaps(slots(), stored.iter().copied()) {
        let mut from = gap.start();
        for (slot, _) in slots().iter().zip(cuts).filter(|(_, cut)| **cut) {
            if from < slot && slot < gap.end() {
                holes.push(TimeRange::new(from, slot).unwrap());
                from = slot;
            }
        }
        holes.push(TimeRange::new(from, gap.end()).unwrap());
    }
    holes
}

fn cuts() -> impl Strategy<Value = Vec<bool>> {
    proptest::collection::vec(any::<bool>(), SLOTS as usize)
}

proptest! {
    #[test]
    fn a_series_does_not_differ_from_itself(series in series()) {
        prop_assert_eq!(differences(&series, &series), []);
    }

    #[test]
    fn what_is_stored_with_its_differences_mended_is_the_source(stored in series(), source in series()) {
        let mut mended: BTreeMap<_, _> = stored.iter().map(|candle| (candle.open_time(), *candle)).collect();
        let found = differences(&stored, &source);
        prop_assert!(found.windows(2).all(|pair| pair[0].open_time() < pair[1].open_time()));
        for difference in found {
            match difference {
                Difference::MissingInStore { source } => prop_assert_eq!(mended.insert(source.open_time(), source), None),
                Difference::MissingAtSource { stored } => prop_assert_eq!(mended.remove(&stored.open_time()), Some(stored)),
                Difference::Differs { stored, source } => prop_assert_eq!(mended.insert(source.open_time(), source), Some(stored)),
            }
        }
        prop_assert_eq!(mended.into_values().collect::<Vec<_>>(), source);
    }

    #[test]
    fn lines_of_candles_are_equal_only_if_the_candles_are(one in series(), other in series()) {
        let lines = |series: &[Candle]| series.iter().map(canonical_line).collect::<Vec<_>>();
        prop_assert_eq!(lines(&one) == lines(&other), one == other);
    }

    #[test]
    fn a_ledger_as_it_should_be_has_no_faults(series in series(), cuts in cuts()) {
        let stored = open_times(&series);
        prop_assert_eq!(check_ledger(slots(), &stored, &ledger(&stored, &cuts)), LedgerFaults::default());
    }

    #[test]
    fn faults_are_exactly_where_slots_do_not_have_one_explanation(
        series in series(),
        holes in proptest::collection::vec((-3..SLOTS, 1_i64..9), 0..12),
    ) {
        let stored = open_times(&series);
        let mut holes: Vec<_> = holes.into_iter().map(|(from, len)| days(from, from + len)).collect();
        holes.sort_by_key(|hole| hole.start());
        let faults = check_ledger(slots(), &stored, &holes);
        prop_assert_eq!(&faults.misplaced, &[]);
        for slot in slots().iter() {
            let told = |ranges: &[TimeRange]| ranges.iter().filter(|range| range.contains(slot)).count();
            let holes = told(&holes);
            let is_stored = stored.contains(&slot);
            prop_assert_eq!(told(&faults.overlaps), holes.saturating_sub(1), "{}", slot);
            prop_assert_eq!(told(&faults.over_candles), usize::from(is_stored && holes > 0), "{}", slot);
            prop_assert_eq!(told(&faults.unexplained), usize::from(!is_stored && holes == 0), "{}", slot);
        }
    }

    #[test]
    fn a_misplaced_hole_is_found_and_explains_nothing(from in 0..SLOTS, shift in 1_i64..86_400_000) {
        let start = Timestamp::from_millis(day(from).millis() + shift).unwrap();
        let hole = TimeRange::new(start, day(from + 1)).unwrap();
        let faults = check_ledger(slots(), &[], &[hole]);
        prop_assert_eq!((faults.misplaced, faults.unexplained), (vec![hole], vec![slots().time()]));
    }

    #[test]
    fn halves_make_the_whole_again(start in -1_000_i64..1_000, len in 2_i64..1_000_000) {
        let range = TimeRange::new(Timestamp::from_millis(start).unwrap(), Timestamp::from_millis(start + len).unwrap()).unwrap();
        let [one, other] = range.halves().unwrap();
        prop_assert!(!one.is_empty() && !other.is_empty() && one.end() == other.start());
        prop_assert_eq!(one.hull(other), range);
        prop_assert_eq!(one.start(), range.start());
        prop_assert_eq!(range.after(one.start()), TimeRange::new(Timestamp::from_millis(start + 1).unwrap(), range.end()).ok());
    }
}
