//! Answers made smaller, where the client can read them and it is worth the work.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::GzEncoder;
use poem::http::{HeaderMap, HeaderValue, header};
use poem::{Body, Response};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use super::pieces::sized;

/// Smaller bodies fit a packet or two as they are, in bytes.
pub(crate) const BODY_BYTES_MIN: u64 = 1024;
/// Bodies worked on at once; the others wait. Each keeps a core busy for some milliseconds.
const AT_ONCE_MAX: usize = 4;
/// Much of what the highest level saves, at a fraction of its time.
const GZIP_LEVEL: u32 = 4;
const ZSTD_LEVEL: i32 = 3;
/// The length of what is made of a usual answer.
const MADE_BYTES_TYPICAL: u64 = 16 * 1024;
/// A weight of one; weights are thousandths.
const WEIGHT_MAX: u16 = 1000;

/// How a body is coded, in rising order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Coding {
    Gzip,
    Zstd,
}

impl Coding {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// The coding that the client likes best, if it likes one at least as much as none.
    pub(crate) fn wanted(request: &HeaderMap) -> Option<Self> {
        let mut lists = request.get_all(header::ACCEPT_ENCODING).into_iter().peekable();
        lists.peek()?;
        let listed: Vec<(String, u16)> = lists
            .filter_map(|list| list.to_str().ok())
            .flat_map(|list| list.split(','))
            .map(weighed)
            .collect();
        let weight = |name: &str| listed.iter().find(|(listed, _)| listed == name).map(|(_, weight)| *weight);
        let identity = weight("identity").unwrap_or(0);
        let weighed = [Self::Gzip, Self::Zstd].map(|coding| {
            let weight = weight(coding.name()).or_else(|| weight("*")).unwrap_or(0);
            (weight, coding)
        });
        let best = weighed.into_iter().max()?;
        (best.0 > 0 && best.0 >= identity).then_some(best.1)
    }

    pub(crate) fn encode(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL));
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Self::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL),
        }
    }
}

/// A name and its weight, from `gzip;q=0.5`. What cannot be read has none.
pub(crate) fn weighed(element: &str) -> (String, u16) {
    let mut parts = element.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let given = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    (name, given.map_or(WEIGHT_MAX, |given| thousandths(given).unwrap_or(0)))
}

/// `0.5` as 500: a number from 0 to 1 with up to three decimals.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = decimals.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(whole, "0" | "1") || decimals.len() > 3 || !digits {
        return None;
    }
    format!("{whole}{decimals:0<3}").parse().ok().filter(|weight| *weight <= WEIGHT_MAX)
}

/// Codes answers, and keeps what it made of those that have a tag.
pub(crate) struct Compression {
    made: Cache<(HeaderValue, Coding), Bytes, MadeBytes>,
    turns: Semaphore,
}

#[derive(Clone, Debug)]
struct MadeBytes;

impl Weighter<(HeaderValue, Coding), Bytes> for MadeBytes {
    fn weight(&self, key: &(HeaderValue, Coding), made: &Bytes) -> u64 {
        (key.0.len() + made.len()) as u64
    }
}

impl Compression {
    /// Keeps at most so many bytes.
    pub(crate) fn keeping(bytes_max: u64) -> Self {
        let items = usize::try_from(bytes_max / MADE_BYTES_TYPICAL).unwrap_or(usize::MAX);
        let made = Cache::with_weighter(items, bytes_max, MadeBytes);
        Self { made, turns: Semaphore::new(AT_ONCE_MAX) }
    }

