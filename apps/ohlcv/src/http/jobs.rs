//! `/api/v1/jobs`: what has become of fetches that were asked for.

use std::sync::Arc;

use ohlcv_domain::{JobId, Timestamp};
use ohlcv_ports::{Cancelling, Clock, Job, JobAsset, JobState, Jobs};
use poem::http::StatusCode;
use poem_openapi::param::{Path, Query};
use poem_openapi::registry::{MetaResponses, MetaSchema, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use serde::Serialize;

use super::Tag;
use super::access::Keyed;
use super::dto::{Prepared, Time};
use super::problem::{Code, Problem, ProblemBody, documented};
use super::query::{Param, Parameter};

/// How many jobs one answer has at most.
const JOBS_MAX: u32 = 1_000;
/// How many it has if nobody says how many.
const JOBS_DEFAULT: u32 = 100;

/// Jobs.
#[derive(Object, Serialize)]
#[oai(rename = "Jobs")]
pub(crate) struct JobsBody {
    /// The newest jobs first.
    jobs: Vec<JobBody>,
    /// How many there are here.
    count: usize,
}

/// A job.
#[derive(Object, Serialize)]
#[oai(rename = "Job")]
pub(crate) struct JobBody {
    /// Its name.
    job_id: String,
    /// `catch_up` and `range` were asked for over HTTP, `backfill` in a shell.
    kind: String,
    /// How it stands.
    state: StateWord,
    /// When it was accepted.
    created_at: Time,
    /// When a worker began with it; null while none has.
    #[oai(nullable)]
    started_at: Option<Time>,
    /// When it ended; null until then.
    #[oai(nullable)]
    finished_at: Option<Time>,
    /// How far it is.
    progress: ProgressBody,
    /// How the work on each asset stands.
    assets: Vec<JobAssetBody>,
}

/// How far a job is, counted in slots of the grid.
#[derive(Object, Serialize)]
#[oai(rename = "JobProgress")]
pub(crate) struct ProgressBody {
    /// Slots that the exchange has answered about.
    done: u64,
    /// Slots that it is to be asked about, as far as that is known yet.
    expected: u64,
    /// The one in hundredths of the other, rounded down.
    percent: u32,
    /// Seconds until it is done if it goes on as it has gone; null where that cannot be said.
    #[oai(nullable)]
    eta_seconds: Option<u64>,
}

/// The work on one asset.
#[derive(Object, Serialize)]
#[oai(rename = "JobAsset")]
pub(crate) struct JobAssetBody {
    /// The asset.
    asset: String,
    /// How it stands.
    state: StateWord,
    /// Slots that the exchange has answered about.
    done: u64,
    /// Slots that it is to be asked about, as far as that is known yet.
    expected: u64,
    /// What went wrong, or what its history lacks; null if nothing.
    #[oai(nullable)]
    error: Option<String>,
}

/// How a job, or the work on one of its assets, stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[oai(rename = "JobState", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum StateWord {
    /// It waits for a worker, at first or again.
    Queued,
    /// A worker has it.
    Running,
    /// All of it was done.
    Succeeded,
    /// Some assets were done, others failed.
    PartlyFailed,
    /// It failed.
    Failed,
    /// It was cancelled.
    Cancelled,
}

impl From<JobState> for StateWord {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Queued => Self::Queued,
            JobState::Running => Self::Running,
            JobState::Succeeded => Self::Succeeded,
            JobState::PartlyFailed => Self::PartlyFailed,
            JobState::Failed => Self::Failed,
            JobState::Cancelled => Self::Cancelled,
        }
    }
}

impl JobBody {
    fn of(job: &Job, now: Timestamp) -> Self {
        let (done, expected) = (job.done(), job.expected());
        let percent = match expected {
            0 if job.state == JobState::Succeeded => 100,
            0 => 0,
            // Holds: at most 100.
            _ => u32::try_from(u128::from(done.min(expected)) * 100 / u128::from(expected)).unwrap_or(100),
        };
        let eta_seconds = job.eta(now).map(|left| left.as_secs());
        Self {
            job_id: job.id.to_string(),
            kind: job.work.kind().to_owned(),
            state: job.state.into(),
            created_at: Time(job.created_at),
            started_at: job.started_at.map(Time),
            finished_at: job.finished_at.map(Time),
            progress: ProgressBody { done, expected, percent, eta_seconds },
            assets: job.assets.iter().map(JobAssetBody::from).collect(),
        }
    }
}

impl From<&JobAsset> for JobAssetBody {
    fn from(asset: &JobAsset) -> Self {
        let JobAsset { asset, state, done, expected, error } = asset.clone();
        Self { asset: asset.to_string(), state: state.into(), done, expected, error }
    }
}

