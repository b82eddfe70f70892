//! The rows of `revision` and `arrival`: what series held earlier.

use ohlcv_domain::{Asset, Candle, Commit, JobId, Revision, TimeRange, Timestamp, slot_runs};
use ohlcv_ports::Take;
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, QueryResult};

use super::leases::statement;
use super::rows::{COLUMNS, candle_of, candle_values};
use super::values::{Dialect, text, time_from_millis};

/// A candle that is about to be replaced, and the one that takes its place.
pub(super) struct Replaced {
    pub(super) old: Candle,
    pub(super) new: Candle,
}

/// Notes what a commit brings: `arrived`, ascending, had no candle before.
pub(super) async fn note(
    transaction: &impl ConnectionTrait,
    commit: &Commit,
    arrived: &[Timestamp],
    replaced: &[Replaced],
) -> Result<(), DbErr> {
    note_arrivals(transaction, commit, arrived).await?;
    let contradicted: Vec<&Replaced> =
        replaced.iter().filter(|replaced| replaced.new.contradicts(&replaced.old)).collect();
    if contradicted.is_empty() {
        return Ok(());
    }
    let mut number = last_number(transaction, commit.asset()).await?;
    for Replaced { old, .. } in contradicted {
        number += 1;
        insert_revision(transaction, commit, old, number).await?;
    }
    Ok(())
}

/// A slot whose row had vanished keeps the time of its first arrival.
async fn note_arrivals(
    transaction: &impl ConnectionTrait,
    commit: &Commit,
    arrived: &[Timestamp],
) -> Result<(), DbErr> {
    let runs = slot_runs(commit.asked().grid(), arrived.iter().copied());
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return Ok(()) };
    let asset = commit.asset();
    // Runs are disjoint: the last that begins before all of these is the only one that can reach in.
    let known =
        "SELECT start_ms, end_ms FROM arrival WHERE asset = $1 AND start_ms < $3 AND start_ms >= COALESCE(
            (SELECT MAX(start_ms) FROM arrival WHERE asset = $1 AND start_ms <= $2), $2)
        ORDER BY start_ms";
    let all = first.hull(*last);
    let values: [Value; 3] = [text(asset).into(), all.start().millis().into(), all.end().millis().into()];
    let known = transaction.query_all_raw(statement(transaction, known.to_owned(), values)).await?;
    let known: Vec<TimeRange> = known.iter().map(range_of).collect::<Result<_, _>>()?;
    for run in runs.iter().flat_map(|run| run.without(known.iter().copied())) {
        let sql = "INSERT INTO arrival (asset, start_ms, end_ms, at_ms) VALUES ($1, $2, $3, $4)";
        let values: [Value; 4] = [
            text(asset).into(),
            run.start().millis().into(),
            run.end().millis().into(),
            commit.observed_at().millis().into(),
        ];
        transaction.execute_raw(statement(transaction, sql.to_owned(), values)).await?;
    }
    Ok(())
}

fn range_of(row: &QueryResult) -> Result<TimeRange, DbErr> {
    let start = time_from_millis("start_ms", row.try_get("", "start_ms")?)?;
    let end = time_from_millis("end_ms", row.try_get("", "end_ms")?)?;
    TimeRange::new(start, end).map_err(|error| DbErr::Type(format!("arrival: {error}")))
}

async fn last_number(transaction: &impl ConnectionTrait, asset: Asset) -> Result<i64, DbErr> {
    let sql = "SELECT COALESCE(MAX(number), 0) AS number FROM revision WHERE asset = $1".to_owned();
    let row = transaction.query_one_raw(statement(transaction, sql, [text(asset).into()])).await?;
    row.map_or(Ok(0), |row| row.try_get("", "number"))
}

async fn insert_revision(
    transaction: &impl ConnectionTrait,
    commit: &Commit,
    old: &Candle,
    number: i64,
) -> Result<(), DbErr> {
    let asset = commit.asset();
    let dialect = Dialect::of(transaction);
    let columns = COLUMNS.join(", ");
    let candle = candle_values(dialect, asset, old).to_vec();
    let places: Vec<String> = (1..=candle.len()).map(|place| format!("${place}")).collect();
    // It stood since it replaced another one, or since the slot got its first candle.
    let sql = format!(
        "INSERT INTO revision ({columns}, number, since_ms, until_ms, job_id)
        VALUES ({}, $12, COALESCE(
            (SELECT MAX(until_ms) FROM revision WHERE asset = $1 AND timestamp = $2),
            (SELECT CASE WHEN end_ms > $13 THEN at_ms END FROM arrival
                WHERE asset = $1 AND start_ms <= $13 ORDER BY start_ms DESC LIMIT 1)
        ), $14, $15)",
        places.join(", ")
    );
    let mut values = candle;
    values.extend([
        number.into(),
        old.open_time().millis().into(),
        commit.observed_at().millis().into(),
        commit.job().map(|job| job.to_string()).into(),
    ]);
    transaction.execute_raw(statement(transaction, sql, values)).await?;
    Ok(())
}

