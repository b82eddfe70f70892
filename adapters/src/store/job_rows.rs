//! The rows of `job` and `job_asset`, read and written.

use std::collections::BTreeMap;
use std::time::Duration;

use ohlcv_domain::{JobId, TimeRange};
use ohlcv_ports::{Job, JobAsset, JobState, NewJob, Work};
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, QueryResult};

use super::leases::statement;
use super::values::{Dialect, millis, text, time_from_millis};

/// How long an ended job is kept, and with it its idempotency key.
const ENDED_KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How many ended jobs are kept.
const ENDED_KEPT_MAX: u32 = 1_000;
/// How many are forgotten at a time: more than end meanwhile.
const FORGOTTEN_AT_ONCE_MAX: u32 = 20;

/// What a job's name stands behind in the name of its lease.
pub(super) const LEASE_PREFIX: &str = "job ";

/// A job without its assets.
#[derive(Debug, FromQueryResult)]
struct JobRow {
    id: String,
    kind: String,
    start_ms: Option<i64>,
    end_ms: Option<i64>,
    days: Option<i64>,
    forced: bool,
    state: String,
    attempts: i64,
    created_ms: i64,
    started_ms: Option<i64>,
    finished_ms: Option<i64>,
    change_seq: i64,
}

/// Who changes jobs takes turns with the numbers of changes, until it has committed. Any number will do.
const CHANGE_LOCK: i64 = 0x006f_686c_636b;

impl JobRow {
    fn into_job(self, assets: Vec<JobAsset>) -> Result<Job, DbErr> {
        let state: JobState = self.state.parse().map_err(|error| self.impossible(&error))?;
        let time = |column, at: Option<i64>| at.map(|at| time_from_millis(column, at)).transpose();
        Ok(Job {
            id: self.id.parse().map_err(|error| self.impossible(&error))?,
            work: self.work()?,
            state,
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
            created_at: time_from_millis("created_ms", self.created_ms)?,
            started_at: time("started_ms", self.started_ms)?,
            finished_at: time("finished_ms", self.finished_ms)?,
            assets: assets.into_iter().map(|asset| seen_in(state, asset)).collect(),
        })
    }

    fn work(&self) -> Result<Work, DbErr> {
        match self.kind.as_str() {
            "catch_up" => Ok(Work::CatchUp),
            "range" => {
                let bound = |column, at: Option<i64>| {
                    time_from_millis(column, at.ok_or_else(|| self.impossible(&"a range without a bound"))?)
                };
                let (start, end) = (bound("start_ms", self.start_ms)?, bound("end_ms", self.end_ms)?);
                let range = TimeRange::new(start, end).map_err(|error| self.impossible(&error))?;
                Ok(Work::Range(range))
            }
            "backfill" => {
                let days = self.days.map(u32::try_from).transpose();
                Ok(Work::Backfill {
                    days: days.map_err(|error| self.impossible(&error))?,
                    force: self.forced,
                })
            }
            other => Err(self.impossible(&format_args!("there is no kind {other}"))),
        }
    }

    fn impossible(&self, what: &dyn std::fmt::Display) -> DbErr {
        DbErr::Type(format!("job {}: {what}", self.id))
    }
}

/// Nobody works on an asset of a job that waits, whatever its dead worker noted.
fn seen_in(job: JobState, asset: JobAsset) -> JobAsset {
    match (job, asset.state) {
        (JobState::Queued, JobState::Running) => JobAsset { state: JobState::Queued, ..asset },
        _ => asset,
    }
}

/// Jobs for which `condition` holds, in that order. A running one whose lease ran out counts as
/// queued: its worker died.
pub(super) async fn select(
    db: &impl ConnectionTrait,
    condition: &str,
    values: Vec<Value>,
) -> Result<Vec<Job>, DbErr> {
    let numbered = select_numbered(db, condition, values).await?;
    Ok(numbered.into_iter().map(|(_, job)| job).collect())
}

/// The same, each with the number of its last change.
pub(super) async fn select_numbered(
    db: &impl ConnectionTrait,
    condition: &str,
    values: Vec<Value>,
) -> Result<Vec<(u64, Job)>, DbErr> {
    let sql = format!(
        "SELECT job.id, kind, start_ms, end_ms, days, forced, attempts, created_ms, started_ms, finished_ms,
            change_seq,
            CASE WHEN state = 'running' AND COALESCE(lease.expires_ms, 0) <= {} THEN 'queued' ELSE state END AS state
        FROM job LEFT JOIN lease ON lease.name = '{LEASE_PREFIX}' || job.id {condition}",
        Dialect::of(db).now_millis()
    );
    let rows = db.query_all_raw(statement(db, sql, values)).await?;
    let rows: Vec<JobRow> =
        rows.iter().map(|row| JobRow::from_query_result(row, "")).collect::<Result<_, _>>()?;
    let mut assets = assets_of(db, rows.iter().map(|row| row.id.as_str())).await?;
    rows.into_iter()
        .map(|row| {
            let assets = assets.remove(&row.id);
            Ok((row.change_seq.unsigned_abs(), row.into_job(assets.unwrap_or_default())?))
        })
        .collect()
}