    /// The answer, coded as the client likes it best if it is large enough. One whose length is not known
    /// beforehand is sent as it is.
    pub(crate) fn coded(&self, mut response: Response, wanted: Option<Coding>) -> Coded {
        let (body, length) = sized(response.take_body());
        let large = length.filter(|bytes| *bytes >= BODY_BYTES_MIN);
        let Some(bytes) = large.filter(|_| !response.headers().contains_key(header::CONTENT_ENCODING)) else {
            response.set_body(body);
            return Coded::Done(response, length);
        };
        vary_by_coding(response.headers_mut());
        let Some(coding) = wanted else {
            response.set_body(body);
            return Coded::Done(response, Some(bytes));
        };
        let key = response.headers().get(header::ETAG).map(|tag| (tag.clone(), coding));
        match key.as_ref().and_then(|key| self.made.get(key)) {
            Some(made) => {
                let (response, bytes) = as_coded(response, made, coding);
                Coded::Done(response, bytes)
            }
            None => Coded::ToDo(Work { response, body, coding, key }),
        }
    }

    /// Codes an answer; sends it as it is if that fails.
    pub(crate) async fn make(&self, work: Work) -> (Response, Option<u64>) {
        let Work { mut response, body, coding, key } = work;
        // In memory already, so this waits for nothing.
        let plain = body.into_bytes().await.unwrap_or_default();
        // Never closed, so a turn always comes.
        let _turn = self.turns.acquire().await;
        let work = tokio::task::spawn_blocking({
            let plain = plain.clone();
            move || coding.encode(&plain)
        });
        match work.await.map_err(io::Error::other).flatten() {
            Ok(made) => {
                let made = Bytes::from(made);
                if let Some(key) = key {
                    self.made.insert(key, made.clone());
                }
                as_coded(response, made, coding)
            }
            Err(error) => {
                tracing::error!(%error, coding = coding.name(), "an answer could not be compressed");
                let bytes = plain.len() as u64;
                response.set_body(plain);
                (response, Some(bytes))
            }
        }
    }
}

/// What became of an answer that may have to be coded.
pub(crate) enum Coded {
    /// It is as it has to be. Its length in bytes, if that is known.
    Done(Response, Option<u64>),
    /// It has to be coded first.
    ToDo(Work),
}

/// An answer that has to be coded.
pub(crate) struct Work {
    response: Response,
    body: Body,
    coding: Coding,
    // What it is kept under.
    key: Option<(HeaderValue, Coding)>,
}

/// The answer with the body that was made of its own.
fn as_coded(mut response: Response, made: Bytes, coding: Coding) -> (Response, Option<u64>) {
    let bytes = made.len() as u64;
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    response.set_body(made);
    (response, Some(bytes))
}

/// Says, once, that the answer depends on how the client wants it to be coded.
pub(crate) fn vary_by_coding(headers: &mut HeaderMap) {
    let name = HeaderValue::from_static("Accept-Encoding");
    if headers.get_all(header::VARY).into_iter().all(|said| said != name) {
        headers.append(header::VARY, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(lists: &[&'static str]) -> Option<Coding> {
        let mut headers = HeaderMap::new();
        for list in lists {
            headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(list));
        }
        Coding::wanted(&headers)
    }

    #[test]
    fn the_coding_is_the_one_that_the_client_likes_best() {
        for (list, expected) in [
            ("gzip", Some(Coding::Gzip)),
            ("GZIP", Some(Coding::Gzip)),
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("zstd;q=0.5, gzip;q=0.9", Some(Coding::Gzip)),
            ("zstd;q=0.5,gzip ; q=0.500", Some(Coding::Zstd)),
            ("*", Some(Coding::Zstd)),
            ("*;q=0.1, zstd;q=0", Some(Coding::Gzip)),
            ("identity;q=0.5, gzip;q=0.1", None),
            ("identity, gzip", Some(Coding::Gzip)),
            ("gzip;q=0", None),
            ("gzip;q=0.000, *;q=0", None),
            ("gzip;q=1.5, zstd;q=lots", None),
            ("gzip;q=1.0001", None),
            ("br, deflate", None),
            ("identity", None),
            ("", None),
        ] {
            assert_eq!(wanted(&[list]), expected, "{list}");
        }
        assert_eq!(wanted(&[]), None);
        assert_eq!(wanted(&["br", "gzip"]), Some(Coding::Gzip), "lists add up");
    }
}
