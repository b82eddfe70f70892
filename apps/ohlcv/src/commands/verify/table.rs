//! A verification as a table, for people.

use std::fmt::Write;

use ohlcv_domain::Candle;
use ohlcv_usecases::{Fault, FaultCount, FaultKind, Verification};

use super::document::month_of;
use super::told_outcome;
use crate::cli::VerifyArgs;
use crate::commands::table::Columns;

const HINT: &str = "Nothing was changed; `ohlcv verify --repair` mends what can be mended.";
const LEFT: &str = "\
What is left was not mended. Rows that the exchange does not have, or that are no candles, are never deleted by
this program: look at them, delete them by hand, and run `ohlcv verify --repair` again.";

const SUMS: [&str; 8] =
    ["asset", "stored", "compared", "wrong rows", "wrong holes", "wrong sums", "mended", "outcome"];

/// Digests, then what is wrong one by one, then the sums.
pub(super) fn of(wanted: &VerifyArgs, found: &[Verification]) -> String {
    let mut rows = Vec::new();
    for asset in found {
        rows.extend(asset.digests.iter().map(|digest| {
            let month = month_of(digest.month);
            [asset.asset.to_string(), month, digest.candles.to_string(), digest.sha256.clone()]
        }));
    }
    let mut text = String::new();
    if !rows.is_empty() {
        text = Columns::titled(["asset", "month", "candles", "sha256"]).lines(&rows) + "\n";
    }
    let lines: Vec<String> = found.iter().flat_map(faults).collect();
    for line in &lines {
        text.push_str(line);
        text.push('\n');
    }
    if !lines.is_empty() {
        text.push('\n');
    }
    text.push_str(&Columns::titled(SUMS).lines(&sums(found)));
    let total = |count: fn(&Verification) -> u64| found.iter().map(count).fold(0, u64::saturating_add);
    let (wrong, mended) = (total(wrong), total(mended));
    if wrong > mended {
        text.push_str(&format!("\n{}\n", if wanted.repair { LEFT } else { HINT }));
    }
    text.trim_end().to_owned()
}

fn wrong(found: &Verification) -> u64 {
    found.faults.total().found.saturating_add(found.summary.len() as u64)
}

fn mended(found: &Verification) -> u64 {
    let summary = found.summary.iter().filter(|fault| fault.mended).count() as u64;
    found.faults.total().mended.saturating_add(summary)
}

fn sums(found: &[Verification]) -> Vec<[String; 8]> {
    let mut rows = Vec::with_capacity(found.len());
    for asset in found {
        let of = |ledger: bool| -> u64 {
            let kinds = FaultKind::ALL.into_iter().filter(|kind| kind.is_of_ledger() == ledger);
            kinds.map(|kind| asset.faults.of(kind).found).fold(0, u64::saturating_add)
        };
        let (outcome, reason) = told_outcome(&asset.outcome);
        let outcome = match reason {
            Some(reason) => format!("{outcome}: {reason}"),
            None if asset.is_clean() => "clean".to_owned(),
            None => "faults".to_owned(),
        };
        rows.push([
            asset.asset.to_string(),
            asset.stored.to_string(),
            asset.compared.to_string(),
            of(false).to_string(),
            of(true).to_string(),
            asset.summary.len().to_string(),
            mended(asset).to_string(),
            outcome,
        ]);
    }
    rows
}

/// A line for each fault that is kept, and for each kind how many were not.
fn faults(found: &Verification) -> Vec<String> {
    let asset = found.asset;
    let mut lines: Vec<String> =
        found.faults.kept().iter().map(|fault| format!("{asset} {}", told(fault))).collect();
    for (kind, FaultCount { found: all, .. }) in found.faults.counts() {
        let kept = found.faults.kept().iter().filter(|fault| fault.kind == *kind).count() as u64;
        if *all > kept {
            lines.push(format!("{asset} … and {} more: {kind}", all.saturating_sub(kept)));
        }
    }
    for fault in &found.summary {
        let stored = if fault.stored.is_empty() { "empty" } else { &fault.stored };
        let counted = if fault.counted.is_empty() { "empty" } else { &fault.counted };
        let mended = if fault.mended { " (mended)" } else { "" };
        lines.push(format!("{asset} summary: {} is {stored}, not {counted}{mended}", fault.field));
    }
    lines
}

fn told(fault: &Fault) -> String {
    let mut text = match fault.kind.is_of_ledger() {
        true => format!("{} {}", fault.range, fault.kind),
        false => format!("{} {}", fault.range.start(), fault.kind),
    };
    let said = match (&fault.stored, &fault.source) {
        (Some(stored), Some(source)) => different(stored, source),
        (Some(one), None) | (None, Some(one)) => {
            format!("{} {} {} {} volume {}", one.open(), one.high(), one.low(), one.close(), one.volume())
        }
        (None, None) => String::new(),
    };
    for part in [said, fault.detail.clone()] {
        if !part.is_empty() {
            // Writing to a text cannot fail.
            let _ = write!(text, ": {part}");
        }
    }
    if fault.mended {
        text.push_str(" (mended)");
    }
    text
}

/// The numbers in which two candles differ.
fn different(stored: &Candle, source: &Candle) -> String {
    let details = |candle: &Candle| {
        let told = candle.details().map(|known| {
            [
                known.quote_volume.to_string(),
                known.trades.to_string(),
                known.taker_buy_volume.to_string(),
                known.taker_buy_quote_volume.to_string(),
            ]
        });
        told.unwrap_or_else(|| ["unknown"; 4].map(str::to_owned))
    };
    let numbers = |candle: &Candle| {
        let prices =
            [candle.open(), candle.high(), candle.low(), candle.close()].map(|price| price.to_string());
        let mut numbers = prices.to_vec();
        numbers.push(candle.volume().to_string());
        numbers.extend(details(candle));
        numbers
    };
    let names = [
        "open",
        "high",
        "low",
        "close",
        "volume",
        "quote_volume",
        "trades",
        "taker_buy_volume",
        "taker_buy_quote_volume",
    ];
    let pairs = names.iter().zip(numbers(stored)).zip(numbers(source));
    let pairs = pairs.filter(|((_, stored), source)| stored != source);
    let told = pairs.map(|((name, stored), source)| format!("{name} {stored}, at the source {source}"));
    told.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        let at = "2024-11-01T00:00:00Z".parse().unwrap();
        let [stored, source] = ["1", "2"].map(|price| Candle::flat(at, price.parse().unwrap()));
        assert!(different(&stored, &source).starts_with("open 1.00000000, at the source 2.00000000; high"));
        assert!(!different(&stored, &source).contains("volume"));
        assert_eq!(different(&stored, &stored), "");
    }
}