/// Candles as they stood at an instant; see [`ohlcv_domain::candle_at`], which says the same.
pub(super) async fn page_at(
    db: &impl ConnectionTrait,
    asset: Asset,
    range: TimeRange,
    take: Take,
    limit: u64,
    at: Timestamp,
) -> Result<Vec<Candle>, DbErr> {
    let dialect = Dialect::of(db);
    let columns = COLUMNS[1..].join(", ");
    let order = match take {
        Take::Oldest => "ASC",
        Take::Newest => "DESC",
    };
    let opens = dialect.millis_of("c.timestamp");
    // A run of arrivals that begins last before a slot is the only one that can hold it. Either part is
    // cut to the limit by itself, so that neither is read to its end.
    let sql = format!(
        "SELECT {columns} FROM (SELECT * FROM (
            SELECT {columns} FROM spot_ohlcv c
            WHERE c.asset = $1 AND c.timestamp >= $2 AND c.timestamp < $3
                AND NOT EXISTS (SELECT 1 FROM revision r
                    WHERE r.asset = $1 AND r.timestamp = c.timestamp AND r.until_ms > $4)
                AND COALESCE(
                    (SELECT MAX(r.until_ms) FROM revision r WHERE r.asset = $1 AND r.timestamp = c.timestamp),
                    (SELECT CASE WHEN a.end_ms > {opens} THEN a.at_ms END FROM arrival a
                        WHERE a.asset = $1 AND a.start_ms <= {opens} ORDER BY a.start_ms DESC LIMIT 1),
                    $4) <= $4
            ORDER BY c.timestamp {order} LIMIT $5) kept
            UNION ALL SELECT * FROM (
            SELECT {columns} FROM revision r
            WHERE r.asset = $1 AND r.timestamp >= $2 AND r.timestamp < $3
                AND r.until_ms > $4 AND COALESCE(r.since_ms, $4) <= $4
            ORDER BY r.timestamp {order} LIMIT $5) replaced
        ) stood ORDER BY timestamp {order} LIMIT $5"
    );
    let values: [Value; 5] = [
        text(asset).into(),
        dialect.time(range.start()),
        dialect.time(range.end()),
        at.millis().into(),
        i64::try_from(limit).unwrap_or(i64::MAX).into(),
    ];
    let rows = db.query_all_raw(statement(db, sql, values)).await?;
    let mut candles = rows.iter().map(candle_of).collect::<Result<Vec<_>, _>>()?;
    if take == Take::Newest {
        candles.reverse();
    }
    Ok(candles)
}

/// What is told of a revision beside its candle.
#[derive(Debug, FromQueryResult)]
struct RevisionRow {
    number: i64,
    since_ms: Option<i64>,
    until_ms: i64,
    job_id: Option<String>,
}

pub(super) async fn revisions(
    db: &impl ConnectionTrait,
    asset: Asset,
    range: TimeRange,
    after: u64,
    limit: u64,
) -> Result<Vec<Revision>, DbErr> {
    let dialect = Dialect::of(db);
    let sql = format!(
        "SELECT {}, number, since_ms, until_ms, job_id FROM revision
        WHERE asset = $1 AND timestamp >= $2 AND timestamp < $3 AND number > $4 ORDER BY number LIMIT $5",
        COLUMNS[1..].join(", ")
    );
    let count = |number: u64| Value::from(i64::try_from(number).unwrap_or(i64::MAX));
    let values = [
        text(asset).into(),
        dialect.time(range.start()),
        dialect.time(range.end()),
        count(after),
        count(limit),
    ];
    let rows = db.query_all_raw(statement(db, sql, values)).await?;
    rows.iter().map(|row| revision_of(asset, row)).collect()
}

fn revision_of(asset: Asset, row: &QueryResult) -> Result<Revision, DbErr> {
    let RevisionRow { number, since_ms, until_ms, job_id } = RevisionRow::from_query_result(row, "")?;
    let job = job_id.map(|id| id.parse::<JobId>()).transpose();
    Ok(Revision {
        number: number.unsigned_abs(),
        candle: candle_of(row)?,
        since: since_ms.map(|at| time_from_millis("since_ms", at)).transpose()?,
        until: time_from_millis("until_ms", until_ms)?,
        job: job.map_err(|error| DbErr::Type(format!("revision {number} of {asset}: {error}")))?,
    })
}
