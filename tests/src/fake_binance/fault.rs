//! What can go wrong between a client and the exchange, on demand.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::Timestamp;
use serde_json::Value;

use super::reply::{HTML, JSON, Payload, Reply};

/// Changes the rows of an answer.
pub type RowEdit = Arc<dyn Fn(&mut Vec<Value>) + Send + Sync>;

/// One way in which a request goes wrong.
#[derive(Clone)]
pub enum Fault {
    /// An error of the exchange itself: `{"code":…,"msg":…}`. [`Fault::json`] knows the literal ones.
    Json {
        /// The HTTP status.
        status: u16,
        /// The exchange's code.
        code: i64,
        /// The exchange's text.
        message: &'static str,
    },
    /// The page of a gateway (500, 502, 503, 504) or of the firewall (403), without weight headers.
    Html(u16),
    /// 451 as sent to places that the exchange does not serve: code 0.
    Blocked,
    /// 429, with `Retry-After` in whole seconds if given.
    RateLimited {
        /// How long to wait.
        retry_after: Option<Duration>,
    },
    /// 418, with `Retry-After` in whole seconds if wanted; the text always tells the end of the ban.
    Banned {
        /// How long the ban lasts from now.
        lasts: Duration,
        /// Whether the header is sent.
        with_header: bool,
    },
    /// The connection is closed before anything is answered.
    Reset,
    /// The right answer, of which the second half comes that much later.
    SlowBody(Duration),
    /// The right answer, but the connection breaks after half of the body.
    CutBody,
    /// A whole answer whose JSON ends half-way.
    TruncatedJson,
    /// Status 200 and a web page, as from a captive portal.
    WrongContentType,
    /// Status 200, JSON's content type, no body.
    EmptyBody,
    /// Status 200 and a JSON array of at least that many bytes.
    Oversized(usize),
    /// 302 to somewhere else.
    Redirect(&'static str),
    /// Anything else, as it was recorded, say.
    Answer {
        /// The HTTP status.
        status: u16,
        /// Header names and values, besides the content type.
        headers: Vec<(String, String)>,
        /// The content type.
        content_type: String,
        /// The body.
        body: Vec<u8>,
    },
    /// The right answer with its rows tampered with.
    EditRows(RowEdit),
}

impl Fault {
    /// The exchange's own error for a status of 500, 502, 503 or 504; an unknown one for others.
    #[must_use]
    pub fn json(status: u16) -> Self {
        let (code, message) = match status {
            500 => (-1001, "Internal error; unable to process your request. Please try again."),
            502 => {
                (-1006, "An unexpected response was received from the message bus. Execution status unknown.")
            }
            503 => (
                -1008,
                "Server is currently overloaded with other requests. Please try again in a few minutes.",
            ),
            504 => (
                -1007,
                "Timeout waiting for response from backend server. \
                 Send status unknown; execution status unknown.",
            ),
            _ => (-1000, "An unknown error occurred while processing the request."),
        };
        Self::Json { status, code, message }
    }

    /// Tampers with the rows of an otherwise right answer.
    pub fn edit_rows(edit: impl Fn(&mut Vec<Value>) + Send + Sync + 'static) -> Self {
        Self::EditRows(Arc::new(edit))
    }

    /// The answer in place of the right one.
    pub(crate) fn spoil(self, right: Reply, now: Timestamp, weight_per_minute: u32) -> Reply {
        let right_body = match right.body {
            Payload::Whole(ref body) => body.clone(),
            _ => Vec::new(),
        };
        match self {
            Self::Json { status, code, message } => Reply::error(status, code, message),
            Self::Html(status) => Reply::new(status, HTML, page(status).into_bytes())
                .with_header("x-cache", "Error from cloudfront"),
            Self::Blocked => blocked(),
            Self::RateLimited { retry_after } => {
                rate_limited(weight_per_minute, retry_after.map(|wait| wait.as_secs()))
            }
            Self::Banned { lasts, with_header } => {
                banned(now.saturating_add(lasts), with_header.then_some(lasts.as_secs()))
            }
            Self::Reset => Reply { body: Payload::Reset, ..right },
            Self::SlowBody(pause) => Reply { body: Payload::Slow(right_body, pause), ..right },
            Self::CutBody => Reply { body: Payload::Cut(right_body), ..right },
            Self::TruncatedJson => {
                let half = right_body.len() / 2;
                Reply { body: Payload::Whole(right_body[..half].to_vec()), ..right }
            }
            Self::WrongContentType => Reply::new(200, HTML, b"<html><body>Log in</body></html>".to_vec()),
            Self::EmptyBody => Reply { body: Payload::Whole(Vec::new()), ..right },
            Self::Oversized(bytes) => {
                Reply::new(200, JSON, format!("[\"{}\"]", "x".repeat(bytes)).into_bytes())
            }
            Self::Redirect(location) => Reply::new(302, HTML, Vec::new()).with_header("location", location),
            Self::Answer { status, headers, content_type, body } => {
                Reply { headers, ..Reply::new(status, &content_type, body) }
            }
            Self::EditRows(edit) => match serde_json::from_slice(&right_body) {
                Ok(Value::Array(mut rows)) => {
                    edit(&mut rows);
                    Reply { body: Payload::Whole(Value::Array(rows).to_string().into_bytes()), ..right }
                }
                _ => right,
            },
        }
    }

