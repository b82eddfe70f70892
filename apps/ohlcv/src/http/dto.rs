//! How values look on the wire, and in the document.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hasher};
use std::marker::PhantomData;

use bytes::Bytes;
use ohlcv_domain::Timestamp;
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::Payload;
use poem_openapi::registry::{
    MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::pieces::{body_of, joined};

/// An instant as `2024-11-01T00:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Type for Time {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "time".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            example: Some("2024-11-01T00:00:00Z".into()),
            ..MetaSchema::new_with_format("string", "date-time")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ToJSON for Time {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.to_string().into())
    }
}

impl ParseFromJSON for Time {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let value = value.unwrap_or_default();
        match value.as_str() {
            Some(text) => text.parse().map(Self).map_err(ParseError::custom),
            None => Err(ParseError::expected_type(value)),
        }
    }
}

/// A body of ready-made JSON, documented as a `T`.
///
/// The framework's own JSON body goes through a tree of values, which sorts the names of fields
/// and costs several times the time of writing the bytes.
#[derive(Clone, Debug)]
pub(crate) struct Prepared<T> {
    pieces: Vec<Bytes>,
    shape: PhantomData<fn() -> T>,
}

impl<T> Prepared<T> {
    /// `bytes` must be a `T` in JSON.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self::from_pieces(vec![bytes.into()])
    }

    /// `pieces`, one after the other, must be a `T` in JSON.
    pub(crate) fn from_pieces(pieces: Vec<Bytes>) -> Self {
        Self { pieces: joined(pieces), shape: PhantomData }
    }

    /// What it consists of.
    pub(crate) fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }
}

impl<T> Prepared<T> {
    /// A number that tells the contents.
    pub(crate) fn digest(&self) -> u64 {
        let mut digest = DefaultHasher::new();
        self.pieces.iter().for_each(|piece| digest.write(piece));
        digest.finish()
    }
}

impl<T: Serialize> Prepared<T> {
    pub(crate) fn of(value: &T) -> Self {
        // Holds: plain structs of texts and numbers always have a JSON form.
        Self::from_bytes(serde_json::to_vec(value).unwrap_or_default())
    }
}

impl<T> IntoResponse for Prepared<T> {
    fn into_response(self) -> Response {
        Response::builder().content_type("application/json").body(body_of(self.pieces))
    }
}

impl<T: Type> Payload for Prepared<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Type> Prepared<T> {
    /// The document's words about it.
    pub(crate) fn documented(status: u16, description: &'static str) -> MetaResponse {
        MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content: vec![MetaMediaType {
                content_type: <Self as Payload>::CONTENT_TYPE,
                schema: T::schema_ref(),
            }],
            headers: Vec::new(),
        }
    }
}

impl<T: Type> ApiResponse for Prepared<T> {
    fn meta() -> MetaResponses {
        MetaResponses { responses: vec![Self::documented(200, "The answer.")] }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}
