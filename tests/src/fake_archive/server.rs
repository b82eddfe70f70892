//! The archive as an HTTP endpoint.

use std::sync::Arc;

use poem::http::StatusCode;
use poem::{Endpoint, Response};

use super::Shared;
use super::fault::ArchiveFault as Fault;
use super::file::{Asked, checksum, pack};

const MISSING: &str =
    "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>";
const PAGE: &str = "<html><body><h1>403 ERROR</h1>The request could not be satisfied.</body></html>";

pub(super) struct Door(pub(super) Arc<Shared>);

impl Endpoint for Door {
    type Output = Response;

    async fn call(&self, request: poem::Request) -> poem::Result<Response> {
        let path = request.uri().path().to_owned();
        let fault = {
            let mut state = self.0.state();
            state.asked.push(path.clone());
            state.fault.clone()
        };
        Ok(answer(&self.0, &path, fault).await)
    }
}

fn status(status: StatusCode, body: impl Into<poem::Body>) -> Response {
    Response::builder().status(status).body(body)
}

async fn answer(shared: &Shared, path: &str, fault: Option<Fault>) -> Response {
    match fault {
        Some(Fault::Missing) => return status(StatusCode::NOT_FOUND, MISSING),
        Some(Fault::Forbidden) => return status(StatusCode::FORBIDDEN, PAGE),
        Some(Fault::Moved) => {
            let moved = Response::builder().status(StatusCode::MOVED_PERMANENTLY);
            return moved.header("location", "http://127.0.0.1:1/").body(());
        }
        Some(Fault::Slow(pause)) => tokio::time::sleep(pause).await,
        _ => {}
    }
    let (file, wants_checksum) = path.strip_suffix(".CHECKSUM").map_or((path, false), |file| (file, true));
    let Some(asked) = Asked::of(file, shared.quote) else { return status(StatusCode::NOT_FOUND, MISSING) };
    let Some(lines) = asked.lines(shared.source.as_ref()).await else {
        return status(StatusCode::NOT_FOUND, MISSING);
    };
    if wants_checksum && matches!(fault, Some(Fault::NoChecksum)) {
        return status(StatusCode::NOT_FOUND, MISSING);
    }
    let sum_of_the_right_one = match &fault {
        Some(Fault::StaleChecksum) => Some(checksum(&asked.name, b"another file")),
        Some(Fault::GarbledChecksum) => Some(PAGE.to_owned()),
        Some(Fault::ReplacedWithoutChecksum(_)) => Some(checksum(&asked.name, &packed(&asked.name, &lines))),
        _ => None,
    };
    let bytes = spoiled(&asked.name, lines, fault);
    if wants_checksum {
        return status(StatusCode::OK, sum_of_the_right_one.unwrap_or_else(|| checksum(&asked.name, &bytes)));
    }
    status(StatusCode::OK, bytes)
}

fn packed(name: &str, lines: &[String]) -> Vec<u8> {
    let mut table = lines.join("\n");
    table.push('\n');
    pack(name, table.as_bytes())
}

/// The bytes of the file.
fn spoiled(name: &str, mut lines: Vec<String>, fault: Option<Fault>) -> Vec<u8> {
    match fault {
        Some(Fault::Replaced(edit) | Fault::ReplacedWithoutChecksum(edit)) => {
            edit(&mut lines);
            packed(name, &lines)
        }
        Some(Fault::Damaged) => {
            let mut bytes = packed(name, &lines);
            let middle = bytes.len() / 2;
            bytes[middle..middle + 16].iter_mut().for_each(|byte| *byte = !*byte);
            bytes
        }
        Some(Fault::Cut) => {
            let bytes = packed(name, &lines);
            bytes[..bytes.len() / 2].to_vec()
        }
        Some(Fault::Bomb(bytes)) => pack(name, &vec![b'0'; bytes]),
        Some(Fault::Huge(bytes)) => vec![0; bytes],
        Some(Fault::Page) => PAGE.as_bytes().to_vec(),
        _ => packed(name, &lines),
    }
}
