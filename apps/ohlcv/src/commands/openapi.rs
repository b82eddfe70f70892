//! `ohlcv openapi`: prints the document.

use std::io::Write;

use super::End;
use crate::http;

pub(super) fn execute() -> anyhow::Result<End> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{}", http::openapi_document().trim_end()) {
        // A reader that has seen enough, such as `head`, is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(End::Done),
        written => Ok(written.map(|()| End::Done)?),
    }
}
