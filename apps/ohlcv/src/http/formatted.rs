//! Answers with rows in the formats that are not kept ready: whole where they are a page, else streamed.

use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::sync::Arc;

use futures::future::try_join_all;
use ohlcv_domain::{Asset, Interval};
use ohlcv_usecases::{CandlePage, CandleQuery, QueryCandles, QueryError, RowPages};
use poem::http::{HeaderValue, header};
use poem::{Body, IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaMediaType, MetaResponses, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::Type;

use super::admission::Admission;
use super::dto::Prepared;
use super::formats::{Encoder, Format, Layout, Negotiated, Shape};
use super::no_answer::NoAnswer;
use super::paged::{Paged, add_control};
use super::problem::Problem;
use super::row_stream::RowStreams;

/// How many rows are read at a time for an answer of any length.
pub(crate) const STREAM_PAGE_ROWS: u32 = if cfg!(test) { 4 } else { 4_096 };

/// Reads rows for answers that are not kept ready.
#[derive(Clone)]
pub(crate) struct Formatted {
    pub(crate) query: QueryCandles,
    pub(crate) streams: RowStreams,
    pub(crate) admission: Arc<Admission>,
    pub(crate) no_answer: NoAnswer,
}

/// Which rows somebody wants, and how.
#[derive(Clone, Debug)]
pub(crate) struct RowsWanted {
    pub(crate) format: Format,
    /// A query for each asset. They differ in nothing else.
    pub(crate) queries: Vec<CandleQuery>,
    /// Whether only so many rows are wanted as the queries say, of each asset.
    pub(crate) limited: bool,
    pub(crate) all_fields: bool,
    /// Whether each row says whose it is.
    pub(crate) with_asset: bool,
    /// Whether the answer can never change.
    pub(crate) for_ever: bool,
}

impl RowsWanted {
    /// Which interval the rows are of, if not of the stored one.
    pub(crate) fn derived(&self) -> Option<Interval> {
        self.queries.first().and_then(|query| query.interval)
    }

    /// Which fields they have.
    pub(crate) fn shape(&self) -> Shape {
        Shape { all_fields: self.all_fields, derived: self.derived().is_some() }
    }

    fn layout(&self, interval: Interval) -> Layout {
        let shape = self.shape();
        let assets: Vec<Asset> = self.queries.iter().map(|query| query.asset).collect();
        match assets.as_slice() {
            [asset] if !self.with_asset => Layout::of_one(*asset, interval, shape),
            _ => Layout::of_several(assets, interval, shape),
        }
    }
}

impl Formatted {
    /// The interval of the rows.
    pub(crate) fn interval(&self, wanted: &RowsWanted) -> Interval {
        wanted.derived().unwrap_or(self.query.stored_interval())
    }

    /// The page that each query means, from the database. Who asks for several has one turn.
    pub(crate) async fn pages(&self, queries: &[CandleQuery]) -> Result<Vec<CandlePage>, Problem> {
        let _turn = self.admission.turn()?;
        let mut pages = Vec::with_capacity(queries.len());
        for query in queries {
            pages.push(self.query.run(*query).await.map_err(|error| self.no_answer.problem(error))?);
        }
        Ok(pages)
    }

    /// Rows as lines, as a table or as Arrow: with a limit the page, else all there are. The second
    /// value is the page that a single query came to, without its rows.
    pub(crate) async fn rows(&self, wanted: &RowsWanted) -> Result<(Response, CandlePage), Problem> {
        let layout = wanted.layout(self.interval(wanted));
        let file = layout.file_stem();
        let encoder = Encoder::begin(wanted.format, layout).map_err(unwritten)?;
        // Holds: the other formats are answered elsewhere.
        let mut encoder = encoder.ok_or_else(Problem::internal)?;
        let mut around = CandlePage::default();
        let mut unfinished = None;
        let body = if wanted.limited {
            for (query, page) in wanted.queries.iter().zip(self.pages(&wanted.queries).await?) {
                if !page.rows.is_empty() {
                    encoder.push(query.asset, &page.rows).map_err(unwritten)?;
                }
                around = CandlePage { rows: Vec::new(), ..page };
            }
            encoder.finish().map_err(unwritten)?;
            Body::from_vec(encoder.take())
        } else {
            self.known(&wanted.queries).await?;
            let size = NonZeroU32::new(STREAM_PAGE_ROWS).unwrap_or(NonZeroU32::MIN);
            let pages = wanted
                .queries
                .iter()
                .map(|query| RowPages::of(self.query.clone(), CandleQuery { limit: size, ..*query }));
            let (body, cut) = self.streams.begin(pages.collect(), encoder).await?;
            unfinished = Some(cut);
            body
        };
        let mut response = Response::builder().content_type(content_type(wanted.format)).body(body);
        if let Some(extension) = wanted.format.file_extension()
            && let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{file}.{extension}\""))
        {
            response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
        }
        if let Some(unfinished) = unfinished {
            response.extensions_mut().insert(unfinished);
        }
        add_control(&mut response, wanted.for_ever);
        Ok((response, around))
    }

    /// Whether all of the assets are known: later it could no longer be told.
    async fn known(&self, queries: &[CandleQuery]) -> Result<(), Problem> {
        let all = queries.iter().map(|query| self.query.check(query));
        try_join_all(all).await.map(drop).map_err(|error: QueryError| self.no_answer.problem(error))
    }
}

