//! A verification as JSON, for machines.

use std::collections::BTreeMap;

use ohlcv_domain::{Candle, Timestamp};
use ohlcv_usecases::{Fault, MonthDigest, SummaryFault, Verification};
use serde::Serialize;

use super::told_outcome;
use crate::cli::VerifyArgs;
use crate::settings::Settings;

#[derive(Serialize)]
struct Document {
    interval: String,
    quote_asset: String,
    start: Option<String>,
    end: Option<String>,
    repair: bool,
    clean: bool,
    assets: Vec<Asset>,
}

#[derive(Serialize)]
struct Asset {
    asset: String,
    clean: bool,
    outcome: &'static str,
    reason: Option<String>,
    stored: u64,
    compared: u64,
    counts: BTreeMap<&'static str, Count>,
    /// The first ones; `counts` counts all.
    faults: Vec<OneFault>,
    summary: Vec<Field>,
    written: Written,
    digests: Vec<Month>,
}

#[derive(Serialize)]
struct Count {
    found: u64,
    mended: u64,
}

#[derive(Serialize)]
struct OneFault {
    kind: &'static str,
    start: String,
    end: String,
    stored: Option<Row>,
    source: Option<Row>,
    detail: String,
    mended: bool,
}

#[derive(Serialize)]
struct Row {
    timestamp: String,
    open: String,
    high: String,
    low: String,
    close: String,
    volume: String,
    quote_volume: Option<String>,
    trades: Option<u32>,
    taker_buy_volume: Option<String>,
    taker_buy_quote_volume: Option<String>,
}

#[derive(Serialize)]
struct Field {
    field: &'static str,
    stored: String,
    counted: String,
    mended: bool,
}

#[derive(Serialize)]
struct Written {
    new: u64,
    changed: u64,
}

#[derive(Serialize)]
struct Month {
    month: String,
    candles: u64,
    sha256: String,
}

/// The document, on lines of its own.
pub(super) fn of(settings: &Settings, wanted: &VerifyArgs, found: &[Verification]) -> anyhow::Result<String> {
    let document = Document {
        interval: settings.candle_interval.to_string(),
        quote_asset: settings.quote_asset.to_string(),
        start: wanted.start.map(|at| at.to_string()),
        end: wanted.end.map(|at| at.to_string()),
        repair: wanted.repair,
        clean: found.iter().all(Verification::is_clean),
        assets: found.iter().map(asset).collect(),
    };
    Ok(serde_json::to_string_pretty(&document)?)
}

fn asset(found: &Verification) -> Asset {
    let (outcome, reason) = told_outcome(&found.outcome);
    let counts = found.faults.counts().iter();
    let counts =
        counts.map(|(kind, count)| (kind.as_str(), Count { found: count.found, mended: count.mended }));
    Asset {
        asset: found.asset.to_string(),
        clean: found.is_clean(),
        outcome,
        reason,
        stored: found.stored,
        compared: found.compared,
        counts: counts.collect(),
        faults: found.faults.kept().iter().map(one_fault).collect(),
        summary: found.summary.iter().map(field).collect(),
        written: Written { new: found.written.new, changed: found.written.changed },
        digests: found.digests.iter().map(month).collect(),
    }
}

fn one_fault(fault: &Fault) -> OneFault {
    OneFault {
        kind: fault.kind.as_str(),
        start: fault.range.start().to_string(),
        end: fault.range.end().to_string(),
        stored: fault.stored.as_ref().map(row),
        source: fault.source.as_ref().map(row),
        detail: fault.detail.clone(),
        mended: fault.mended,
    }
}

fn row(candle: &Candle) -> Row {
    let details = candle.details();
    Row {
        timestamp: candle.open_time().to_string(),
        open: candle.open().to_string(),
        high: candle.high().to_string(),
        low: candle.low().to_string(),
        close: candle.close().to_string(),
        volume: candle.volume().to_string(),
        quote_volume: details.map(|known| known.quote_volume.to_string()),
        trades: details.map(|known| known.trades),
        taker_buy_volume: details.map(|known| known.taker_buy_volume.to_string()),
        taker_buy_quote_volume: details.map(|known| known.taker_buy_quote_volume.to_string()),
    }
}

fn field(fault: &SummaryFault) -> Field {
    Field {
        field: fault.field,
        stored: fault.stored.clone(),
        counted: fault.counted.clone(),
        mended: fault.mended,
    }
}

fn month(digest: &MonthDigest) -> Month {
    Month { month: month_of(digest.month), candles: digest.candles, sha256: digest.sha256.clone() }
}

/// `2024-11` of an instant in it.
pub(super) fn month_of(at: Timestamp) -> String {
    at.to_datetime().format("%Y-%m").to_string()
}
