//! Everything that has been seen to go wrong with archives ends in the exchange's own rows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ohlcv_adapters::binance::ArchiveLimits;
use ohlcv_tests::fake_archive::ArchiveFault as Fault;

use super::{FIVE_MINUTES, World, limits, rows, slots};

/// What the exchange takes for the two months that are asked for.
const PAGES: usize = 18;

/// How much of the two months the exchange is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// A sample of each file.
    Samples,
    /// Some more, for what the files lack.
    Few,
    All,
}

/// A table that is changed, with a checksum that is right for it.
fn replaced(edit: impl Fn(&mut Vec<String>) + Send + Sync + 'static) -> Fault {
    Fault::Replaced(Arc::new(edit))
}

/// Changes the volume of the lines that are chosen by their place.
pub(super) fn revise(lines: &mut [String], chosen: impl Fn(usize) -> bool) {
    for (_, line) in lines.iter_mut().enumerate().filter(|(at, _)| chosen(*at)) {
        let mut fields: Vec<&str> = line.split(',').collect();
        fields[5] = "0.00000001";
        *line = fields.join(",");
    }
}

/// Changes the open times of the lines that are chosen by their place.
fn retime(lines: &mut [String], chosen: impl Fn(usize) -> bool, change: impl Fn(i64) -> i64) {
    for (_, line) in lines.iter_mut().enumerate().filter(|(at, _)| chosen(*at)) {
        let (open_time, rest) = line.split_once(',').unwrap();
        *line = format!("{},{rest}", change(open_time.parse().unwrap()));
    }
}