pub(super) async fn find(db: &impl ConnectionTrait, id: JobId) -> Result<Option<Job>, DbErr> {
    Ok(select(db, "WHERE job.id = $1", vec![name(id)]).await?.pop())
}

async fn assets_of<'a>(
    db: &impl ConnectionTrait,
    jobs: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, Vec<JobAsset>>, DbErr> {
    let mut of_jobs: BTreeMap<String, Vec<JobAsset>> = BTreeMap::new();
    let jobs: Vec<Value> = jobs.map(Value::from).collect();
    if jobs.is_empty() {
        return Ok(of_jobs);
    }
    let places: Vec<String> = (1..=jobs.len()).map(|place| format!("${place}")).collect();
    let sql = format!(
        "SELECT job_id, asset, state, done, expected, error FROM job_asset
        WHERE job_id IN ({}) ORDER BY job_id, position",
        places.join(", ")
    );
    for row in db.query_all_raw(statement(db, sql, jobs)).await? {
        let job: String = row.try_get("", "job_id")?;
        let asset = job_asset(&row, &job)?;
        of_jobs.entry(job).or_default().push(asset);
    }
    Ok(of_jobs)
}

fn job_asset(row: &QueryResult, job: &str) -> Result<JobAsset, DbErr> {
    let word = |column| -> Result<String, DbErr> { row.try_get("", column) };
    let number = |column| -> Result<u64, DbErr> { Ok(row.try_get::<i64>("", column)?.unsigned_abs()) };
    let impossible = |what: &dyn std::fmt::Display| DbErr::Type(format!("an asset of job {job}: {what}"));
    Ok(JobAsset {
        asset: word("asset")?.parse().map_err(|error| impossible(&error))?,
        state: word("state")?.parse().map_err(|error| impossible(&error))?,
        done: number("done")?,
        expected: number("expected")?,
        error: row.try_get("", "error")?,
    })
}

/// A new job and its assets.
pub(super) async fn insert(
    transaction: &impl ConnectionTrait,
    id: JobId,
    job: &NewJob,
    state: JobState,
    idempotency_key: Option<String>,
) -> Result<(), DbErr> {
    let (range, days, forced) = match job.work {
        Work::CatchUp => (None, None, false),
        Work::Range(range) => (Some(range), None, false),
        Work::Backfill { days, force } => (None, days, force),
    };
    let now = Dialect::of(transaction).now_millis();
    let sql = format!(
        "INSERT INTO job (id, kind, start_ms, end_ms, days, forced, state, urgency, attempts, not_before_ms,
            cancel_wished, idempotency_key, created_ms, started_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, {now}, {})",
        if state == JobState::Running { now } else { "NULL" }
    );
    let values: Vec<Value> = vec![
        name(id),
        job.work.kind().into(),
        range.map(|range| range.start().millis()).into(),
        range.map(|range| range.end().millis()).into(),
        days.map(i64::from).into(),
        forced.into(),
        state.as_str().into(),
        i64::from(!job.work.is_interactive()).into(),
        i64::from(state == JobState::Running).into(),
        false.into(),
        idempotency_key.into(),
    ];
    transaction.execute_raw(statement(transaction, sql, values)).await?;
    for (position, asset) in (0_i64..).zip(&job.assets) {
        let sql = "INSERT INTO job_asset (job_id, asset, position, state, done, expected)
            VALUES ($1, $2, $3, 'queued', 0, 0)";
        let values = [name(id), text(*asset).into(), position.into()];
        transaction.execute_raw(statement(transaction, sql.to_owned(), values)).await?;
    }
    Ok(())
}

/// How the work on some assets stands.
pub(super) async fn write_assets(
    transaction: &impl ConnectionTrait,
    id: JobId,
    assets: &[JobAsset],
) -> Result<(), DbErr> {
    for JobAsset { asset, state, done, expected, error } in assets {
        let sql = "UPDATE job_asset SET state = $3, done = $4, expected = $5, error = $6
            WHERE job_id = $1 AND asset = $2";
        let values: [Value; 6] = [
            name(id),
            text(*asset).into(),
            state.as_str().into(),
            count(*done),
            count(*expected),
            error.clone().into(),
        ];
        transaction.execute_raw(statement(transaction, sql.to_owned(), values)).await?;
    }
    Ok(())
}

