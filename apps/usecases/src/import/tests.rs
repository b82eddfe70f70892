//! An import into a store in memory, with limits so small that a short series crosses them.

use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{
    Asset, Candle, Cause, Commit, Finding, Grid, Interval, Rule, SlotRange, TimeRange, Timestamp,
    disagreement, missing_slots,
};
use ohlcv_ports::testing::{MemoryStore, PausedClock};
use ohlcv_ports::{CandleStore, Clock, Coverage, History, HoleQuery, Take};
use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;

const DAYS: Grid = Grid::new(Interval::D1);

fn asset(name: &str) -> Asset {
    name.parse().unwrap()
}

/// A day of January 2024, from 0 on.
fn day(number: i64) -> Timestamp {
    DAYS.step("2024-01-01T00:00:00Z".parse().unwrap(), number)
}

fn days(from: i64, to: i64) -> SlotRange {
    SlotRange::new(DAYS, day(from), day(to)).unwrap()
}

fn candle(number: i64, price: u32) -> Candle {
    Candle::flat(day(number), price.to_string().parse().unwrap())
}

fn row(row: u64, asset: &str, candle: Candle) -> OfferedRow {
    OfferedRow { place: Place { file: 0, row }, asset: Some(asset.parse().unwrap()), candle: Ok(candle) }
}

/// Rows of BTC, counted from 1.
fn rows(candles: impl IntoIterator<Item = Candle>) -> Vec<OfferedRow> {
    (1..).zip(candles).map(|(number, candle)| row(number, "BTC", candle)).collect()
}

struct World {
    store: Arc<MemoryStore>,
    clock: Arc<PausedClock>,
}

impl World {
    /// An empty store at noon of the hundredth day.
    fn new() -> Self {
        let noon = day(100).saturating_add(Duration::from_secs(12 * 3600));
        Self { store: Arc::new(MemoryStore::new()), clock: Arc::new(PausedClock::new(noon)) }
    }

    async fn import(&self, rows: Vec<OfferedRow>) -> ImportReport {
        self.import_as(ImportOptions::default(), rows).await
    }

    async fn import_as(&self, options: ImportOptions, rows: Vec<OfferedRow>) -> ImportReport {
        let context = ImportContext {
            store: Arc::clone(&self.store) as Arc<dyn CandleStore>,
            coverage: Arc::clone(&self.store) as Arc<dyn Coverage>,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            interval: Interval::D1,
            grace: Duration::from_secs(30),
            terms: None,
            stop: CancellationToken::new(),
            progress: Arc::new(|_| {}),
        };
        let (sender, incoming) = mpsc::channel(1);
        // In small batches, which end anywhere.
        let batches: Vec<_> = rows.chunks(3).map(<[OfferedRow]>::to_vec).collect();
        let sent = async move {
            for rows in batches {
                sender.send(OfferedRows { rows, expected: 0 }).await.unwrap();
            }
        };
        let import = Import::new(context, options);
        tokio::join!(import.run(incoming), sent).0
    }

    async fn stored(&self, name: &str) -> Vec<Candle> {
        self.store.page(asset(name), TimeRange::ALL, Take::Oldest, 10_000).await.unwrap()
    }

    /// The holes of BTC: first day, day behind the last one, cause.
    async fn holes(&self) -> Vec<(i64, i64, Cause)> {
        let holes = self.store.holes(asset("BTC"), HoleQuery::oldest(TimeRange::ALL, 1_000)).await.unwrap();
        let number =
            |at: Timestamp| i64::try_from(days(0, 1).start().distance(at).as_secs() / 86_400).unwrap();
        holes.iter().map(|hole| (number(hole.range.start()), number(hole.range.end()), hole.cause)).collect()
    }

    /// That every slot of the span has either a row or one hole.
    async fn assert_explained(&self, name: &str) {
        let summary = self.store.summary(asset(name)).await.unwrap().unwrap();
        let span = summary.span.unwrap();
        let breaks = self.store.breaks(asset(name), span, DAYS.interval().longest()).await.unwrap();
        let missing: Vec<TimeRange> =
            missing_slots(DAYS.slots_in(span), &breaks).into_iter().map(SlotRange::time).collect();
        let holes = self.store.holes(asset(name), HoleQuery::oldest(TimeRange::ALL, 1_000)).await.unwrap();
        let holes: Vec<TimeRange> = holes.iter().map(|hole| hole.range).collect();
        assert_eq!(disagreement(span, &missing, &holes), ohlcv_domain::Disagreement::default());
    }
}

/// Place and rule of each refused row.
fn refused(report: &ImportReport) -> Vec<(u64, &'static str)> {
    report.refusals.iter().map(|refusal| (refusal.place.row, refusal.rule.as_str())).collect()
}

/// Of each asset: rows, new, changed, unchanged, repeated, refused.
fn sums(report: &ImportReport) -> Vec<(String, [u64; 6])> {
    let sums = report.assets.iter().map(|asset| {
        let AssetImport { rows, new, changed, unchanged, repeated, refused, .. } = *asset;
        (asset.asset.to_string(), [rows, new, changed, unchanged, repeated, refused])
    });
    sums.collect()
}

