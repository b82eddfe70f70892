//! The laws of deriving coarser candles, on arbitrary series.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use ohlcv_domain::{
    Candle, DerivedCandle, Grid, Interval, Ohlc, Price, Resampling, SlotRange, TimeRange, Timestamp,
    TradeDetails, Volume, fill_derived, resample,
};
use proptest::prelude::*;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap()
}

/// Two intervals of which the first divides the second.
fn resampling() -> impl Strategy<Value = Resampling> {
    let pairs = Interval::ALL.into_iter().flat_map(|base| base.multiples().map(move |wanted| (base, wanted)));
    proptest::sample::select(pairs.collect::<Vec<_>>())
        .prop_map(|(base, wanted)| Resampling::new(base, wanted).unwrap())
}

fn candle(open_time: Timestamp, (kind, price, details): (u8, u64, bool)) -> Candle {
    let price = |more: u64| Price::from_units(u128::from(price + more)).unwrap();
    if kind == 0 {
        return Candle::flat(open_time, price(0));
    }
    let prices = Ohlc { open: price(1), high: price(3), low: price(0), close: price(u64::from(kind) % 4) };
    let volume = Volume::from_units(u128::from(kind) * 7).unwrap();
    let candle = Candle::new(open_time, prices, volume).unwrap();
    let rest = TradeDetails { quote_volume: volume, trades: 3, ..TradeDetails::default() };
    if details { candle.with_details(rest) } else { candle }
}

/// Candles of a base grid, some of them flat, some missing, anywhere in time.
fn series() -> impl Strategy<Value = (Resampling, Vec<Candle>)> {
    let values = proptest::option::weighted(0.8, (0_u8..6, 1_u64..50, proptest::bool::weighted(0.95)));
    (resampling(), -2_000_000_000_000_i64..5_000_000_000_000, proptest::collection::vec(values, 0..150))
        .prop_map(|(resampling, start, values)| {
            let base = resampling.base();
            let values = (0_i64..).zip(values);
            let candles = values.filter_map(|(n, value)| Some(candle(base.step(at(start), n), value?)));
            (resampling, candles.collect())
        })
}

fn derived(resampling: Resampling, listing: Option<Timestamp>, candles: &[Candle]) -> Vec<DerivedCandle> {
    resample(resampling, listing, candles).collect::<Result<_, _>>().unwrap()
}