fn unwritten(error: std::io::Error) -> Problem {
    tracing::error!(%error, "rows could not be written");
    Problem::internal()
}

fn content_type(format: Format) -> &'static str {
    match format {
        Format::Csv => "text/csv; charset=utf-8; header=present",
        format => format.media_type(),
    }
}

/// An answer in one of the formats, documented as `J` in JSON and as `C` in columns.
pub(crate) struct InAnyFormat<J, C> {
    response: Response,
    shape: PhantomData<fn() -> (J, C)>,
}

impl<J, C> InAnyFormat<J, C> {
    pub(crate) fn of(response: impl IntoResponse, negotiated: Negotiated) -> Self {
        Self { response: varying(response, negotiated), shape: PhantomData }
    }
}

/// The answer; says that it depends on `Accept`, where it does.
pub(crate) fn varying(response: impl IntoResponse, negotiated: Negotiated) -> Response {
    let mut response = response.into_response();
    if negotiated.given.is_none() {
        response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept"));
    }
    response
}

/// A page of columns.
pub(crate) fn columns_page<C: Send>(
    bytes: serde_json::Result<Vec<u8>>,
    link: Option<String>,
    for_ever: bool,
) -> Result<Response, Problem> {
    let body: Prepared<C> = Prepared::from_bytes(bytes.map_err(|error| unwritten(error.into()))?);
    let page = Paged { digest: body.digest(), body, link, for_ever, made_of: None };
    Ok(page.into_response().set_content_type(Format::Columns.media_type()))
}

impl<J: Send, C: Send> IntoResponse for InAnyFormat<J, C> {
    fn into_response(self) -> Response {
        self.response
    }
}

impl<J: Type, C: Type> ApiResponse for InAnyFormat<J, C> {
    fn meta() -> MetaResponses {
        let mut meta = Paged::<J>::meta();
        let lines = |what: &'static str| MetaSchema { description: Some(what), ..MetaSchema::new("string") };
        let others = [
            (Format::Columns, C::schema_ref()),
            (Format::Ndjson, inline(lines("A row in JSON on each line."))),
            (Format::Csv, inline(lines("A line of names, then a line for each row."))),
            (
                Format::Arrow,
                inline(MetaSchema {
                    description: Some("An Arrow IPC stream."),
                    ..MetaSchema::new_with_format("string", "binary")
                }),
            ),
        ];
        let others =
            others.map(|(format, schema)| MetaMediaType { content_type: format.media_type(), schema });
        if let Some(page) = meta.responses.first_mut() {
            page.content.extend(others);
        }
        meta
    }

    fn register(registry: &mut Registry) {
        J::register(registry);
        C::register(registry);
    }
}

fn inline(schema: MetaSchema) -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(schema))
}
