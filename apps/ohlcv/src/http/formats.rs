//! The formats that rows are served in, and how a request says which one it wants.

mod arrow;
mod columns;
mod encoder;
mod fields;

use poem::http::{HeaderMap, header};
use poem_openapi::registry::MetaSchema;

pub(crate) use self::columns::{ColumnsBody, ColumnsRows, columns_bytes, push_columns};
pub(crate) use self::encoder::{Encoder, Layout};
pub(crate) use self::fields::Shape;
use super::compression::weighed;
use super::query::Parameter;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// An object for each row.
    Json,
    /// JSON too, with an array for each field.
    Columns,
    /// A line of JSON for each row.
    Ndjson,
    /// A line of comma-separated values for each row, below a line of names.
    Csv,
    /// Apache Arrow's IPC stream.
    Arrow,
}

/// The format of an answer, and what said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Negotiated {
    pub(crate) format: Format,
    /// As the parameter gave it. Without it the header `Accept` decides, and the answer varies by that.
    pub(crate) given: Option<Format>,
}

impl Format {
    /// All of them; where a client likes two as much, the first one is taken.
    pub(crate) const ALL: [Self; 5] = [Self::Json, Self::Columns, Self::Ndjson, Self::Csv, Self::Arrow];

    /// How the parameter `format` calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Columns => "columns",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
        }
    }

    /// What `Accept` calls it, and `Content-Type`.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Columns => "application/vnd.ohlcv.columns+json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    /// How a saved answer is called, if it is nothing to be looked at in a browser.
    pub(crate) const fn file_extension(self) -> Option<&'static str> {
        match self {
            Self::Json | Self::Columns | Self::Ndjson => None,
            Self::Csv => Some("csv"),
            Self::Arrow => Some("arrows"),
        }
    }

    /// The format that a request without the parameter is answered in. JSON, if the client would take
    /// anything or nothing of what there is (RFC 9110 lets a server disregard `Accept`).
    pub(crate) fn accepted(request: &HeaderMap) -> Self {
        let mut lists = request.get_all(header::ACCEPT).into_iter();
        match (lists.next().map(|list| list.as_bytes()), lists.next()) {
            // What nearly all clients send.
            (None | Some(b"*/*" | b"application/json"), None) => Self::Json,
            _ => Self::liked_best(request),
        }
    }

    fn liked_best(request: &HeaderMap) -> Self {
        let lists = request.get_all(header::ACCEPT).into_iter();
        let listed: Vec<(String, u16)> = lists
            .filter_map(|list| list.to_str().ok())
            .flat_map(|list| list.split(','))
            .map(weighed)
            .collect();
        // The first of those with the highest weight.
        let best = Self::ALL.into_iter().rev().max_by_key(|format| format.weight(&listed));
        best.filter(|best| best.weight(&listed) > 0).unwrap_or(Self::Json)
    }

    /// The weight of the most specific entry that names this format; 0 if none does.
    fn weight(self, listed: &[(String, u16)]) -> u16 {
        let kind = self.media_type().split('/').next().unwrap_or_default();
        let specific = |name: &str| match name.split_once('/') {
            Some(("*", "*")) => 1,
            Some((named, "*")) if named == kind => 2,
            _ if name == self.media_type() || self.other_names().contains(&name) => 3,
            _ => 0,
        };
        let named = listed.iter().map(|(name, weight)| (specific(name), *weight));
        named.filter(|(specific, _)| *specific > 0).max().map_or(0, |(_, weight)| weight)
    }

    /// What it is called as well, for want of a registered name.
    const fn other_names(self) -> &'static [&'static str] {
        match self {
            Self::Ndjson => &["application/ndjson", "application/jsonl"],
            _ => &[],
        }
    }
}

impl Negotiated {
    /// What a request asks for: the parameter, if it is given, else the header.
    pub(crate) fn of(given: Option<Format>, request: &HeaderMap) -> Self {
        Self { format: given.unwrap_or_else(|| Format::accepted(request)), given }
    }
}

impl Parameter for Format {
    fn schema() -> MetaSchema {
        let words = Self::ALL.into_iter().map(|format| format.name().into());
        let example = Some(Self::Json.name().into());
        MetaSchema { enum_items: words.collect(), example, ..MetaSchema::new("string") }
    }

    fn read(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|format| format.name() == text);
        known.ok_or_else(|| Self::ALL.map(Self::name).join(", "))
    }
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    fn accepted(lists: &[&'static str]) -> Format {
        let mut headers = HeaderMap::new();
        for list in lists {
            headers.append(header::ACCEPT, HeaderValue::from_static(list));
        }
        Format::accepted(&headers)
    }

    #[test]
    fn the_format_is_the_one_that_the_client_likes_best() {
        for (list, expected) in [
            ("*/*", Format::Json),
            ("application/json", Format::Json),
            ("application/*", Format::Json),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Json),
            ("text/csv", Format::Csv),
            ("TEXT/CSV", Format::Csv),
            ("text/*", Format::Csv),
            ("text/csv, */*;q=0.1", Format::Csv),
            ("text/csv;charset=utf-8;q=0.9, application/json;q=0.8", Format::Csv),
            ("text/csv;q=0.8, application/json;q=0.9", Format::Json),
            ("text/csv, application/json", Format::Json),
            ("*/*, application/json;q=0, application/vnd.ohlcv.columns+json;q=0.1", Format::Ndjson),
            ("application/x-ndjson", Format::Ndjson),
            ("application/jsonl", Format::Ndjson),
            ("application/vnd.apache.arrow.stream", Format::Arrow),
            ("application/vnd.apache.arrow.stream, application/x-ndjson;q=0.5", Format::Arrow),
            ("application/vnd.ohlcv.columns+json", Format::Columns),
            // Nothing that there is.
            ("text/html", Format::Json),
            ("text/csv;q=0", Format::Json),
            ("application/json;q=0, text/html", Format::Json),
            ("nonsense", Format::Json),
            ("", Format::Json),
        ] {
            assert_eq!(accepted(&[list]), expected, "{list}");
        }
        assert_eq!(accepted(&[]), Format::Json);
        assert_eq!(accepted(&["text/html", "text/csv"]), Format::Csv, "lists add up");
        assert_eq!(accepted(&["*/*;q=0.1", "text/csv"]), Format::Csv, "lists add up");
    }
}