fn of(asset: &str, sums: [u64; 6]) -> (String, [u64; 6]) {
    (asset.to_owned(), sums)
}

#[tokio::test(start_paused = true)]
async fn good_rows_are_stored_and_each_bad_one_is_refused_with_its_place_and_its_rule() {
    let world = World::new();
    let off_grid = Candle::flat(day(2).saturating_add(Duration::from_secs(60)), "1".parse().unwrap());
    let mut offered = rows([
        candle(0, 1),
        candle(1, 1),
        off_grid,
        candle(3, 1),
        candle(2, 1),
        candle(5, 1),
        candle(5, 2),
        candle(5, 1),
        candle(100, 1),
        candle(6, 7),
    ]);
    let malformed = Unfit::of(Rule::Malformed.into(), None, "open is \"lots\"");
    offered.push(OfferedRow {
        place: Place { file: 0, row: 11 },
        asset: None,
        candle: Err(malformed.clone()),
    });
    offered.push(OfferedRow {
        place: Place { file: 0, row: 12 },
        asset: Some(asset("BTC")),
        candle: Err(malformed),
    });
    let report = world.import(offered).await;
    let mut found = refused(&report);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            (3, "off_grid"),
            (5, "out_of_order"),
            (6, "conflicting"),
            (7, "conflicting"),
            (8, "conflicting"),
            (9, "not_closed"),
            (11, "malformed"),
            (12, "malformed"),
        ]
    );
    assert_eq!(report.refused(), 8);
    assert_eq!(sums(&report), [of("BTC", [11, 4, 0, 0, 0, 7])]);
    assert_eq!(world.stored("BTC").await, [candle(0, 1), candle(1, 1), candle(3, 1), candle(6, 7)]);
    assert_eq!(world.holes().await, [(2, 3, Cause::Pending), (4, 6, Cause::Pending)]);
}

#[tokio::test(start_paused = true)]
async fn a_series_longer_than_a_commit_is_stored_whole_and_a_second_time_nothing_changes() {
    let world = World::new();
    let offered = rows((0..50).filter(|number| number % 7 != 3).map(|number| candle(number, 1)));
    let first = world.import(offered.clone()).await;
    assert!(first.is_clean(), "{first:?}");
    assert_eq!(sums(&first), [of("BTC", [43, 43, 0, 0, 0, 0])]);
    world.assert_explained("BTC").await;
    let (head, holes) = (world.store.heads(&[asset("BTC")]).await.unwrap(), world.holes().await);
    let second = world.import(offered).await;
    assert_eq!(sums(&second), [of("BTC", [43, 0, 0, 43, 0, 0])]);
    assert_eq!(world.store.heads(&[asset("BTC")]).await.unwrap(), head, "no change was logged");
    assert_eq!(world.holes().await, holes);
}

#[tokio::test(start_paused = true)]
async fn what_the_exchange_said_about_a_hole_stays() {
    let world = World::new();
    let finding = |from, to, cause| Finding { range: days(from, to).time(), cause, detail: String::new() };
    let findings = vec![
        finding(0, 2, Cause::BeforeListing),
        finding(3, 6, Cause::SourceEmpty),
        finding(6, 10, Cause::Pending),
    ];
    let commit = Commit::new(asset("BTC"), days(0, 10), vec![candle(2, 1)], findings, day(99)).unwrap();
    world.store.apply(commit).await.unwrap();
    let before = world.store.holes(asset("BTC"), HoleQuery::oldest(TimeRange::ALL, 10)).await.unwrap();
    world.import(rows([candle(2, 1), candle(4, 1), candle(8, 1), candle(12, 1)])).await;
    assert_eq!(
        world.holes().await,
        [
            (0, 2, Cause::BeforeListing),
            (3, 4, Cause::SourceEmpty),
            (5, 6, Cause::SourceEmpty),
            (6, 8, Cause::Pending),
            (9, 12, Cause::Pending)
        ]
    );
    let after = world.store.holes(asset("BTC"), HoleQuery::oldest(TimeRange::ALL, 10)).await.unwrap();
    assert_eq!((after[1].asked, after[1].last_asked), (before[1].asked, before[1].last_asked));
    world.assert_explained("BTC").await;
}

