//! Jobs for those who do the work.

use std::time::Duration;

use async_trait::async_trait;
use ohlcv_domain::{Fence, JobId};
use ohlcv_ports::{ClaimedJob, JobAsset, JobEnd, JobQueue, JobState, NewJob, StoreError};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};

use super::apply::begin;
use super::job_rows::{
    LEASE_PREFIX, cancel, end, find, forget_ended, insert, lease, lock, name, number_change, write_assets,
};
use super::jobs::{new_id, written_a_moment_ago};
use super::leases::{self, statement};
use super::values::{Dialect, millis};
use super::{STATEMENT_TIME_MAX, SqlStore, within};

#[async_trait]
impl JobQueue for SqlStore {
    async fn claim(&self, holder: &str, lasts: Duration) -> Result<Option<ClaimedJob>, StoreError> {
        within(STATEMENT_TIME_MAX, async {
            // Most looks find nothing; a reader keeps no writer waiting.
            if next(&self.db, "").await?.is_none() {
                return Ok(None);
            }
            let _turn = self.turn().await;
            claim(&self.db, holder, lasts).await
        })
        .await
    }

    async fn start(&self, job: NewJob, holder: &str, lasts: Duration) -> Result<ClaimedJob, StoreError> {
        within(STATEMENT_TIME_MAX, async {
            let _turn = self.turn().await;
            start(&self.db, &job, holder, lasts).await
        })
        .await
    }

    async fn record(&self, id: JobId, fence: &Fence, assets: &[JobAsset]) -> Result<bool, StoreError> {
        within(STATEMENT_TIME_MAX, async {
            let _turn = self.turn().await;
            record(&self.db, id, fence, assets).await
        })
        .await
    }

    async fn finish(
        &self,
        id: JobId,
        fence: &Fence,
        end: JobEnd,
        assets: &[JobAsset],
    ) -> Result<(), StoreError> {
        within(STATEMENT_TIME_MAX, async {
            let _turn = self.turn().await;
            finish(&self.db, id, fence, end, assets).await
        })
        .await
    }
}

/// The name of the job that is next; `lock` keeps it from others.
async fn next(db: &impl ConnectionTrait, lock: &str) -> Result<Option<JobId>, DbErr> {
    let now = Dialect::of(db).now_millis();
    let sql = format!(
        "SELECT job.id FROM job LEFT JOIN lease ON lease.name = '{LEASE_PREFIX}' || job.id
        WHERE ((state = 'queued' AND not_before_ms <= {now}) OR state = 'running')
            AND COALESCE(lease.expires_ms, 0) <= {now}
        ORDER BY urgency, created_ms, job.id LIMIT 1 {lock}"
    );
    let Some(row) = db.query_one_raw(statement(db, sql, [])).await? else { return Ok(None) };
    let id: String = row.try_get("", "id")?;
    id.parse().map(Some).map_err(|error| DbErr::Type(format!("job: {error}")))
}

async fn claim(db: &DatabaseConnection, holder: &str, lasts: Duration) -> Result<Option<ClaimedJob>, DbErr> {
    let transaction = begin(db).await?;
    let lock = match Dialect::of(&transaction) {
        Dialect::Sqlite => "",
        // What another worker is about to claim is passed over.
        Dialect::Postgres => "FOR UPDATE OF job SKIP LOCKED",
    };
    let Some(id) = next(&transaction, lock).await? else { return Ok(None) };
    let Some(fence) = leases::acquire(&transaction, &lease(id), holder, lasts).await? else {
        return Ok(None);
    };
    if cancel_wished(&transaction, id).await? {
        // Its worker died before it heard of it.
        cancel(&transaction, id).await?;
        number_change(&transaction, id).await?;
        transaction.commit().await?;
        return Ok(None);
    }
    let now = Dialect::of(&transaction).now_millis();
    let sql = format!(
        "UPDATE job SET state = 'running', attempts = attempts + 1, started_ms = COALESCE(started_ms, {now})
        WHERE id = $1"
    );
    transaction.execute_raw(statement(&transaction, sql, [name(id)])).await?;
    let job = match find(&transaction, id).await {
        // Written by another version, or by hand: it must not keep the others from their turn.
        Err(DbErr::Type(_)) => {
            end(&transaction, id, JobState::Failed).await?;
            number_change(&transaction, id).await?;
            transaction.commit().await?;
            return Ok(None);
        }
        job => job?,
    };
    number_change(&transaction, id).await?;
    transaction.commit().await?;
    job.map(|job| Some(ClaimedJob { job, fence })).ok_or_else(|| written_a_moment_ago(id))
}

