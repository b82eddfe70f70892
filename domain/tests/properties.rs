//! The laws of the domain, on arbitrary series.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use ohlcv_domain::{
    Asset, Breaks, Candle, Cause, CheckedPage, Closing, Commit, Finding, Grid, Hole, Interval, Ohlc, Price,
    Rejection, Rule, SlotRange, TimeRange, Timestamp, Volume, answered_until, check_page, disagreement,
    forward_fill, gaps, missing_slots, next_look, pages, settle_holes, without_stored,
};
use proptest::prelude::*;

fn interval() -> impl Strategy<Value = Interval> {
    proptest::sample::select(Interval::ALL.to_vec())
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (-2_000_000_000_000_i64..5_000_000_000_000).prop_map(at)
}

/// Also the ends of time, where one step more leads out of it.
fn any_instant() -> impl Strategy<Value = Timestamp> {
    let near = 0_i64..10_000_000_000;
    prop_oneof![
        instant(),
        near.clone().prop_map(|millis| at(Timestamp::MIN.millis() + millis)),
        near.prop_map(|millis| at(Timestamp::MAX.millis() - millis)),
    ]
}

/// Up to 120 slots of any grid, anywhere in time.
fn slots() -> impl Strategy<Value = SlotRange> {
    (interval(), instant(), 0_i64..120).prop_map(|(interval, start, len)| {
        let grid = Grid::new(interval);
        let start = grid.floor(start);
        SlotRange::new(grid, start, grid.step(start, len)).unwrap()
    })
}

/// Slots, and which of them have a candle.
fn series() -> impl Strategy<Value = (SlotRange, Vec<Candle>)> {
    (slots(), proptest::collection::vec(any::<bool>(), 120)).prop_map(|(slots, present)| {
        let open_times =
            slots.iter().zip(present).filter_map(|(open_time, present)| present.then_some(open_time));
        let candles = open_times.enumerate().map(|(n, open_time)| candle(open_time, n as u128 + 1));
        (slots, candles.collect())
    })
}

fn candle(open_time: Timestamp, seed: u128) -> Candle {
    let price = |units: u128| Price::from_units(units).unwrap();
    let prices =
        Ohlc { open: price(seed + 1), high: price(seed + 3), low: price(seed), close: price(seed + 2) };
    Candle::new(open_time, prices, Volume::from_units(seed * 1_000).unwrap()).unwrap()
}

fn open_times(candles: &[Candle]) -> BTreeSet<Timestamp> {
    candles.iter().map(Candle::open_time).collect()
}

/// Anything a source might send for `slots`: rows of all kinds, in any order.
fn answer(slots: SlotRange) -> impl Strategy<Value = Vec<Result<Candle, Rejection>>> {
    let row = (-5_i64..130, 0_i64..4, 0_u8..6, 1_u128..4).prop_map(move |(slot, shift, kind, seed)| {
        let open_time = slots.grid().step(slots.start(), slot);
        let shifted = Timestamp::from_millis(open_time.millis() + shift * 250).unwrap();
        match kind {
            0 => Err(Rejection::new(Some(shifted), Rule::Negative, "a row")),
            1 => Err(Rejection::new(None, Rule::Malformed, "a row")),
            _ => Ok(candle(shifted, seed)),
        }
    });
    proptest::collection::vec(row, 0..150).prop_flat_map(|rows| {
        let mut sorted = rows.clone();
        sorted.sort_by_key(|row| row.as_ref().map_or(Timestamp::MIN, Candle::open_time));
        prop_oneof![Just(rows), Just(sorted)]
    })
}

fn covered(parts: impl IntoIterator<Item = TimeRange>, grid: Grid) -> Vec<Timestamp> {
    parts.into_iter().flat_map(|part| grid.slots_in(part).iter()).collect()
}