/// Gives a change of a job its number, above those of all changes before. Who changes a job meanwhile waits
/// for the end of the transaction, so that numbers come to light in order: to be called when the change is
/// made, but before others are forgotten, or the highest number could go with one of them and come again.
pub(super) async fn number_change(transaction: &impl ConnectionTrait, id: JobId) -> Result<(), DbErr> {
    if Dialect::of(transaction) == Dialect::Postgres {
        transaction.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({CHANGE_LOCK})")).await?;
    }
    let sql = "UPDATE job SET change_seq = (SELECT MAX(change_seq) + 1 FROM job) WHERE id = $1".to_owned();
    transaction.execute_raw(statement(transaction, sql, [name(id)])).await?;
    Ok(())
}

/// The number of the newest change of all jobs.
pub(super) async fn newest_change(db: &impl ConnectionTrait) -> Result<u64, DbErr> {
    let sql = "SELECT COALESCE(MAX(change_seq), 0) AS newest FROM job".to_owned();
    let row = db.query_one_raw(statement(db, sql, [])).await?;
    Ok(row.map_or(Ok(0), |row| row.try_get::<i64>("", "newest"))?.unsigned_abs())
}

/// Keeps others from a job until the transaction ends. False if there is no such job.
pub(super) async fn lock(transaction: &impl ConnectionTrait, id: JobId) -> Result<bool, DbErr> {
    let lock = match Dialect::of(transaction) {
        // The transaction is the only writer anyway.
        Dialect::Sqlite => "",
        Dialect::Postgres => "FOR UPDATE",
    };
    let sql = format!("SELECT id FROM job WHERE id = $1 {lock}");
    Ok(transaction.query_one_raw(statement(transaction, sql, [name(id)])).await?.is_some())
}

pub(super) fn name(id: JobId) -> Value {
    id.to_string().into()
}

/// The name of the lease under which a job is held.
pub(super) fn lease(id: JobId) -> String {
    format!("{LEASE_PREFIX}{id}")
}

fn count(number: u64) -> Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

/// Ends a job so.
pub(super) async fn end(transaction: &impl ConnectionTrait, id: JobId, state: JobState) -> Result<(), DbErr> {
    let now = Dialect::of(transaction).now_millis();
    let sql = format!("UPDATE job SET state = $2, finished_ms = {now} WHERE id = $1");
    transaction.execute_raw(statement(transaction, sql, [name(id), state.as_str().into()])).await?;
    Ok(())
}

/// Ends a job that nobody works on, because somebody wished so.
pub(super) async fn cancel(transaction: &impl ConnectionTrait, id: JobId) -> Result<(), DbErr> {
    end(transaction, id, JobState::Cancelled).await?;
    let assets = "UPDATE job_asset SET state = 'cancelled'
        WHERE job_id = $1 AND state IN ('queued', 'running')";
    transaction.execute_raw(statement(transaction, assets.to_owned(), [name(id)])).await?;
    Ok(())
}

/// Forgets ended jobs that are too old or too many, but never `kept`: the one whose change was numbered last.
pub(super) async fn forget_ended(transaction: &impl ConnectionTrait, kept: JobId) -> Result<(), DbErr> {
    let dialect = Dialect::of(transaction);
    let lock = match dialect {
        Dialect::Sqlite => "",
        // What another one forgets just now is passed over.
        Dialect::Postgres => "FOR UPDATE SKIP LOCKED",
    };
    let sql = format!(
        "SELECT id FROM job WHERE id <> $1 AND finished_ms IS NOT NULL AND (finished_ms < {} - $2 OR id NOT IN
            (SELECT id FROM job WHERE finished_ms IS NOT NULL ORDER BY finished_ms DESC LIMIT {ENDED_KEPT_MAX}))
        LIMIT {FORGOTTEN_AT_ONCE_MAX} {lock}",
        dialect.now_millis()
    );
    let values = [name(kept), millis(ENDED_KEPT_FOR).into()];
    let old = transaction.query_all_raw(statement(transaction, sql, values)).await?;
    for row in old {
        let id: String = row.try_get("", "id")?;
        for sql in [
            "DELETE FROM job_asset WHERE job_id = $1",
            "DELETE FROM job WHERE id = $1",
            "DELETE FROM lease WHERE name = 'job ' || $1",
        ] {
            let values = [Value::from(id.as_str())];
            transaction.execute_raw(statement(transaction, sql.to_owned(), values)).await?;
        }
    }
    Ok(())
}
