//! Bulk archives in place of the exchange's API, over a socket: the same candles, whatever goes wrong.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

mod faults;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use ohlcv_adapters::binance::{
    Archive, ArchiveLimits, BinanceConfig, BinanceLimits, BinanceSource, BulkSource,
};
use ohlcv_domain::{Candle, Grid, Interval, Rejection, SlotRange};
use ohlcv_ports::testing::candle_source_contract::SourceFixture;
use ohlcv_ports::{CandleSource, Clock};
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::fake_archive::{ArchiveFault, FakeArchive};

use crate::backfill::whole_database;
use crate::market::{Market, asset, at, candles, dumped};

const FIVE_MINUTES: Grid = Grid::new(Interval::M5);
const MINUTE: Grid = Grid::new(Interval::M1);
/// The candle of 12:10 is open; October is published.
const NOW: &str = "2024-11-06T12:12:00Z";

ohlcv_ports::candle_source_contract!(fixture);

ohlcv_tests::on_each_database!(
    months_of_minutes_come_from_the_archive_and_equal_those_of_the_exchange,
    a_spoilt_archive_changes_nothing_in_the_database,
);

/// An exchange and its archive, both with the same candles.
struct World {
    market: Market,
    archive: FakeArchive,
    exchange: Arc<dyn CandleSource>,
}

type Row = Result<Candle, Rejection>;

impl World {
    async fn new(grid: Grid, days: u32) -> Self {
        let market = Market::new(grid, &["BTC"], NOW, days).await;
        let archive = FakeArchive::start(Arc::clone(&market.source) as Arc<dyn CandleSource>).await;
        let config = BinanceConfig {
            base_url: market.exchange.url(),
            quote: asset("USDT"),
            weight_per_minute: 6_000,
            request_delay: Duration::ZERO,
            concurrent_requests_max: NonZeroUsize::new(10).unwrap(),
            limits: BinanceLimits::default(),
        };
        let exchange = BinanceSource::new(config, Arc::clone(&market.local) as Arc<dyn Clock>).unwrap();
        Self { market, archive, exchange: Arc::new(exchange) }
    }

    fn bulk(&self, limits: ArchiveLimits) -> BulkSource {
        let clock = Arc::clone(&self.market.local) as Arc<dyn Clock>;
        let archive = Archive::new(&self.archive.url(), asset("USDT"), limits, clock).unwrap();
        BulkSource::new(archive, Arc::clone(&self.exchange))
    }
}

/// Production's limits, but in a hurry, and for small files.
fn limits() -> ArchiveLimits {
    ArchiveLimits {
        file_time_max: Duration::from_secs(5),
        retry_delay: Duration::from_millis(1),
        zip_bytes_max: 2 * 1024 * 1024,
        table_bytes_max: 4 * 1024 * 1024,
        ..ArchiveLimits::default()
    }
}

fn slots(grid: Grid, start: &str, end: &str) -> SlotRange {
    SlotRange::new(grid, at(start), at(end)).unwrap()
}

/// Every row that a source has for some slots, read as those read who ask ahead.
async fn rows(source: &dyn CandleSource, slots: SlotRange) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut left = slots;
    while !left.is_empty() {
        let page = source.page(asset("BTC"), source.page_within(left)).await.unwrap();
        assert!(page.answered_until > left.start(), "an answer goes on");
        rows.extend(page.rows);
        left = left.from(page.answered_until);
    }
    rows
}

async fn fixture() -> (SourceFixture, World) {
    let world = World::new(FIVE_MINUTES, 38).await;
    let mut known = candles(asset("BTC"), FIVE_MINUTES, at("2024-09-29T12:10:00Z"), at(NOW));
    let hole = slots(FIVE_MINUTES, "2024-10-10T00:00:00Z", "2024-10-10T00:15:00Z").time();
    world.market.source.remove(asset("BTC"), Interval::M5, hole);
    known.retain(|candle| !hole.contains(candle.open_time()));
    // The open candle is shown unfinished; no case looks at its numbers.
    let fixture = SourceFixture {
        source: Arc::new(world.bulk(limits())),
        now: at(NOW),
        asset: asset("BTC"),
        unknown: asset("DOGE"),
        interval: Interval::M5,
        candles: known,
    };
    (fixture, world)
}

async fn months_of_minutes_come_from_the_archive_and_equal_those_of_the_exchange(backend: Backend) {
    let world = World::new(MINUTE, 68).await;
    let database = TestDatabase::new(backend).await;
    let given = [
        ("CANDLE_INTERVAL", "1m"),
        ("INITIAL_BACKFILL_DAYS", "67"),
        ("BINANCE_ARCHIVE_BASE_URL", &world.archive.url()),
    ];
    let service = world.market.service(&database, &given).await;
    let report = service.backfill().await;
    assert!(!report.has_failures(), "{report:?}");

    let stored = database.dump().await;
    assert_eq!(stored.len(), 67 * 1_440);
    let mut known = dumped(asset("BTC"), &candles(asset("BTC"), MINUTE, at("2024-08-31T12:00:00Z"), at(NOW)));
    known.retain(|line| stored[0] <= *line && Some(line) <= stored.last());
    assert!(stored == known, "candle by candle");

    let mut zips: Vec<String> =
        world.archive.asked().into_iter().filter(|path| path.ends_with(".zip")).collect();
    // Both were on their way at once.
    zips.sort();
    let zip = |month| format!("/data/spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-{month}.zip");
    assert_eq!(zips, [zip("09"), zip("10")]);
    // The listing, the ends of August and October's follower, one sample a file: not the 97 pages of it all.
    let requests = world.market.exchange.klines_requests().len();
    assert!(requests <= 13, "{requests} requests");
}

async fn a_spoilt_archive_changes_nothing_in_the_database(backend: Backend) {
    let world = World::new(FIVE_MINUTES, 68).await;
    let url = world.archive.url();
    let days = [("CANDLE_INTERVAL", "5m"), ("INITIAL_BACKFILL_DAYS", "67")];
    let alone = TestDatabase::new(backend).await;
    assert!(!world.market.service(&alone, &days).await.backfill().await.has_failures());
    let wrong = ArchiveFault::Replaced(Arc::new(|lines: &mut Vec<String>| {
        lines.drain(2_000..2_100);
        faults::revise(lines, |_| true);
    }));
    world.archive.spoil(Some(wrong));
    let with_archive = TestDatabase::new(backend).await;
    let given = [days[0], days[1], ("BINANCE_ARCHIVE_BASE_URL", url.as_str())];
    assert!(!world.market.service(&with_archive, &given).await.backfill().await.has_failures());
    assert!(world.archive.asked().len() >= 4, "{:?}", world.archive.asked());
    assert_eq!(with_archive.dump().await, alone.dump().await);
    let (one, other) = (whole_database(&with_archive).await, whole_database(&alone).await);
    // How many writes there were is the change log's alone to tell.
    let holes = |rows: &[String]| rows.iter().filter(|row| row.contains("source_empty")).count();
    assert_eq!(holes(&one), holes(&other));
}