fn cases() -> Vec<(&'static str, Option<Fault>, Asked)> {
    let tables = [
        ("a header", replaced(|lines| lines.insert(0, "open_time,open,high".to_owned())), Asked::Samples),
        (
            "carriage returns",
            replaced(|lines| lines.iter_mut().for_each(|line| line.push('\r'))),
            Asked::Samples,
        ),
        ("microseconds", replaced(|lines| retime(lines, |_| true, |at| at * 1_000)), Asked::Samples),
        ("both units", replaced(|lines| retime(lines, |at| at % 3 == 0, |at| at * 1_000)), Asked::Samples),
        (
            "repeated lines",
            replaced(|lines| {
                let line = lines[4_321].clone();
                lines.insert(4_321, line);
            }),
            Asked::Samples,
        ),
        (
            "lines of another month",
            replaced(|lines| {
                let mut other = lines[..50].to_vec();
                retime(&mut other, |_| true, |at| at - 86_400_000 * 10);
                lines.splice(0..0, other);
            }),
            Asked::Samples,
        ),
        (
            "a short file",
            replaced(|lines| {
                lines.drain(8_000..8_012);
                lines.drain(100..900);
            }),
            Asked::Few,
        ),
        ("a file that ends early", replaced(|lines| lines.truncate(6_000)), Asked::Few),
        (
            "off the grid",
            replaced(|lines| retime(lines, |at| (3_000..3_043).contains(&at), |at| at + 14_789)),
            Asked::Few,
        ),
        (
            "odd microseconds",
            replaced(|lines| retime(lines, |at| at == 5_000, |at| at * 1_000 + 1)),
            Asked::Few,
        ),
        (
            "a contradiction",
            replaced(|lines| {
                let mut other = lines[4_000].clone();
                revise(std::slice::from_mut(&mut other), |_| true);
                lines.insert(4_001, other);
            }),
            Asked::Few,
        ),
        ("out of order", replaced(|lines| lines.swap(2_000, 2_001)), Asked::Few),
        ("no numbers", replaced(|lines| lines[7_000] = "1,2,three".to_owned()), Asked::Few),
        ("other numbers", replaced(|lines| revise(lines, |_| true)), Asked::All),
        ("other numbers in a tenth", replaced(|lines| revise(lines, |at| at % 10 == 0)), Asked::All),
        (
            "lines of an hour",
            replaced(|lines| {
                let mut at = 0;
                lines.retain(|_| {
                    at += 1;
                    at % 12 == 1
                });
            }),
            Asked::All,
        ),
        ("an empty table", replaced(Vec::clear), Asked::All),
    ];
    let files = [
        ("missing", Fault::Missing),
        ("forbidden", Fault::Forbidden),
        ("moved", Fault::Moved),
        ("slow", Fault::Slow(Duration::from_secs(20))),
        ("no checksum", Fault::NoChecksum),
        ("a stale checksum", Fault::StaleChecksum),
        ("a garbled checksum", Fault::GarbledChecksum),
        (
            "replaced without its checksum",
            Fault::ReplacedWithoutChecksum(Arc::new(|lines: &mut Vec<String>| revise(lines, |at| at == 77))),
        ),
        ("damaged", Fault::Damaged),
        ("cut", Fault::Cut),
        ("a bomb", Fault::Bomb(8 * 1024 * 1024)),
        ("too large", Fault::Huge(3 * 1024 * 1024)),
        ("a web page", Fault::Page),
    ];
    let files = files.map(|(name, fault)| (name, Some(fault), Asked::All));
    let tables = tables.map(|(name, fault, asked)| (name, Some(fault), asked));
    [("nothing", None, Asked::Samples)].into_iter().chain(tables).chain(files).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_wrong_with_the_files_the_rows_are_those_of_the_exchange() {
    let world = World::new(FIVE_MINUTES, 68).await;
    let asked = slots(FIVE_MINUTES, "2024-09-01T00:00:00Z", "2024-11-01T00:00:00Z");
    let right = rows(world.exchange.as_ref(), asked).await;
    assert_eq!(right.len(), 17_568);
    for (name, fault, expected) in cases() {
        let slow = matches!(fault, Some(Fault::Slow(_)));
        world.archive.spoil(fault);
        world.market.exchange.clear_requests();
        world.market.clock.advance(Duration::from_secs(60));
        let time = if slow { Duration::from_millis(200) } else { limits().file_time_max };
        let bulk = world.bulk(ArchiveLimits { file_time_max: time, ..limits() });
        let got = rows(&bulk, asked).await;
        assert!(got == right, "{name}: {} rows", got.len());
        let requests = world.market.exchange.klines_requests().len();
        let told = match requests {
            2 => Asked::Samples,
            3..PAGES => Asked::Few,
            _ => Asked::All,
        };
        assert_eq!(told, expected, "{name}: {requests} requests");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_exchange_does_not_have_is_not_taken_from_a_file() {
    let world = World::new(FIVE_MINUTES, 68).await;
    let asked = slots(FIVE_MINUTES, "2024-10-01T00:00:00Z", "2024-11-01T00:00:00Z");
    // The exchange has dropped every fourth day since the file was made.
    let fault = Fault::Replaced({
        let (whole, archive) = (World::new(FIVE_MINUTES, 68).await, FIVE_MINUTES);
        let lines = rows(whole.exchange.as_ref(), asked).await.into_iter().flatten();
        let lines: Vec<String> = lines.map(|candle| line(&candle, archive)).collect();
        Arc::new(move |table: &mut Vec<String>| *table = lines.clone())
    });
    world.archive.spoil(Some(fault));
    for day in (1..31).step_by(4) {
        let day = format!("2024-10-{day:02}T00:00:00Z");
        let end = FIVE_MINUTES.step(super::at(&day), 288);
        let gone = ohlcv_domain::TimeRange::new(super::at(&day), end).unwrap();
        world.market.source.remove(super::asset("BTC"), FIVE_MINUTES.interval(), gone);
    }
    let right = rows(world.exchange.as_ref(), asked).await;
    assert_eq!(right.len(), 23 * 288);
    assert!(rows(&world.bulk(limits()), asked).await == right);
}

/// A candle as a line of a table.
fn line(candle: &ohlcv_domain::Candle, grid: ohlcv_domain::Grid) -> String {
    let details = candle.details().unwrap();
    let (open_time, end) = (candle.open_time(), grid.next(candle.open_time()).millis() - 1);
    let ohlcv_domain::Ohlc { open, high, low, close } = candle.prices();
    format!(
        "{},{open},{high},{low},{close},{},{end},{},{},{},{},0",
        open_time.millis(),
        candle.volume(),
        details.quote_volume,
        details.trades,
        details.taker_buy_volume,
        details.taker_buy_quote_volume
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_keeps_failing_is_left_alone() {
    let world = World::new(FIVE_MINUTES, 250).await;
    world.archive.spoil(Some(Fault::Forbidden));
    let asked = slots(FIVE_MINUTES, "2024-04-01T00:00:00Z", "2024-10-01T00:00:00Z");
    let right = rows(world.exchange.as_ref(), asked).await;
    assert!(rows(&world.bulk(limits()), asked).await == right);
    // Three of six files, two attempts each.
    assert_eq!(world.archive.asked().len(), 6, "{:?}", world.archive.asked());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_archive_the_exchange_is_asked_without_delay() {
    let world = World::new(FIVE_MINUTES, 250).await;
    let asked = slots(FIVE_MINUTES, "2024-04-01T00:00:00Z", "2024-10-01T00:00:00Z");
    let started = Instant::now();
    let right = rows(world.exchange.as_ref(), asked).await;
    let alone = started.elapsed();
    world.market.clock.advance(Duration::from_secs(60));
    let bulk = world.bulk(ArchiveLimits::default());
    let World { archive, .. } = world;
    archive.stop().await;
    let started = Instant::now();
    assert!(rows(&bulk, asked).await == right);
    let taken = started.elapsed();
    // Three files, each repeated once after half a second; the rest is what a busy machine needs.
    assert!(taken < alone * 3 + Duration::from_secs(3), "{taken:?} instead of {alone:?}");
}
