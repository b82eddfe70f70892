//! The one write of candles, as one transaction.

use ohlcv_domain::{
    Applied, Candle, Cause, Change, Commit, Finding, SlotRange, TimeRange, Timestamp, answered_until,
    changed_holes, settle_holes, slots_between, without_stored,
};
use ohlcv_ports::Take;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};

use super::history::{self, Replaced};
use super::{insert, leases, ledger, rows, series, unverified};

/// A transaction that writes: on SQLite it is the only writer from its first moment on, or a read
/// at its start could not be upgraded once somebody else wrote.
pub(super) async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    db.begin_with_options(options).await
}

pub(super) async fn apply(db: &DatabaseConnection, commit: &Commit) -> Result<Applied, DbErr> {
    let transaction = begin(db).await?;
    let asset = commit.asset();
    let before = series::lock(&transaction, asset).await?;
    let mut after = before.clone();
    leases::require(&transaction, commit.fence()).await?;

    let written = write_candles(&transaction, commit).await?;
    let settled = settle_ledger(&transaction, commit, before.summary.span).await?;
    unverified::take_off(&transaction, asset, &commit.answered()).await?;

    let summary = &mut after.summary;
    summary.span = settled.span;
    summary.listing = commit.listing().or(summary.listing);
    if commit.recount() {
        let count = rows::count(&transaction, asset, TimeRange::ALL).await?;
        (summary.candles, summary.first, summary.last) = (count.rows, count.first, count.last);
    } else {
        let open_times = || commit.candles().iter().map(Candle::open_time);
        summary.candles += written.applied.new;
        summary.first = summary.first.into_iter().chain(open_times()).min();
        summary.last = summary.last.into_iter().chain(open_times()).max();
    }
    if let Some(span) = summary.span {
        let tail = ledger::tail(&transaction, asset).await?;
        summary.answered_until = Some(answered_until(span.end(), tail));
    }

    let changed = [written.changed, settled.changed].into_iter().flatten().reduce(TimeRange::hull);
    let change = changed.map(|range| {
        after.change_seq += 1;
        Change { seq: after.change_seq, range, at: commit.observed_at() }
    });
    if let Some(change) = &change {
        series::log_change(&transaction, asset, change).await?;
    }
    if written.changed.is_some()
        && let Some(newest) = after.summary.last
    {
        series::note_fetched(&transaction, asset, newest, commit.observed_at()).await?;
    }
    if after != before {
        series::update(&transaction, &after, change.as_ref()).await?;
    }
    transaction.commit().await?;
    Ok(written.applied)
}

struct Written {
    applied: Applied,
    changed: Option<TimeRange>,
}

/// Writes the candles that are new or different; what is stored just so is left alone.
async fn write_candles(transaction: &DatabaseTransaction, commit: &Commit) -> Result<Written, DbErr> {
    let mut written = Written { applied: Applied::default(), changed: None };
    let (Some(first), Some(last)) = (commit.candles().first(), commit.candles().last()) else {
        return Ok(written);
    };
    let asset = commit.asset();
    let range = slot(commit.asked(), first.open_time()).hull(slot(commit.asked(), last.open_time()));
    let slots = commit.asked().len();
    let page = rows::Page { asset, range, take: Take::Oldest, limit: slots };
    let stored = rows::page(transaction, &page).await?;

    // Both ascend, so one look at each is enough.
    let mut stored = stored.into_iter().peekable();
    let mut fresh: Vec<Candle> = Vec::new();
    let mut replaced: Vec<Replaced> = Vec::new();
    for candle in commit.candles() {
        let open_time = candle.open_time();
        while stored.next_if(|old| old.open_time() < open_time).is_some() {}
        match stored.next_if(|old| old.open_time() == open_time) {
            Some(old) if candle.confirms(&old) => {
                written.applied.unchanged += 1;
                continue;
            }
            Some(old) => replaced.push(Replaced { old, new: *candle }),
            None => fresh.push(*candle),
        }
        let slot = slot(commit.asked(), open_time);
        written.changed = Some(written.changed.map_or(slot, |changed| changed.hull(slot)));
    }
    written.applied.new = fresh.len() as u64;
    written.applied.changed = replaced.len() as u64;
    let arrived: Vec<Timestamp> = fresh.iter().map(Candle::open_time).collect();
    history::note(transaction, commit, &arrived, &replaced).await?;
    insert::insert(transaction, asset, &fresh).await?;
    let replacing: Vec<Candle> = replaced.iter().map(|replaced| replaced.new).collect();
    insert::upsert(transaction, asset, &replacing).await?;
    Ok(written)
}

fn slot(asked: SlotRange, open_time: Timestamp) -> TimeRange {
    let end = asked.grid().next(open_time);
    TimeRange::new(open_time, end).unwrap_or(asked.time())
}

struct Settled {
    span: Option<TimeRange>,
    changed: Option<TimeRange>,
}

/// Writes what is now known of the holes, after the candles were written.
async fn settle_ledger(
    transaction: &impl ConnectionTrait,
    commit: &Commit,
    span: Option<TimeRange>,
) -> Result<Settled, DbErr> {
    let asked = commit.asked().time();
    if asked.is_empty() {
        return Ok(Settled { span, changed: None });
    }
    let asset = commit.asset();
    let grid = commit.asked().grid();
    let between = span.and_then(|span| slots_between(span, asked));
    let settled = between.map_or(asked, |between| between.hull(asked));
    let mut found: Vec<Finding> = commit.findings().to_vec();
    found.extend(between.map(unasked));
    found.sort_by_key(|finding| finding.range.start());
    if let (Some(first), Some(last)) = (found.first(), found.last()) {
        let range = first.range.hull(last.range);
        let stored = rows::open_times(transaction, asset, range).await?;
        found = without_stored(&found, grid, &stored);
    }
    let before = ledger::touching(transaction, asset, settled).await?;
    let after = settle_holes(&before, settled, &found, commit.observed_at());
    if after != before {
        ledger::replace(transaction, asset, &before, &after).await?;
    }
    let span = span.map_or(asked, |span| span.hull(asked));
    Ok(Settled { span: Some(span), changed: changed_holes(&before, &after) })
}

fn unasked(range: TimeRange) -> Finding {
    Finding { range, cause: Cause::Pending, detail: String::new() }
}
