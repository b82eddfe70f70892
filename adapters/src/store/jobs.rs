//! Jobs for those who ask for them.

use async_trait::async_trait;
use ohlcv_domain::JobId;
use ohlcv_ports::{Cancelling, Job, JobChanges, JobState, Jobs, NewJob, StoreError, Submitted};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};
use uuid::Uuid;

use super::apply::begin;
use super::job_rows::{
    self, find, forget_ended, insert, lock, name, newest_change, number_change, select, select_numbered,
};
use super::leases::statement;
use super::values::Dialect;
use super::{STATEMENT_TIME_MAX, SqlStore, within};

/// Those who submit take turns, or the queue would grow beyond its bound. Any number will do.
const SUBMIT_LOCK: i64 = 0x006f_686c_636a;

#[async_trait]
impl Jobs for SqlStore {
    async fn submit(
        &self,
        job: NewJob,
        idempotency_key: Option<String>,
        queued_max: u64,
    ) -> Result<Submitted, StoreError> {
        within(STATEMENT_TIME_MAX, async {
            let _turn = self.turn().await;
            submit(&self.db, &job, idempotency_key, queued_max).await
        })
        .await
    }

    async fn find(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        within(STATEMENT_TIME_MAX, find(&self.db, id)).await
    }

    async fn list(&self, limit: u64) -> Result<Vec<Job>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let newest = select(&self.db, "ORDER BY created_ms DESC, job.id LIMIT $1", vec![limit.into()]);
        within(STATEMENT_TIME_MAX, newest).await
    }

    async fn cancel(&self, id: JobId) -> Result<Option<Cancelling>, StoreError> {
        within(STATEMENT_TIME_MAX, async {
            let _turn = self.turn().await;
            cancel(&self.db, id).await
        })
        .await
    }

    async fn counts(&self) -> Result<Vec<(JobState, u64)>, StoreError> {
        within(STATEMENT_TIME_MAX, counts(&self.db)).await
    }

    async fn changes(&self, seq: u64, limit: u64) -> Result<JobChanges, StoreError> {
        within(STATEMENT_TIME_MAX, changes(&self.db, seq, limit)).await
    }
}

async fn submit(
    db: &DatabaseConnection,
    job: &NewJob,
    idempotency_key: Option<String>,
    queued_max: u64,
) -> Result<Submitted, DbErr> {
    let transaction = begin(db).await?;
    if Dialect::of(&transaction) == Dialect::Postgres {
        transaction.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({SUBMIT_LOCK})")).await?;
    }
    if let Some(key) = &idempotency_key {
        let same_key = vec![key.as_str().into()];
        if let Some(known) = select(&transaction, "WHERE idempotency_key = $1", same_key).await?.pop() {
            let assets: Vec<_> = known.assets.iter().map(|asset| asset.asset).collect();
            let same = known.work == job.work && assets == job.assets;
            return Ok(if same { Submitted::Repeated(known) } else { Submitted::KeyTaken(known.id) });
        }
    }
    let unended = "SELECT COUNT(*) AS jobs FROM job WHERE state IN ('queued', 'running')".to_owned();
    let unended = transaction.query_one_raw(statement(&transaction, unended, [])).await?;
    let unended = unended.map_or(Ok(0), |row| row.try_get::<i64>("", "jobs"))?.unsigned_abs();
    if unended >= queued_max {
        return Ok(Submitted::QueueFull(unended));
    }
    let id = new_id();
    insert(&transaction, id, job, JobState::Queued, idempotency_key).await?;
    number_change(&transaction, id).await?;
    forget_ended(&transaction, id).await?;
    let accepted = find(&transaction, id).await?;
    transaction.commit().await?;
    accepted.map(Submitted::Accepted).ok_or_else(|| written_a_moment_ago(id))
}

async fn cancel(db: &DatabaseConnection, id: JobId) -> Result<Option<Cancelling>, DbErr> {
    let transaction = begin(db).await?;
    if !lock(&transaction, id).await? {
        return Ok(None);
    }
    let Some(job) = find(&transaction, id).await? else { return Ok(None) };
    if job.state.is_final() {
        return Ok(Some(Cancelling::TooLate(job)));
    }
    if job.state == JobState::Running {
        let wish = "UPDATE job SET cancel_wished = $2 WHERE id = $1".to_owned();
        transaction.execute_raw(statement(&transaction, wish, [name(id), true.into()])).await?;
    } else {
        job_rows::cancel(&transaction, id).await?;
        number_change(&transaction, id).await?;
    }
    let job = find(&transaction, id).await?;
    transaction.commit().await?;
    Ok(job.map(Cancelling::Wished))
}

async fn counts(db: &DatabaseConnection) -> Result<Vec<(JobState, u64)>, DbErr> {
    let sql = "SELECT state, COUNT(*) AS jobs FROM job GROUP BY state".to_owned();
    let rows = db.query_all_raw(statement(db, sql, [])).await?;
    let count = |row: &sea_orm::QueryResult| -> Result<(JobState, u64), DbErr> {
        let state: String = row.try_get("", "state")?;
        let state = state.parse().map_err(|error| DbErr::Type(format!("jobs: {error}")))?;
        Ok((state, row.try_get::<i64>("", "jobs")?.unsigned_abs()))
    };
    rows.iter().map(count).collect()
}

async fn changes(db: &DatabaseConnection, seq: u64, limit: u64) -> Result<JobChanges, DbErr> {
    let bound = |number| i64::try_from(number).unwrap_or(i64::MAX).into();
    let jobs = match limit {
        0 => Vec::new(),
        _ => {
            let newer = "WHERE change_seq > $1 ORDER BY change_seq LIMIT $2";
            select_numbered(db, newer, vec![bound(seq), bound(limit)]).await?
        }
    };
    Ok(JobChanges { newest: newest_change(db).await?, jobs })
}

/// A name that no other job has, in whatever process it is made.
pub(super) fn new_id() -> JobId {
    JobId::from_u128(Uuid::new_v4().as_u128())
}

pub(super) fn written_a_moment_ago(id: JobId) -> DbErr {
    DbErr::RecordNotFound(format!("job {id}, written a moment ago"))
}