proptest! {
    #[test]
    fn an_instant_is_shown_as_others_show_it_and_read_back(instant in any_instant(), seconds in any::<bool>()) {
        let instant = if seconds { at(instant.millis() - instant.millis().rem_euclid(1_000)) } else { instant };
        let format = match instant.millis() % 1_000 {
            0 => chrono::SecondsFormat::Secs,
            _ => chrono::SecondsFormat::Millis,
        };
        prop_assert_eq!(instant.to_string(), instant.to_datetime().to_rfc3339_opts(format, true));
        prop_assert_eq!(instant.to_string().parse::<Timestamp>(), Ok(instant));
    }

    #[test]
    fn an_instant_lies_between_its_slots_open_time_and_the_next(interval in interval(), at in instant()) {
        let grid = Grid::new(interval);
        prop_assert!(grid.floor(at) <= at && at < grid.next(at));
        prop_assert!(grid.contains(grid.floor(at)) && grid.contains(grid.next(at)));
        prop_assert!(grid.ceil(at) == at || grid.ceil(at) == grid.next(at));
        prop_assert!(grid.next(at).since(grid.floor(at)) <= interval.longest());
    }

    #[test]
    fn stepping_there_and_back_ends_where_it_began(interval in interval(), at in instant(), slots in -500_i64..500) {
        let grid = Grid::new(interval);
        prop_assert_eq!(grid.step(grid.step(at, slots), -slots), grid.floor(at));
        prop_assert_eq!(grid.step(at, 1), grid.next(at));
    }

    #[test]
    fn a_range_has_as_many_slots_as_it_lists(slots in slots()) {
        let listed: Vec<_> = slots.iter().collect();
        prop_assert_eq!(listed.len() as u64, slots.len());
        prop_assert!(listed.iter().all(|open_time| slots.time().contains(*open_time)));
    }

    #[test]
    fn the_length_of_a_run_tells_how_many_slots_it_has(
        interval in interval(),
        start in instant(),
        len in prop_oneof![0_i64..120, 0_i64..20_000],
    ) {
        let grid = Grid::new(interval);
        let start = grid.floor(start);
        let slots = SlotRange::new(grid, start, grid.step(start, len)).unwrap();
        prop_assert_eq!(interval.slots_lasting(slots.time().lasts()), slots.len());
    }

    #[test]
    fn gaps_and_candles_partition_the_slots((slots, candles) in series()) {
        let found: Vec<_> = gaps(slots, candles.iter().map(Candle::open_time)).collect();
        let mut all: Vec<_> = covered(found.iter().map(|gap| gap.time()), slots.grid());
        all.extend(open_times(&candles));
        all.sort();
        prop_assert_eq!(all, slots.iter().collect::<Vec<_>>());
        prop_assert!(found.windows(2).all(|pair| pair[0].end() < pair[1].start()), "gaps are maximal");
    }

    #[test]
    fn strange_open_times_fill_no_gap((slots, candles) in series(), noise in proptest::collection::vec(instant(), 0..20)) {
        let mut times: Vec<_> = candles.iter().map(Candle::open_time).collect();
        times.extend(noise.into_iter().filter(|at| !slots.grid().contains(*at) || !slots.time().contains(*at)));
        times.sort();
        let clean: Vec<_> = gaps(slots, candles.iter().map(Candle::open_time)).collect();
        prop_assert_eq!(gaps(slots, times).collect::<Vec<_>>(), clean);
    }

    #[test]
    fn filling_leaves_no_gap_and_invents_nothing((slots, candles) in series(), carried in proptest::option::of(1_u128..100)) {
        let carried = carried.map(|units| Price::from_units(units).unwrap());
        let rows: Vec<_> = forward_fill(slots, carried, candles.clone()).collect();

        let real: Vec<_> = rows.iter().filter(|row| !row.filled).map(|row| row.candle).collect();
        prop_assert_eq!(&real, &candles, "every real candle is there, unchanged");

        let first_known = if carried.is_some() { Some(slots.start()) } else { candles.first().map(Candle::open_time) };
        let expected: Vec<_> = slots.iter().filter(|slot| first_known.is_some_and(|first| *slot >= first)).collect();
        prop_assert_eq!(rows.iter().map(|row| row.candle.open_time()).collect::<Vec<_>>(), expected);

        let mut last_close = carried;
        for row in &rows {
            if row.filled {
                prop_assert_eq!(Some(row.candle.close()), last_close);
                prop_assert_eq!(row.candle.volume(), Volume::ZERO);
            } else {
                last_close = Some(row.candle.close());
            }
        }
    }

    #[test]
    fn filling_passes_over_candles_that_are_no_slots((slots, candles) in series(), noise in proptest::collection::vec(instant(), 0..20)) {
        let close = Price::from_units(7).unwrap();
        let real = open_times(&candles);
        let strange = noise.into_iter().chain(slots.iter().map(|slot| at(slot.millis().saturating_add(1).min(Timestamp::MAX.millis()))));
        let strange = strange.filter(|at| !slots.time().contains(*at) || !slots.grid().contains(*at));
        let mut mixed: Vec<_> = strange.map(|open_time| candle(open_time, 99)).chain(candles.clone()).collect();
        // Each of them twice: the second says nothing.
        mixed.extend(mixed.clone());
        mixed.sort_by_key(Candle::open_time);
        let rows: Vec<_> = forward_fill(slots, Some(close), mixed).collect();
        prop_assert_eq!(&rows, &forward_fill(slots, Some(close), candles).collect::<Vec<_>>());
        prop_assert!(rows.iter().all(|row| row.filled != real.contains(&row.candle.open_time())));
    }

    #[test]
    fn a_fill_knows_how_many_rows_are_left((slots, candles) in series(), carried in proptest::option::of(1_u128..100)) {
        let mut rows = forward_fill(slots, carried.map(|units| Price::from_units(units).unwrap()), candles);
        let mut is_known = carried.is_some();
        loop {
            let (least, most) = rows.size_hint();
            let left = rows.clone().count();
            prop_assert!(least <= left && most.is_some_and(|most| left <= most));
            prop_assert!(!is_known || (least, most) == (left, Some(left)));
            if rows.next().is_none() {
                break;
            }
            is_known = true;
        }
    }

    #[test]
    fn filling_page_by_page_gives_the_same_rows((slots, candles) in series(), size in 1_u32..50) {
        let whole: Vec<_> = forward_fill(slots, None, candles.clone()).collect();
        let mut paged = Vec::new();
        for page in pages(slots, NonZeroU32::new(size).unwrap()) {
            let carried = candles.iter().rev().find(|candle| candle.open_time() < page.start()).map(Candle::close);
            let inside = candles.iter().copied().filter(|candle| page.time().contains(candle.open_time()));
            paged.extend(forward_fill(page, carried, inside));
        }
        prop_assert_eq!(paged, whole);
    }

    #[test]
    fn ranges_and_pages_are_whole_also_at_the_ends_of_time(
        interval in interval(), one in any_instant(), other in any_instant(), size in 1_u32..50,
    ) {
        let grid = Grid::new(interval);
        let last = grid.ceil(one.min(other));
        let slots = grid.slots_in(TimeRange::new(one.min(other), one.max(other)).unwrap());
        let slots = slots.before(grid.step(last, 200));
        let listed: Vec<_> = slots.iter().collect();
        prop_assert_eq!(listed.len() as u64, slots.len());
        prop_assert!(listed.windows(2).all(|pair| grid.next(pair[0]) == pair[1]));
        prop_assert!(listed.first().is_none_or(|first| *first == slots.start()));
        let mut paged = Vec::new();
        for page in pages(slots, NonZeroU32::new(size).unwrap()) {
            prop_assert!(!page.is_empty() && page.len() <= u64::from(size));
            paged.extend(page.iter());
        }
        prop_assert_eq!(paged, listed);
    }

    #[test]
    fn paging_loses_nothing_and_keeps_to_its_size(slots in slots(), size in 1_u32..50) {
        let cut: Vec<_> = pages(slots, NonZeroU32::new(size).unwrap()).collect();
        prop_assert!(cut.iter().all(|page| (1..=u64::from(size)).contains(&page.len())));
        prop_assert_eq!(cut.iter().flat_map(|page| page.iter()).collect::<Vec<_>>(), slots.iter().collect::<Vec<_>>());
    }

    #[test]
    fn whatever_a_source_sends_the_door_accounts_for_every_slot(
        (slots, rows) in slots().prop_flat_map(|slots| (Just(slots), answer(slots))),
        late in 0_i64..200,
    ) {
        let now = slots.grid().step(slots.end(), late - 100);
        let closing = Closing { exchange_now: now, grace: Duration::from_secs(30), settling: Duration::from_secs(900) };
        let closed_until = slots.grid().closed_until(now, closing.grace);
        let offered: Vec<Candle> = rows.iter().flatten().copied().collect();
        let page = check_page(slots, closing, rows);

        prop_assert!(page.candles.iter().all(|candle| offered.contains(candle)), "nothing is made up");
        prop_assert!(page.candles.iter().all(|candle| candle.open_time() < closed_until), "nothing open passes");
        for candle in &page.candles {
            let rivals = offered.iter().filter(|other| other.open_time() == candle.open_time());
            prop_assert!(rivals.into_iter().all(|other| other == candle), "nothing contradicted passes");
        }
        let asset: Asset = "BTC".parse().unwrap();
        let CheckedPage { candles, findings, .. } = page;
        prop_assert!(Commit::new(asset, slots, candles, findings, now).is_ok(), "candles and findings partition the slots");
    }

    #[test]
    fn the_ledger_and_the_candles_always_partition_the_span(
        span in slots(),
        asks in proptest::collection::vec((0_i64..120, 0_i64..40, proptest::collection::vec(0_u8..5, 40)), 1..12),
    ) {
        let grid = span.grid();
        let mut stored: BTreeSet<Timestamp> = BTreeSet::new();
        let mut ledger: Vec<Hole> = settle_holes(&[], span.time(), &findings_of(span, &[0; 120], &stored), at(0));
        for (turn, (from, len, fates)) in asks.into_iter().enumerate() {
            let start = grid.step(span.start(), from);
            let asked = span.from(start).before(grid.step(start, len));
            let fates: Vec<u8> = fates.into_iter().chain([0; 120]).collect();
            let arrived = asked.iter().zip(&fates).filter(|(_, fate)| **fate == 4).map(|(slot, _)| slot);
            stored.extend(arrived.collect::<Vec<_>>());
            let found = findings_of(asked, &fates, &stored);
            let touching = ledger.iter().filter(|hole| hole.range.end() >= asked.start() && hole.range.start() <= asked.end());
            let touching: Vec<Hole> = touching.cloned().collect();
            ledger.retain(|hole| !touching.contains(hole));
            ledger.extend(settle_holes(&touching, asked.time(), &found, at(turn as i64)));
            ledger.sort_by_key(|hole| hole.range.start());

            let mut all = covered(ledger.iter().map(|hole| hole.range), grid);
            all.extend(stored.iter().copied());
            all.sort();
            prop_assert_eq!(all, span.iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_missing_between_breaks_is_what_gap_search_finds((slots, candles) in series()) {
        let times: Vec<_> = candles.iter().map(Candle::open_time).collect();
        let longest = slots.grid().interval().longest();
        let breaks = Breaks {
            rows: times.len() as u64,
            first: times.first().copied(),
            last: times.last().copied(),
            steps: times.windows(2).map(|pair| (pair[0], pair[1])).filter(|(one, next)| next.since(*one) > longest).collect(),
        };
        prop_assert_eq!(missing_slots(slots, &breaks), gaps(slots, times).collect::<Vec<_>>());
    }

    #[test]
    fn a_true_ledger_has_no_disagreement_and_a_false_one_is_found((slots, candles) in series(), lost in 0_usize..120) {
        let grid = slots.grid();
        let missing: Vec<_> = gaps(slots, candles.iter().map(Candle::open_time)).map(|gap| gap.time()).collect();
        let clean = disagreement(slots.time(), &missing, &missing);
        prop_assert!(clean.unexplained.is_empty() && clean.stored_holes.is_empty());

        if let Some(candle) = candles.get(lost) {
            let left = candles.iter().map(Candle::open_time).filter(|open_time| *open_time != candle.open_time());
            let now_missing: Vec<_> = gaps(slots, left).map(|gap| gap.time()).collect();
            let found = disagreement(slots.time(), &now_missing, &missing);
            prop_assert_eq!(covered(found.unexplained, grid), [candle.open_time()]);
            let appeared = disagreement(slots.time(), &missing, &now_missing);
            prop_assert_eq!(covered(appeared.stored_holes, grid), [candle.open_time()]);
        }
    }

    #[test]
    fn the_answered_part_of_a_span_never_ends_behind_an_unanswered_tail(span in slots(), fates in proptest::collection::vec(0_u8..5, 120)) {
        let fates: Vec<u8> = fates;
        let stored: BTreeSet<_> = span.iter().zip(&fates).filter(|(_, fate)| **fate == 4).map(|(slot, _)| slot).collect();
        let ledger = settle_holes(&[], span.time(), &findings_of(span, &fates, &stored), at(0));
        let until = answered_until(span.end(), ledger.iter().rev().cloned());
        let answered = |slot: &Timestamp| stored.contains(slot)
            || ledger.iter().any(|hole| hole.range.contains(*slot) && hole.cause.explains());
        prop_assert!(span.from(until).iter().all(|slot| !answered(&slot)));
        prop_assert!(span.before(until).iter().last().is_none_or(|slot| answered(&slot)));
    }

    #[test]
    fn the_next_look_is_after_now_and_never_skips_more_than_asked(interval in interval(), now in instant(), minutes in 1_u64..2_000) {
        let grid = Grid::new(interval);
        let every = Duration::from_secs(minutes * 60);
        let look = next_look(grid, every, now);
        prop_assert!(look > now);
        prop_assert!(look.since(now) <= every.max(interval.longest()) + interval.longest());
        if every < interval.longest() {
            prop_assert!(look <= grid.next(now), "every close is looked for");
        } else {
            prop_assert!(grid.contains(look), "looks are at closes");
        }
    }

    #[test]
    fn decimals_are_the_same_in_text_and_as_big_decimals(units in 0..=Volume::MAX.units()) {
        let volume = Volume::from_units(units).unwrap();
        prop_assert_eq!(volume.to_string().parse(), Ok(volume));
        prop_assert_eq!(Volume::try_from(&volume.to_big_decimal()), Ok(volume));
        prop_assert_eq!(volume.to_big_decimal().to_plain_string(), volume.to_string());
    }

    #[test]
    fn times_are_the_same_in_text(at in instant()) {
        prop_assert_eq!(at.to_string().parse(), Ok(at));
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap()
}

/// One finding a slot, where nothing is stored: the fates 0 to 3 are causes.
fn findings_of(slots: SlotRange, fates: &[u8], stored: &BTreeSet<Timestamp>) -> Vec<Finding> {
    let causes = [Cause::Pending, Cause::SourceEmpty, Cause::Rejected, Cause::Failed];
    let one = |(slot, fate): (Timestamp, &u8)| Finding {
        range: TimeRange::new(slot, slots.grid().next(slot)).unwrap(),
        cause: causes[usize::from(*fate) % causes.len()],
        detail: String::new(),
    };
    let findings: Vec<_> = slots.iter().zip(fates).map(one).collect();
    let stored: Vec<_> = stored.iter().copied().collect();
    without_stored(&findings, slots.grid(), &stored)
}