impl Parameter for JobId {
    fn schema() -> MetaSchema {
        MetaSchema {
            example: Some("550e8400-e29b-41d4-a716-446655440000".into()),
            ..MetaSchema::new_with_format("string", "uuid")
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "UUIDs such as 550e8400-e29b-41d4-a716-446655440000".to_owned())
    }
}

/// How many jobs are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JobLimit(u32);

impl Parameter for JobLimit {
    fn schema() -> MetaSchema {
        MetaSchema {
            default: Some(JOBS_DEFAULT.into()),
            example: Some(10.into()),
            minimum: Some(1.0),
            maximum: Some(f64::from(JOBS_MAX)),
            ..MetaSchema::new_with_format("integer", "int32")
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let limit = text.parse().ok().filter(|limit| plain && (1..=JOBS_MAX).contains(limit));
        limit.map(Self).ok_or_else(|| format!("whole numbers from 1 to {JOBS_MAX}"))
    }
}

/// The operations on jobs.
pub(crate) struct JobsApi {
    pub(crate) jobs: Arc<dyn Jobs>,
    pub(crate) clock: Arc<dyn Clock>,
}

#[OpenApi]
impl JobsApi {
    /// The newest jobs
    ///
    /// Those that have ended stay for seven days, at most 1,000 of them.
    #[oai(path = "/api/v1/jobs", method = "get", operation_id = "list_jobs", tag = "Tag::Jobs")]
    async fn list(
        &self,
        _keyed: Keyed,
        /// How many jobs at most.
        limit: Query<Option<Param<JobLimit>>>,
    ) -> Result<Prepared<JobsBody>, JobProblem> {
        let limit = limit.0.map(|limit| limit.named("limit")).transpose()?.unwrap_or(JobLimit(JOBS_DEFAULT));
        let jobs = self.jobs.list(limit.0.into()).await.map_err(Problem::from)?;
        let now = self.clock.now();
        let jobs: Vec<JobBody> = jobs.iter().map(|job| JobBody::of(job, now)).collect();
        Ok(Prepared::of(&JobsBody { count: jobs.len(), jobs }))
    }

    /// One job
    #[oai(path = "/api/v1/jobs/:job_id", method = "get", operation_id = "get_job", tag = "Tag::Jobs")]
    async fn job(
        &self,
        _keyed: Keyed,
        /// The name of the job.
        job_id: Path<Param<JobId>>,
    ) -> Result<Prepared<JobBody>, JobProblem> {
        let id = job_id.0.named("job_id")?;
        let job = self.jobs.find(id).await.map_err(Problem::from)?.ok_or_else(|| unknown(id))?;
        Ok(Prepared::of(&JobBody::of(&job, self.clock.now())))
    }

    /// Cancel a job
    ///
    /// One that waits ends at once; one that is worked on ends within seconds, after the page in hand.
    /// What it has stored stays.
    #[oai(path = "/api/v1/jobs/:job_id", method = "delete", operation_id = "cancel_job", tag = "Tag::Jobs")]
    async fn cancel(
        &self,
        _keyed: Keyed,
        /// The name of the job.
        job_id: Path<Param<JobId>>,
    ) -> Result<Prepared<JobBody>, JobProblem> {
        let id = job_id.0.named("job_id")?;
        match self.jobs.cancel(id).await.map_err(Problem::from)?.ok_or_else(|| unknown(id))? {
            Cancelling::Wished(job) => Ok(Prepared::of(&JobBody::of(&job, self.clock.now()))),
            Cancelling::TooLate(job) => {
                let detail = format!("job {id} has ended already: it {}", ended_how(job.state));
                Err(Problem::new(StatusCode::CONFLICT, Code::JobEnded, detail).into())
            }
        }
    }
}

fn unknown(id: JobId) -> Problem {
    let detail = format!("there is no job {id}, or it ended so long ago that it was forgotten");
    Problem::new(StatusCode::NOT_FOUND, Code::UnknownJob, detail).of_parameter("job_id")
}

fn ended_how(state: JobState) -> &'static str {
    match state {
        JobState::Succeeded => "succeeded",
        JobState::PartlyFailed => "failed in part",
        JobState::Failed => "failed",
        JobState::Cancelled => "was cancelled",
        JobState::Queued | JobState::Running => "goes on",
    }
}

/// A problem, documented with the statuses of these operations.
pub(crate) struct JobProblem(Problem);

impl From<Problem> for JobProblem {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<JobProblem> for poem::Error {
    fn from(JobProblem(problem): JobProblem) -> Self {
        problem.into()
    }
}

impl ApiResponse for JobProblem {
    fn meta() -> MetaResponses {
        documented(&[
            StatusCode::BAD_REQUEST,
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::NOT_FOUND,
            StatusCode::CONFLICT,
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::INTERNAL_SERVER_ERROR,
            StatusCode::SERVICE_UNAVAILABLE,
        ])
    }

    fn register(registry: &mut Registry) {
        ProblemBody::register(registry);
    }
}
