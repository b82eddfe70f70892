//! What goes back over the wire.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use poem::http::StatusCode;
use poem::{Body, Response};
use serde_json::{Value, json};

pub(crate) const JSON: &str = "application/json;charset=UTF-8";
pub(crate) const HTML: &str = "text/html";

/// An answer, or the lack of one.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Payload,
}

/// How the body is sent.
#[derive(Debug)]
pub(crate) enum Payload {
    Whole(Vec<u8>),
    /// Its first half at once, the rest after a pause.
    Slow(Vec<u8>, Duration),
    /// All is announced, half is sent, then the connection breaks.
    Cut(Vec<u8>),
    /// The connection breaks before a byte is sent.
    Reset,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, JSON, body.to_string().into_bytes())
    }

    pub(crate) fn error(status: u16, code: i64, message: impl Display) -> Self {
        Self::json(status, &json!({ "code": code, "msg": message.to_string() }))
    }

    pub(crate) fn new(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        let body = Payload::Whole(body);
        Self { status, content_type: content_type.to_owned(), headers: Vec::new(), body }
    }

    pub(crate) fn with_header(mut self, name: &str, value: impl Display) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// The status that the client gets to see, if it sees one.
    pub(crate) fn seen_status(&self) -> Option<u16> {
        (!matches!(self.body, Payload::Reset)).then_some(self.status)
    }

    pub(crate) fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).expect("a scripted status is 100 to 999");
        let mut response = Response::builder().status(status).content_type(self.content_type);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        match self.body {
            Payload::Whole(body) => response.body(body),
            Payload::Slow(body, pause) => {
                let (first, rest) = halves(&body);
                let length = body.len();
                response
                    .header("content-length", length)
                    .body(parts(vec![(Duration::ZERO, Ok(first)), (pause, Ok(rest))]))
            }
            Payload::Cut(body) => {
                let (first, _) = halves(&body);
                // Without the pause the half would never leave the server's buffer.
                response
                    .header("content-length", body.len())
                    .body(parts(vec![(Duration::ZERO, Ok(first)), (UNTIL_SENT, Err(broken()))]))
            }
            // The server drops the connection together with the head it has not sent yet. That the
            // body falls short of its length matters: a chunked one would be ended as if whole.
            Payload::Reset => {
                response.header("content-length", 1).body(parts(vec![(Duration::ZERO, Err(broken()))]))
            }
        }
    }
}

const UNTIL_SENT: Duration = Duration::from_millis(20);

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the fake exchange breaks the connection")
}

fn halves(body: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (first, rest) = body.split_at(body.len() / 2);
    (first.to_vec(), rest.to_vec())
}

fn parts(parts: Vec<(Duration, io::Result<Vec<u8>>)>) -> Body {
    Body::from_bytes_stream(stream::iter(parts).then(|(pause, part)| async move {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        part
    }))
}
