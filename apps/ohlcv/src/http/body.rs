//! Bodies of requests, read within bounds.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::combinators::BoxBody;

use poem::Body;
use poem::error::ReadBodyError;
use poem::http::StatusCode;

use super::problem::{Code, Problem};

/// The largest body that is read, in bytes.
pub(crate) const REQUEST_BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a client may take to send it.
const READ_TIME_MAX: Duration = Duration::from_secs(10);

/// The whole body, also where nothing says beforehand how long it is.
///
/// # Errors
/// A 413 if it is larger than [`REQUEST_BODY_BYTES_MAX`], a 408 if it does not come in time, a 400 if
/// it breaks off.
pub(crate) async fn read_body(body: Body) -> Result<Vec<u8>, Problem> {
    let body: BoxBody<Bytes, io::Error> = body.into();
    match body.is_end_stream() {
        true => Ok(Vec::new()),
        // In a box, so that requests without a body do not carry the room for this along.
        false => Box::pin(read_all(body.into())).await,
    }
}

async fn read_all(body: Body) -> Result<Vec<u8>, Problem> {
    let refused = |status, detail: &str| Err(Problem::new(status, Code::BadRequest, detail));
    let read = body.into_bytes_limit(REQUEST_BODY_BYTES_MAX);
    match tokio::time::timeout(READ_TIME_MAX, read).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(ReadBodyError::PayloadTooLarge)) => {
            let detail = format!("the body is too large: allowed are {REQUEST_BODY_BYTES_MAX} bytes");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, Code::BodyTooLarge, detail))
        }
        Ok(Err(_)) => refused(StatusCode::BAD_REQUEST, "the body broke off: send it again"),
        Err(_) => {
            let seconds = READ_TIME_MAX.as_secs();
            let detail = format!("the body did not come within {seconds} s: send it again, in one go");
            refused(StatusCode::REQUEST_TIMEOUT, &detail)
        }
    }
}
