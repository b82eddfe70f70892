//! `POST /api/v1/fetch/trigger`: a fetch becomes a job.

use ohlcv_domain::{Asset, Timestamp};
use ohlcv_ports::{Job, Submitted};
use ohlcv_usecases::{FetchWish, SubmitError, SubmitJob};
use poem::http::{StatusCode, header};
use poem::{IntoResponse, Request, RequestBody, Response};
use poem_openapi::registry::{
    MetaMediaType, MetaParamIn, MetaRequest, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions, Object, OpenApi};
use serde::Serialize;
use serde_json::{Map, Value};

use super::Tag;
use super::access::Keyed;
use super::dto::{Prepared, Time};
use super::problem::{Code, Problem, ProblemBody, documented, shortened};
use super::query::{Param, Parameter};

/// When to try again while the queue is full: a job takes seconds.
const QUEUE_RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(10);

// The shape as documented; `TriggerRequest` reads it, to say what is wrong with it.
/// What to fetch.
#[derive(Object)]
#[oai(rename = "FetchRequest")]
pub(crate) struct TriggerBody {
    /// The assets; left out, all tracked ones.
    assets: Option<Vec<String>>,
    /// Earliest open time, inclusive: RFC 3339 or milliseconds since 1970. Off the grid it widens to
    /// it. With neither bound everything is brought up to date.
    start_date: Option<Time>,
    /// Latest open time, exclusive. In the future it is cut at the last closed candle.
    end_date: Option<Time>,
}

/// A body as it came, read.
#[derive(Debug, Default)]
pub(crate) struct TriggerRequest {
    assets: Option<Vec<Asset>>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

impl<'a> ApiExtractor<'a> for TriggerRequest {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        TriggerBody::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let json = MetaMediaType { content_type: "application/json", schema: TriggerBody::schema_ref() };
        Some(MetaRequest { description: None, content: vec![json], required: false })
    }

    async fn from_request(
        _: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        // The edge has read it already, within its bounds.
        Ok(Self::read(&body.take()?.into_bytes().await?)?)
    }
}

impl TriggerRequest {
    /// Nothing at all asks for everything.
    fn read(body: &[u8]) -> Result<Self, Problem> {
        let no_object = |what: &dyn std::fmt::Display| {
            let detail = format!("the body is no JSON object, as in {{\"assets\":[\"BTC\"]}}: {what}");
            Problem::new(StatusCode::BAD_REQUEST, Code::BadRequest, detail)
        };
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let fields: Map<String, Value> = serde_json::from_slice(body).map_err(|error| no_object(&error))?;
        let mut request = Self::default();
        for (name, value) in fields {
            match (name.as_str(), value) {
                ("assets" | "start_date" | "end_date", Value::Null) => {}
                ("assets", value) => request.assets = Some(assets(&value)?),
                ("start_date", value) => request.start = Some(field("start_date", &value)?),
                ("end_date", value) => request.end = Some(field("end_date", &value)?),
                _ => {
                    let detail = format!(
                        "there is no field \"{}\": allowed are assets, start_date, end_date",
                        shortened(&name)
                    );
                    let problem = Problem::new(StatusCode::BAD_REQUEST, Code::UnknownParameter, detail);
                    return Err(problem.of_parameter(&name));
                }
            }
        }
        Ok(request)
    }
}

fn assets(value: &Value) -> Result<Vec<Asset>, Problem> {
    let Some(names) = value.as_array() else {
        let detail =
            format!("assets is {}: allowed are lists, such as [\"BTC\"]", shortened(&value.to_string()));
        let problem = Problem::new(StatusCode::BAD_REQUEST, Code::BadParameter, detail);
        return Err(problem.of_parameter("assets"));
    };
    names.iter().map(|name| field("assets", name)).collect()
}

/// A text or a number in JSON, read as a parameter of a URL is.
fn field<T: Parameter>(name: &str, value: &Value) -> Result<T, Problem> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Param::of(&text).named(name)
}

/// The longest idempotency key that is kept, in characters: the width of its column.
const KEY_CHARS_MAX: usize = 255;

/// The `Idempotency-Key` of a request, if it has one.
#[derive(Debug)]
pub(crate) struct IdempotencyKey(Option<String>);

impl<'a> ApiExtractor<'a> for IdempotencyKey {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];

    type ParamType = ();
    type ParamRawType = ();

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Header)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(MetaSchemaRef::Inline(Box::new(MetaSchema {
            min_length: Some(1),
            max_length: Some(KEY_CHARS_MAX),
            example: Some("daily-2024-11-01".into()),
            ..MetaSchema::new("string")
        })))
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        named: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let name = named.name;
        let Some(given) = request.headers().get(name) else { return Ok(Self(None)) };
        let plain = given.to_str().ok().filter(|key| (1..=KEY_CHARS_MAX).contains(&key.len()));
        let key = plain.ok_or_else(|| {
            let detail = format!(
                "{name} is too long, empty or no plain text: allowed are 1 to {KEY_CHARS_MAX} ASCII characters"
            );
            Problem::new(StatusCode::BAD_REQUEST, Code::BadParameter, detail).of_parameter(name)
        })?;
        Ok(Self(Some(key.to_owned())))
    }
}

