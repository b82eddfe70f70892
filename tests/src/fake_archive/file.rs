//! A file of the archive: its lines, its bytes, its checksum.

use std::io::{Cursor, Write};

use ohlcv_domain::{Asset, Candle, Grid, Interval, SlotRange, TimeRange, Timestamp};
use ohlcv_ports::CandleSource;
use sha2::{Digest, Sha256};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Since then times are in microseconds.
const MICROSECONDS_SINCE: i64 = 1_735_689_600_000;
/// How many answers of the source a file may take.
const ANSWERS_MAX: usize = 100_000;

/// What a path asks for.
#[derive(Debug)]
pub(super) struct Asked {
    /// The name without an ending.
    pub(super) name: String,
    pub(super) asset: Asset,
    pub(super) slots: SlotRange,
}

impl Asked {
    /// Reads `/data/spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-12.zip` and its like.
    pub(super) fn of(path: &str, quote: Asset) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix("/data/spot/")?.split('/').collect();
        let &[folder, "klines", symbol, interval, file] = parts.as_slice() else { return None };
        let name = file.strip_suffix(".zip")?;
        let stamp = name.strip_prefix(&format!("{symbol}-{interval}-"))?;
        let (periods, start) = match folder {
            "monthly" => (Interval::Mo1, format!("{stamp}-01T00:00:00Z")),
            "daily" => (Interval::D1, format!("{stamp}T00:00:00Z")),
            _ => return None,
        };
        let interval = if interval == "1mo" { Interval::Mo1 } else { interval.parse().ok()? };
        let start: Timestamp = start.parse().ok()?;
        let time = TimeRange::new(start, Grid::new(periods).next(start)).ok()?;
        let asset = symbol.strip_suffix(quote.as_str())?.parse().ok()?;
        Some(Self { name: name.to_owned(), asset, slots: Grid::new(interval).slots_in(time) })
    }

    /// The lines of the table; none if the source has no such candles.
    pub(super) async fn lines(&self, source: &dyn CandleSource) -> Option<Vec<String>> {
        let mut lines = Vec::new();
        let mut left = self.slots;
        for _ in 0..ANSWERS_MAX {
            if left.is_empty() {
                break;
            }
            let page = source.page(self.asset, left).await.ok()?;
            let answered = left.before(page.answered_until);
            let candles = page.rows.iter().flatten();
            let inside = candles.filter(|candle| answered.time().contains(candle.open_time()));
            lines.extend(inside.map(|candle| line(candle, self.slots.grid())));
            left = left.from(page.answered_until);
        }
        (!lines.is_empty()).then_some(lines)
    }
}

/// A candle as a line: in milliseconds until 2024, in microseconds since.
fn line(candle: &Candle, grid: Grid) -> String {
    let open = candle.open_time().millis();
    let close = grid.next(candle.open_time()).millis();
    let (open, close) =
        if open < MICROSECONDS_SINCE { (open, close - 1) } else { (open * 1_000, close * 1_000 - 1) };
    let details = candle.details().unwrap_or_default();
    format!(
        "{open},{},{},{},{},{},{close},{},{},{},{},0",
        candle.open(),
        candle.high(),
        candle.low(),
        candle.close(),
        candle.volume(),
        details.quote_volume,
        details.trades,
        details.taker_buy_volume,
        details.taker_buy_quote_volume,
    )
}

/// A zip of one table.
pub(super) fn pack(name: &str, table: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(format!("{name}.csv"), SimpleFileOptions::default()).expect("a name can be written");
    zip.write_all(table).expect("memory can be written");
    zip.finish().expect("memory can be written").into_inner()
}

/// The text of a CHECKSUM.
pub(super) fn checksum(name: &str, zip: &[u8]) -> String {
    let digest: String = Sha256::digest(zip).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{digest}  {name}.zip\n")
}
