//! Errors as everybody outside sees them: problem documents (RFC 9457) with a stable code.

use std::error::Error;
use std::time::Duration;

use ohlcv_ports::StoreError;
use poem::error::ResponseError;
use poem::http::{StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Enum, Object};
use serde::Serialize;

/// The media type of every error.
const PROBLEM_JSON: &str = "application/problem+json";

/// When to try again after the database was away. Pools reconnect within seconds.
const DATABASE_RETRY_AFTER: Duration = Duration::from_secs(5);
/// When to try again after there was too much to do: requests take milliseconds.
const OVERLOADED_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Values longer than this are cut where they are quoted back.
const QUOTED_CHARS_MAX: usize = 80;

/// What went wrong, as a word that programs may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[oai(rename = "ProblemCode", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    /// A parameter has a value that is not allowed.
    BadParameter,
    /// The endpoint has no parameter of this name.
    UnknownParameter,
    /// A parameter is given more than once.
    RepeatedParameter,
    /// The URL is not properly encoded.
    MalformedUrl,
    /// The request is wrong in another way.
    BadRequest,
    /// The asset is not tracked and has no data.
    UnknownAsset,
    /// There is no such endpoint.
    NotFound,
    /// The endpoint does not know the method; `Allow` lists those it knows.
    MethodNotAllowed,
    /// The request has a larger body than is accepted.
    BodyTooLarge,
    /// The range ends where it begins, or before.
    EmptyRange,
    /// The stored candles do not make candles of the interval; the detail says of which they do.
    IndivisibleInterval,
    /// The amounts of a derived candle sum up to more than a candle can hold.
    SumTooLarge,
    /// The range begins in the future.
    RangeInFuture,
    /// An asset is named that is not tracked.
    AssetNotTracked,
    /// No key was sent, or a wrong one.
    WrongKey,
    /// The endpoint needs a key, and the service has none.
    NoKeyConfigured,
    /// Too many wrong keys came from this address; `Retry-After` says when to try again.
    TooManyFailures,
    /// The `Idempotency-Key` was used for something else before.
    KeyTaken,
    /// Too many jobs have not ended yet; `Retry-After` says when to try again.
    QueueFull,
    /// There is no such job.
    UnknownJob,
    /// The job has ended already.
    JobEnded,
    /// Something failed here; the service's log says what.
    Internal,
    /// The database cannot be used now; `Retry-After` says when to try again.
    Unavailable,
    /// Too many requests wait for the database; `Retry-After` says when to try again.
    Overloaded,
}

/// The body of every error (RFC 9457).
#[derive(Clone, Debug, Object, Serialize)]
#[oai(rename = "Problem")]
pub(crate) struct ProblemBody {
    /// Always `about:blank`: `code` tells problems apart.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    type_uri: String,
    /// The name of the status.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What went wrong, as a word that stays the same.
    code: Code,
    /// What went wrong this time, for people: which value, what it was, what is allowed.
    detail: String,
    /// The parameter that is wrong, if one is.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
}

/// An error on its way to the client.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Problem {
    status: StatusCode,
    code: Code,
    detail: String,
    parameter: Option<String>,
    allowed_methods: Option<String>,
    retry_after: Option<Duration>,
}

impl Problem {
    /// `detail` must name the value that is wrong and what is allowed instead.
    pub(crate) fn new(status: StatusCode, code: Code, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            parameter: None,
            allowed_methods: None,
            retry_after: None,
        }
    }

    /// The same problem, which lies in the parameter of that name.
    pub(crate) fn of_parameter(mut self, name: &str) -> Self {
        self.parameter = Some(shortened(name));
        self
    }

    /// Whether it lies in the parameter of that name.
    pub(crate) fn is_of_parameter(&self, name: &str) -> bool {
        self.parameter.as_deref() == Some(name)
    }

    /// The same problem with an `Allow` header.
    pub(crate) fn allowing(mut self, methods: String) -> Self {
        self.allowed_methods = Some(methods);
        self
    }

    /// The same problem, which may be gone after that time.
    pub(crate) fn retrying_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Nothing can be read now; it is worth asking again a little later.
    pub(crate) fn unavailable(detail: &str) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, detail);
        problem.retrying_after(DATABASE_RETRY_AFTER)
    }

    /// Too much is going on; requests take milliseconds, so it is worth asking again soon.
    pub(crate) fn overloaded(detail: &str) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Overloaded, detail);
        problem.retrying_after(OVERLOADED_RETRY_AFTER)
    }

    /// A failure that is not the client's: nothing about it leaves the service.
    pub(crate) fn internal() -> Self {
        let detail = "something failed inside the service; its log says what";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, detail)
    }

    /// The problem that a framework's error amounts to.
    fn of_framework(error: &poem::Error) -> Self {
        let status = error.status();
        let code = match status {
            StatusCode::NOT_FOUND => Code::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Code::BodyTooLarge,
            status if status.is_client_error() => Code::BadRequest,
            _ => {
                tracing::error!(%error, "a request failed");
                return Self::internal();
            }
        };
        Self::new(status, code, error.to_string())
    }
}