#[tokio::test(start_paused = true)]
async fn stored_candles_are_replaced_only_when_told_to_and_kept_as_revisions() {
    let world = World::new();
    world.import(rows([candle(0, 1), candle(1, 1)])).await;
    let offered = rows([candle(0, 1), candle(1, 2)]);
    let report = world.import(offered.clone()).await;
    assert_eq!(refused(&report), [(2, "differs")]);
    assert!(report.refusals[0].evidence.contains("close 2.00000000, stored 1.00000000"), "{report:?}");
    assert_eq!(world.stored("BTC").await, [candle(0, 1), candle(1, 1)]);
    let replace = ImportOptions { replace: true, ..ImportOptions::default() };
    let would = world.import_as(ImportOptions { dry_run: true, ..replace }, offered.clone()).await;
    assert_eq!(sums(&would), [of("BTC", [2, 0, 1, 1, 0, 0])]);
    assert_eq!(world.stored("BTC").await, [candle(0, 1), candle(1, 1)]);
    let report = world.import_as(replace, offered).await;
    assert!(report.is_clean());
    assert_eq!(sums(&report), [of("BTC", [2, 0, 1, 1, 0, 0])]);
    assert_eq!(world.stored("BTC").await, [candle(0, 1), candle(1, 2)]);
    let revisions = world.store.revisions(asset("BTC"), TimeRange::ALL, 0, 10).await.unwrap();
    assert_eq!(revisions.iter().map(|revision| revision.candle).collect::<Vec<_>>(), [candle(1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_tells_what_would_be_done_and_does_nothing() {
    let world = World::new();
    let dry = ImportOptions { dry_run: true, ..ImportOptions::default() };
    let report = world.import_as(dry, rows([candle(0, 1), candle(20, 1), candle(10, 1)])).await;
    assert_eq!(sums(&report), [of("BTC", [3, 2, 0, 0, 0, 1])]);
    assert_eq!(refused(&report), [(3, "out_of_order")]);
    assert_eq!(world.store.summary(asset("BTC")).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_candle_counts_as_closed_a_quarter_of_an_hour_and_the_grace_after_its_end() {
    for (seconds, rule) in [(0, "not_closed"), (929, "not_closed"), (930, "")] {
        let now = day(100).saturating_add(Duration::from_secs(seconds));
        let world = World { clock: Arc::new(PausedClock::new(now)), ..World::new() };
        let report = world.import(rows([candle(99, 1)])).await;
        assert_eq!(refused(&report).first().map_or("", |(_, rule)| *rule), rule, "{seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn rows_before_the_listing_are_refused() {
    let world = World::new();
    let nothing = days(5, 5);
    let listed = Commit::of_finding(asset("BTC"), nothing, Cause::Pending, "", day(99)).with_listing(day(5));
    world.store.apply(listed).await.unwrap();
    let report = world.import(rows([candle(4, 1), candle(5, 1)])).await;
    assert_eq!(refused(&report), [(1, "before_listing")]);
}

#[tokio::test(start_paused = true)]
async fn rows_of_several_assets_may_lie_between_each_other_and_files_may_overlap() {
    let world = World::new();
    let mut offered = Vec::new();
    for number in 0..20 {
        offered.push(row(2 * u64::try_from(number).unwrap(), "BTC", candle(number, 1)));
        offered.push(row(2 * u64::try_from(number).unwrap() + 1, "ETH", candle(number, 2)));
    }
    offered.push(row(40, "BTC", candle(3, 1)));
    let other_file =
        |number| OfferedRow { place: Place { file: 1, row: 1 }, ..row(1, "BTC", candle(number, 1)) };
    offered.extend([15, 16, 20].map(other_file));
    let report = world.import(offered).await;
    assert_eq!(refused(&report), [(40, "out_of_order")]);
    assert_eq!(sums(&report), [of("BTC", [24, 21, 0, 2, 0, 1]), of("ETH", [20, 20, 0, 0, 0, 0])]);
    assert_eq!(world.stored("ETH").await.len(), 20);
    world.assert_explained("BTC").await;
}

#[tokio::test(start_paused = true)]
async fn a_row_that_repeats_the_one_before_it_is_no_fault_also_where_a_page_ends() {
    let world = World::new();
    let twice = (0..20).flat_map(|number| [candle(number, 1), candle(number, 1)]);
    let report = world.import(rows(twice)).await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(sums(&report), [of("BTC", [40, 20, 0, 0, 20, 0])]);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_refusals_are_told_but_all_are_counted() {
    let world = World::new();
    let descending = (0..200).rev().map(|number| candle(number - 200, 1));
    let report = world.import(rows(descending)).await;
    assert_eq!((report.refused(), report.refusals.len()), (199, REFUSALS_KEPT_MAX));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_rows_come_each_is_counted_once_and_the_ledger_explains_every_slot(
        offered in prop::collection::vec((0_i64..40, 1_u32..3), 0..60),
        sorted in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut offered = offered;
            if sorted {
                offered.sort_unstable();
            }
            let world = World::new();
            let offered = rows(offered.into_iter().map(|(number, price)| candle(number, price)));
            let first = world.import(offered.clone()).await;
            for asset in &first.assets {
                let told = asset.new + asset.changed + asset.unchanged + asset.repeated + asset.refused;
                assert_eq!(asset.rows, told, "{asset:?}");
            }
            let stored = world.stored("BTC").await;
            assert_eq!(stored.len() as u64, first.assets.iter().map(|asset| asset.new).sum::<u64>());
            if !stored.is_empty() {
                world.assert_explained("BTC").await;
            }
            let second = world.import(offered).await;
            assert!(second.assets.iter().all(|asset| asset.new == 0 && asset.changed == 0), "{second:?}");
            assert_eq!(second.refused(), first.refused());
            assert_eq!(world.stored("BTC").await, stored);
        });
    }
}