/// What a derived candle has to be, said once more in the plainest words.
fn expected(resampling: Resampling, listing: Option<Timestamp>, candles: &[Candle]) -> Vec<DerivedCandle> {
    let mut slots = BTreeMap::<Timestamp, Vec<Candle>>::new();
    for candle in candles {
        slots.entry(resampling.grid().floor(candle.open_time())).or_default().push(*candle);
    }
    let made = slots.into_iter().map(|(start, all)| {
        let mut traded: Vec<Candle> = all.iter().filter(|candle| !candle.is_flat()).copied().collect();
        let last = *all.last().unwrap();
        // A flat candle has a say only where nothing else has, or where the series would be torn.
        let lone = Candle::flat(start, last.close());
        if traded.is_empty() {
            traded.push(lone);
        }
        let high = traded.iter().map(Candle::high).max().unwrap().max(last.close());
        let low = traded.iter().map(Candle::low).min().unwrap().min(last.close());
        let prices = Ohlc { open: traded[0].open(), high, low, close: last.close() };
        let volume: u128 = all.iter().map(|candle| candle.volume().units()).sum();
        let mut candle = Candle::new(start, prices, Volume::from_units(volume).unwrap()).unwrap();
        if all.iter().all(|candle| candle.details().is_some()) {
            let sum = |of: fn(TradeDetails) -> u128| all.iter().map(|one| of(one.details().unwrap())).sum();
            let amount = |of: fn(TradeDetails) -> u128| Volume::from_units(sum(of)).unwrap();
            candle = candle.with_details(TradeDetails {
                quote_volume: amount(|rest| rest.quote_volume.units()),
                trades: u32::try_from(sum(|rest| u128::from(rest.trades))).unwrap(),
                taker_buy_volume: amount(|rest| rest.taker_buy_volume.units()),
                taker_buy_quote_volume: amount(|rest| rest.taker_buy_quote_volume.units()),
            });
        }
        let period = TimeRange::new(start, resampling.grid().next(start)).unwrap();
        let mut since_listing = resampling.base().slots_in(period).iter();
        let complete = since_listing.all(|slot| {
            listing.is_some_and(|listing| slot < listing) || all.iter().any(|one| one.open_time() == slot)
        });
        DerivedCandle { candle, complete }
    });
    made.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_derived_candle_is_what_its_definition_says(
        (resampling, candles) in series(),
        listing in proptest::option::of(0_usize..150),
    ) {
        // A month of seconds takes the reference too long.
        prop_assume!(resampling.slots_per_candle() <= 2_000);
        let listing = listing.and_then(|n| candles.get(n)).map(Candle::open_time);
        prop_assert_eq!(derived(resampling, listing, &candles), expected(resampling, listing, &candles));
    }

    #[test]
    fn backwards_it_is_the_same_backwards((resampling, candles) in series()) {
        let mut backwards: Vec<_> = resample(resampling, None, candles.iter().rev()).map(Result::unwrap).collect();
        backwards.reverse();
        prop_assert_eq!(backwards, derived(resampling, None, &candles));
    }

    #[test]
    fn by_way_of_an_interval_between_it_is_the_same((resampling, candles) in series(), pick in any::<prop::sample::Index>()) {
        // As on the exchange, where a flat candle stands at the close before it.
        let mut close = None;
        let candles: Vec<Candle> = candles
            .into_iter()
            .map(|candle| {
                let at_close = close.filter(|_| candle.is_flat()).map(|close| Candle::flat(candle.open_time(), close));
                let candle = at_close.unwrap_or(candle);
                close = Some(candle.close());
                candle
            })
            .collect();
        let (base, wanted) = (resampling.base().interval(), resampling.grid().interval());
        let between: Vec<Interval> = base.multiples().filter(|between| between.divides(wanted)).collect();
        let between = between[pick.index(between.len())];
        let first = derived(Resampling::new(base, between).unwrap(), None, &candles);
        let first: Vec<Candle> = first.iter().map(|made| made.candle).collect();
        let second = derived(Resampling::new(between, wanted).unwrap(), None, &first);
        let direct = derived(resampling, None, &candles);
        prop_assert_eq!(
            second.iter().map(|made| made.candle).collect::<Vec<_>>(),
            direct.iter().map(|made| made.candle).collect::<Vec<_>>()
        );
    }

    #[test]
    fn to_its_own_interval_a_series_stays_as_it_is((resampling, candles) in series()) {
        let own = Resampling::new(resampling.base().interval(), resampling.base().interval()).unwrap();
        let expected: Vec<_> = candles.iter().map(|candle| DerivedCandle { candle: *candle, complete: true }).collect();
        prop_assert_eq!(derived(own, None, &candles), expected);
    }

    #[test]
    fn slot_by_slot_it_is_the_same_as_at_once((resampling, candles) in series(), cut in any::<prop::sample::Index>()) {
        let all = derived(resampling, None, &candles);
        let cut = candles.get(cut.index(candles.len().max(1))).map_or(at(0), Candle::open_time);
        let cut = resampling.grid().floor(cut);
        let (before, after): (Vec<Candle>, Vec<Candle>) =
            candles.iter().partition(|candle| candle.open_time() < cut);
        let mut both = derived(resampling, None, &before);
        both.extend(derived(resampling, None, &after));
        prop_assert_eq!(both, all);
    }

    #[test]
    fn a_change_touches_the_derived_candles_that_may_become_others_alone(
        (resampling, candles) in series(),
        from in any::<prop::sample::Index>(),
        len in 1_i64..40,
    ) {
        prop_assume!(!candles.is_empty());
        let start = candles[from.index(candles.len())].open_time();
        let changed = TimeRange::new(start, resampling.base().step(start, len)).unwrap();
        let touched = resampling.touched_by(changed);
        let without: Vec<Candle> =
            candles.iter().filter(|candle| !changed.contains(candle.open_time())).copied().collect();
        let outside = |all: Vec<DerivedCandle>| -> Vec<DerivedCandle> {
            all.into_iter().filter(|made| !touched.time().contains(made.candle.open_time())).collect()
        };
        prop_assert_eq!(
            outside(derived(resampling, None, &candles)),
            outside(derived(resampling, None, &without))
        );
        // And no more than those: each of them has a base slot in the range.
        let has_part = |slot| {
            let period = TimeRange::new(slot, resampling.grid().next(slot)).unwrap();
            period.intersection(changed).is_some()
        };
        prop_assert!(touched.iter().all(has_part));
    }

    #[test]
    fn filled_rows_are_the_derived_ones_and_carry_their_closes((resampling, candles) in series()) {
        let made = derived(resampling, None, &candles);
        prop_assume!(!made.is_empty());
        let grid = resampling.grid();
        let (first, last) = (made[0].candle.open_time(), made[made.len() - 1].candle.open_time());
        let slots = SlotRange::new(grid, first, grid.step(last, 3)).unwrap();
        prop_assume!(slots.len() <= 5_000);
        let rows: Vec<_> = fill_derived(slots, None, &made).collect();
        prop_assert_eq!(rows.len() as u64, slots.len());
        let real: Vec<_> = rows.iter().filter(|row| !row.filled).collect();
        prop_assert_eq!(real.len(), made.len());
        let same = real.iter().zip(&made).all(|(row, made)| (row.candle, row.complete) == (made.candle, Some(made.complete)));
        prop_assert!(same);
        let mut close = None;
        for row in rows {
            if row.filled {
                prop_assert_eq!(Some(row.candle), close.map(|close| Candle::flat(row.candle.open_time(), close)));
                prop_assert_eq!(row.complete, Some(false));
            }
            close = Some(row.candle.close());
        }
    }

    #[test]
    fn a_derived_slot_is_closed_once_all_of_it_is_settled(
        resampling in resampling(),
        first in 0_i64..2_000_000_000_000,
        lasting in 0_i64..9_000_000_000,
    ) {
        let (first, until) = (at(first), at(first + lasting));
        let closed = resampling.closed(first, until);
        prop_assume!(closed.len() <= 5_000);
        let grid = resampling.grid();
        let slots = SlotRange::new(grid, grid.floor(first), grid.next(until)).unwrap();
        let ended = slots.from(closed.start()).iter().filter(|slot| grid.next(*slot) <= until);
        prop_assert_eq!(closed.iter().collect::<Vec<_>>(), ended.collect::<Vec<_>>());
    }
}