/// Says what a failing store means for the client, and writes what it said to the log, once.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Unavailable { .. }) {
            tracing::warn!(error = &error as &dyn Error, "the database did not answer a request");
            Self::unavailable("the database cannot be used now: try again a little later")
        } else {
            tracing::error!(error = &error as &dyn Error, "the database failed a request");
            Self::internal()
        }
    }
}

/// The one place where errors become responses, the framework's own among them.
pub(crate) fn render(error: poem::Error) -> Response {
    if error.is_from_response() || error.is::<Problem>() {
        error.into_response()
    } else {
        Problem::of_framework(&error).into_response()
    }
}

/// A text from outside, fit to be quoted back: of bounded length.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            type_uri: "about:blank".to_owned(),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail,
            parameter: self.parameter,
        };
        // Holds: a struct of texts and numbers always has a JSON form.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::builder().status(self.status).content_type(PROBLEM_JSON);
        if let Some(after) = self.retry_after {
            // Rounded up: earlier would be in vain.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            response = response.header(header::RETRY_AFTER, seconds);
        }
        if let Some(methods) = self.allowed_methods {
            response = response.header(header::ALLOW, methods);
        }
        response.body(body)
    }
}

impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn as_response(&self) -> Response {
        self.clone().into_response()
    }
}

/// As documented, a problem is what any operation may answer instead.
impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        documented(&[
            StatusCode::BAD_REQUEST,
            StatusCode::INTERNAL_SERVER_ERROR,
            StatusCode::SERVICE_UNAVAILABLE,
        ])
    }

    fn register(registry: &mut Registry) {
        ProblemBody::register(registry);
    }
}

/// The document's words about error responses of these statuses.
pub(crate) fn documented(statuses: &[StatusCode]) -> MetaResponses {
    let responses = statuses.iter().map(|&status| MetaResponse {
        description: match status {
            StatusCode::BAD_REQUEST => {
                "A parameter is wrong: `detail` says which, what it was, what is allowed."
            }
            StatusCode::UNAUTHORIZED => "The key is missing or wrong.",
            StatusCode::FORBIDDEN => "The service has no key, so this endpoint is off.",
            StatusCode::NOT_FOUND => "There is nothing of that name: `detail` says what was looked for.",
            StatusCode::CONFLICT => "The job has ended already.",
            StatusCode::PAYLOAD_TOO_LARGE => "The body is larger than is accepted.",
            StatusCode::UNPROCESSABLE_ENTITY => {
                "Well-formed, but impossible: a range that ends before it begins, say."
            }
            StatusCode::TOO_MANY_REQUESTS => "Too many wrong keys, or too many jobs that have not ended.",
            StatusCode::SERVICE_UNAVAILABLE => "The database cannot be used now, or too much waits for it.",
            _ => "Something failed inside the service; its log says what.",
        },
        status: Some(status.as_u16()),
        status_range: None,
        content: vec![MetaMediaType { content_type: PROBLEM_JSON, schema: ProblemBody::schema_ref() }],
        headers: match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => vec![retry_after()],
            _ => Vec::new(),
        },
    });
    MetaResponses { responses: responses.collect() }
}

fn retry_after() -> MetaHeader {
    MetaHeader {
        name: header::RETRY_AFTER.to_string(),
        description: Some("Seconds after which to try again.".to_owned()),
        required: false,
        deprecated: false,
        schema: u16::schema_ref(),
    }
}