async fn start(
    db: &DatabaseConnection,
    job: &NewJob,
    holder: &str,
    lasts: Duration,
) -> Result<ClaimedJob, DbErr> {
    let transaction = begin(db).await?;
    let id = new_id();
    insert(&transaction, id, job, JobState::Running, None).await?;
    let fence = leases::acquire(&transaction, &lease(id), holder, lasts).await?;
    let job = find(&transaction, id).await?;
    number_change(&transaction, id).await?;
    transaction.commit().await?;
    let claimed = job.zip(fence).map(|(job, fence)| ClaimedJob { job, fence });
    claimed.ok_or_else(|| written_a_moment_ago(id))
}

async fn record(
    db: &DatabaseConnection,
    id: JobId,
    fence: &Fence,
    assets: &[JobAsset],
) -> Result<bool, DbErr> {
    let transaction = begin(db).await?;
    held(&transaction, id, fence).await?;
    let done_before = slots_done(&transaction, id).await?;
    write_assets(&transaction, id, assets).await?;
    if slots_done(&transaction, id).await? > done_before {
        // A forced one begins anew each time, so that it would get on for ever.
        let sql = "UPDATE job SET attempts = 1 WHERE id = $1 AND attempts > 1 AND NOT forced".to_owned();
        transaction.execute_raw(statement(&transaction, sql, [name(id)])).await?;
    }
    let wished = cancel_wished(&transaction, id).await?;
    if !assets.is_empty() {
        number_change(&transaction, id).await?;
    }
    transaction.commit().await?;
    Ok(wished)
}

async fn finish(
    db: &DatabaseConnection,
    id: JobId,
    fence: &Fence,
    outcome: JobEnd,
    assets: &[JobAsset],
) -> Result<(), DbErr> {
    let transaction = begin(db).await?;
    held(&transaction, id, fence).await?;
    write_assets(&transaction, id, assets).await?;
    match outcome {
        JobEnd::Final(state) => end(&transaction, id, state).await?,
        // It has not been heard of yet.
        JobEnd::Again { .. } if cancel_wished(&transaction, id).await? => cancel(&transaction, id).await?,
        JobEnd::Again { after, counts } => queue_again(&transaction, id, after, counts).await?,
    }
    number_change(&transaction, id).await?;
    forget_ended(&transaction, id).await?;
    transaction.commit().await
}

async fn queue_again(
    transaction: &impl ConnectionTrait,
    id: JobId,
    after: Duration,
    counts: bool,
) -> Result<(), DbErr> {
    let now = Dialect::of(transaction).now_millis();
    let sql = format!(
        "UPDATE job SET state = 'queued', not_before_ms = {now} + $2, attempts = attempts - $3 WHERE id = $1"
    );
    let values = [name(id), millis(after).into(), i64::from(!counts).into()];
    transaction.execute_raw(statement(transaction, sql, values)).await?;
    Ok(())
}

async fn cancel_wished(transaction: &impl ConnectionTrait, id: JobId) -> Result<bool, DbErr> {
    let sql = "SELECT cancel_wished FROM job WHERE id = $1".to_owned();
    let row = transaction.query_one_raw(statement(transaction, sql, [name(id)])).await?;
    row.map_or(Ok(false), |row| row.try_get("", "cancel_wished"))
}

async fn slots_done(transaction: &impl ConnectionTrait, id: JobId) -> Result<i64, DbErr> {
    let sql = "SELECT CAST(SUM(done) AS BIGINT) AS done FROM job_asset WHERE job_id = $1".to_owned();
    let row = transaction.query_one_raw(statement(transaction, sql, [name(id)])).await?;
    let done: Option<i64> = row.map_or(Ok(None), |row| row.try_get("", "done"))?;
    Ok(done.unwrap_or(0))
}

/// Fails unless the worker still has the job. The job is locked before its lease, as in `claim`, so
/// that the two cannot wait for each other.
async fn held(transaction: &impl ConnectionTrait, id: JobId, fence: &Fence) -> Result<(), DbErr> {
    lock(transaction, id).await?;
    leases::require(transaction, Some(fence)).await
}