#[test]
fn an_interval_divides_those_whose_every_slot_is_whole_slots_of_it() {
    // Several years, so that no anchor and no length of a month is missed.
    let years = TimeRange::new(at(1_500_000_000_000), at(1_720_000_000_000)).unwrap();
    for base in Interval::ALL {
        for wanted in Interval::ALL.into_iter().filter(|wanted| wanted.longest() >= Interval::H12.longest()) {
            let all = Grid::new(wanted).slots_in(years).iter().all(|slot| Grid::new(base).contains(slot));
            assert_eq!(base.divides(wanted), all, "{base} {wanted}");
            assert_eq!(Resampling::new(base, wanted).is_ok(), all, "{base} {wanted}");
        }
    }
    let made_of = |base: Interval| base.multiples().map(Interval::as_str).collect::<Vec<_>>().join(" ");
    assert_eq!(made_of(Interval::M3), "3m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1M");
    assert_eq!(made_of(Interval::H4), "4h 8h 12h 1d 3d 1w 1M");
    assert_eq!(made_of(Interval::D3), "3d");
    assert_eq!(made_of(Interval::W1), "1w");
    assert_eq!(made_of(Interval::Mo1), "1M");
}

#[test]
fn months_and_weeks_hold_what_the_calendar_says() {
    let day = |text: &str| text.parse::<Timestamp>().unwrap();
    let days = |start: &str, end: &str| {
        let range = TimeRange::new(day(start), day(end)).unwrap();
        let slots = Grid::new(Interval::D1).slots_in(range).iter();
        slots.map(|slot| candle(slot, (1, 5, true))).collect::<Vec<_>>()
    };
    let months = Resampling::new(Interval::D1, Interval::Mo1).unwrap();
    assert_eq!(months.slots_per_candle(), 31);
    let made = derived(months, None, &days("2024-01-31T00:00:00Z", "2024-04-01T00:00:00Z"));
    let told: Vec<_> = made
        .iter()
        .map(|made| (made.candle.open_time().to_string(), made.candle.volume().units() / 7, made.complete))
        .collect();
    assert_eq!(
        told,
        [
            ("2024-01-01T00:00:00Z".to_owned(), 1, false),
            ("2024-02-01T00:00:00Z".to_owned(), 29, true),
            ("2024-03-01T00:00:00Z".to_owned(), 31, true),
        ]
    );
    let listed_then = derived(
        months,
        Some(day("2024-01-31T00:00:00Z")),
        &days("2024-01-31T00:00:00Z", "2024-02-01T00:00:00Z"),
    );
    assert!(listed_then[0].complete, "nothing is missing since the listing");
    let weeks = Resampling::new(Interval::D1, Interval::W1).unwrap();
    let made = derived(weeks, None, &days("2024-11-03T00:00:00Z", "2024-11-11T00:00:00Z"));
    let told: Vec<_> = made.iter().map(|made| (made.candle.open_time().to_string(), made.complete)).collect();
    assert_eq!(told, [("2024-10-28T00:00:00Z".to_owned(), false), ("2024-11-04T00:00:00Z".to_owned(), true)]);
}

#[test]
fn what_does_not_fit_is_an_error_and_never_wraps() {
    let at = |hour: i64| at(hour * 3_600_000);
    let large = |hour: i64, trades: u32, volume: Volume| {
        let prices = Candle::flat(at(hour), "1".parse().unwrap()).prices();
        let rest = TradeDetails { trades, ..TradeDetails::default() };
        Candle::new(at(hour), prices, volume).unwrap().with_details(rest)
    };
    let days = Resampling::new(Interval::H1, Interval::D1).unwrap();
    let one = Volume::from_units(1).unwrap();
    let fine = Volume::from_units(Volume::MAX.units() - 1).unwrap();
    assert_eq!(derived(days, None, &[large(0, 1, fine), large(1, 1, one)])[0].candle.volume(), Volume::MAX);
    for too_much in
        [[large(0, 1, Volume::MAX), large(1, 1, one)], [large(0, u32::MAX, one), large(1, 1, one)]]
    {
        let mut candles = vec![large(-1, 1, one)];
        candles.extend(too_much);
        candles.push(large(30, 1, one));
        let mut made = resample(days, None, &candles);
        assert!(made.next().unwrap().is_ok(), "the day before is another candle");
        let error = made.next().unwrap().unwrap_err();
        assert_eq!((error.interval, error.open_time), (Interval::D1, at(0)));
        assert_eq!(made.next(), None);
    }
}