/// That a job was accepted.
#[derive(Object, Serialize)]
#[oai(rename = "FetchAccepted")]
pub(crate) struct AcceptedBody {
    /// The name of the job, for `/api/v1/jobs/{job_id}`.
    job_id: String,
    /// The same for people.
    message: String,
    /// The assets of the job.
    assets: Vec<String>,
}

/// The operation that starts a fetch.
pub(crate) struct TriggerApi {
    pub(crate) submit: SubmitJob,
}

#[OpenApi]
impl TriggerApi {
    /// Start a fetch
    ///
    /// Makes a job, which is written down before this is answered: it is done whatever happens to
    /// the process. With a range, what is missing of it; without, everything up to the last closed
    /// candle. An `Idempotency-Key` header makes a repeated request return the first job.
    #[oai(path = "/api/v1/fetch/trigger", method = "post", operation_id = "trigger_fetch", tag = "Tag::Jobs")]
    async fn trigger(
        &self,
        _keyed: Keyed,
        body: TriggerRequest,
        /// A name for this wish, so that saying it again starts no other fetch.
        #[oai(name = "Idempotency-Key")]
        key: IdempotencyKey,
    ) -> Result<AcceptedAnswer, TriggerProblem> {
        let IdempotencyKey(idempotency_key) = key;
        let TriggerRequest { assets, start, end } = body;
        let wish = FetchWish { assets, start, end, idempotency_key };
        match self.submit.run(wish).await.map_err(problem)? {
            Submitted::Accepted(job) => Ok(AcceptedAnswer::of(&job, "queued")),
            Submitted::Repeated(job) => Ok(AcceptedAnswer::of(&job, "known already")),
            Submitted::KeyTaken(id) => {
                let detail = format!(
                    "this Idempotency-Key belongs to job {id}, which asked for something else: use a new key"
                );
                Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, Code::KeyTaken, detail).into())
            }
            Submitted::QueueFull(jobs) => {
                let detail =
                    format!("{jobs} jobs have not ended yet, which is all there may be: try again later");
                let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::QueueFull, detail);
                Err(problem.retrying_after(QUEUE_RETRY_AFTER).into())
            }
        }
    }
}

fn problem(error: SubmitError) -> Problem {
    let (status, code, parameter) = match error {
        SubmitError::Store(error) => return error.into(),
        SubmitError::HalfARange { missing } => (StatusCode::BAD_REQUEST, Code::BadParameter, missing),
        SubmitError::NoAssets => (StatusCode::BAD_REQUEST, Code::BadParameter, "assets"),
        SubmitError::EmptyRange { .. } => (StatusCode::UNPROCESSABLE_ENTITY, Code::EmptyRange, "end_date"),
        SubmitError::InTheFuture { .. } => {
            (StatusCode::UNPROCESSABLE_ENTITY, Code::RangeInFuture, "start_date")
        }
        SubmitError::NotTracked { .. } => (StatusCode::UNPROCESSABLE_ENTITY, Code::AssetNotTracked, "assets"),
    };
    Problem::new(status, code, error.to_string()).of_parameter(parameter)
}

/// 202, and where the job is to be seen.
pub(crate) struct AcceptedAnswer {
    location: String,
    body: Prepared<AcceptedBody>,
}

impl AcceptedAnswer {
    fn of(job: &Job, what: &str) -> Self {
        let assets: Vec<String> = job.assets.iter().map(|asset| asset.asset.to_string()).collect();
        let body = AcceptedBody {
            job_id: job.id.to_string(),
            message: format!("Fetch job {what} for {} asset(s)", assets.len()),
            assets,
        };
        Self { location: format!("/api/v1/jobs/{}", job.id), body: Prepared::of(&body) }
    }
}

impl IntoResponse for AcceptedAnswer {
    fn into_response(self) -> Response {
        let response = self.body.with_status(StatusCode::ACCEPTED);
        response.with_header(header::LOCATION, self.location).into_response()
    }
}

impl ApiResponse for AcceptedAnswer {
    fn meta() -> MetaResponses {
        let accepted = Prepared::<AcceptedBody>::documented(202, "The job is in the queue, or was before.");
        MetaResponses { responses: vec![accepted] }
    }

    fn register(registry: &mut Registry) {
        AcceptedBody::register(registry);
    }
}

/// A problem, documented with the statuses of this operation.
pub(crate) struct TriggerProblem(Problem);

impl From<Problem> for TriggerProblem {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<TriggerProblem> for poem::Error {
    fn from(TriggerProblem(problem): TriggerProblem) -> Self {
        problem.into()
    }
}

impl ApiResponse for TriggerProblem {
    fn meta() -> MetaResponses {
        documented(&[
            StatusCode::BAD_REQUEST,
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNPROCESSABLE_ENTITY,
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::INTERNAL_SERVER_ERROR,
            StatusCode::SERVICE_UNAVAILABLE,
        ])
    }

    fn register(registry: &mut Registry) {
        ProblemBody::register(registry);
    }
}
