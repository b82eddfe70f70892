//! `ohlcv openapi`: prints the document.

use super::{End, say};
use crate::http;

pub(super) fn execute() -> anyhow::Result<End> {
    say(http::openapi_document().trim_end())?;
    Ok(End::Done)
}