    /// Whether the answer comes from in front of the exchange, which knows no weights.
    pub(crate) fn is_from_the_edge(&self) -> bool {
        matches!(
            self,
            Self::Html(_) | Self::Blocked | Self::WrongContentType | Self::Redirect(_) | Self::Answer { .. }
        )
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json { status, code, .. } => write!(f, "Json({status}, {code})"),
            Self::Html(status) => write!(f, "Html({status})"),
            Self::Blocked => f.write_str("Blocked"),
            Self::RateLimited { retry_after } => write!(f, "RateLimited({retry_after:?})"),
            Self::Banned { lasts, .. } => write!(f, "Banned({lasts:?})"),
            Self::Reset => f.write_str("Reset"),
            Self::SlowBody(pause) => write!(f, "SlowBody({pause:?})"),
            Self::CutBody => f.write_str("CutBody"),
            Self::TruncatedJson => f.write_str("TruncatedJson"),
            Self::WrongContentType => f.write_str("WrongContentType"),
            Self::EmptyBody => f.write_str("EmptyBody"),
            Self::Oversized(bytes) => write!(f, "Oversized({bytes})"),
            Self::Redirect(location) => write!(f, "Redirect({location})"),
            Self::Answer { status, .. } => write!(f, "Answer({status})"),
            Self::EditRows(_) => f.write_str("EditRows"),
        }
    }
}

/// Which requests a fault is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All of them.
    Any,
    /// Those for one path, such as `/api/v3/time`.
    Path(&'static str),
    /// Those for candles of one symbol, such as `BTCUSDT`.
    Symbol(String),
}

impl Target {
    fn matches(&self, path: &str, symbol: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::Path(wanted) => *wanted == path,
            Self::Symbol(wanted) => path == super::KLINES && symbol == Some(wanted),
        }
    }
}

/// The faults still to come, in the order they were injected.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    queue: VecDeque<(Target, Fault, usize)>,
}

impl Faults {
    pub(crate) fn push(&mut self, target: Target, fault: Fault, times: usize) {
        if times > 0 {
            self.queue.push_back((target, fault, times));
        }
    }

    pub(crate) fn take(&mut self, path: &str, symbol: Option<&str>) -> Option<Fault> {
        let at = self.queue.iter().position(|(target, ..)| target.matches(path, symbol))?;
        let (_, fault, left) = self.queue.get_mut(at)?;
        let fault = fault.clone();
        *left -= 1;
        if *left == 0 {
            self.queue.remove(at);
        }
        Some(fault)
    }

    pub(crate) fn left(&self) -> usize {
        self.queue.iter().fold(0, |sum, (.., left)| sum.saturating_add(*left))
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
    }
}

/// 429, in the exchange's words.
pub(crate) fn rate_limited(weight_per_minute: u32, retry_after_seconds: Option<u64>) -> Reply {
    let text = format!(
        "Too much request weight used; current limit is {weight_per_minute} request weight per 1 MINUTE. \
         Please use WebSocket Streams for live updates to avoid polling the API."
    );
    waiting(Reply::error(429, -1003, text), retry_after_seconds)
}

/// 418, in the exchange's words.
pub(crate) fn banned(until: Timestamp, retry_after_seconds: Option<u64>) -> Reply {
    let until = until.millis();
    let text = format!(
        "Way too much request weight used; IP banned until {until}. \
         Please use WebSocket Streams for live updates to avoid bans."
    );
    waiting(Reply::error(418, -1003, text), retry_after_seconds)
}

fn waiting(reply: Reply, retry_after_seconds: Option<u64>) -> Reply {
    match retry_after_seconds {
        Some(seconds) => reply.with_header("retry-after", seconds),
        None => reply,
    }
}

/// 451, in the exchange's words and layout.
fn blocked() -> Reply {
    let body = "{\n  \"code\": 0,\n  \"msg\": \"Service unavailable from a restricted location according to \
                'b. Eligibility' in https://www.binance.com/en/terms. Please contact customer service if you \
                believe you received this message in error.\"\n}";
    Reply::new(451, JSON, body.as_bytes().to_vec())
}

/// What CloudFront shows, shortened.
fn page(status: u16) -> String {
    format!(
        "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01 Transitional//EN\" \
         \"http://www.w3.org/TR/html4/loose.dtd\">\n<HTML><HEAD>\n\
         <TITLE>ERROR: The request could not be satisfied</TITLE>\n</HEAD><BODY>\n\
         <H1>{status} ERROR</H1>\n<H2>The request could not be satisfied.</H2>\n<PRE>\n\
         Generated by cloudfront (CloudFront)\n</PRE>\n</BODY></HTML>"
    )
}
