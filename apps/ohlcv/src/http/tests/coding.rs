//! Answers are made smaller for those who can read them.

use std::io::Read;

use super::*;

const LARGE: &str = "/api/v1/ohlcv/BTC?fields=all";

/// Status and headers, and the bytes as they come.
async fn fetch(client: &Client, method: Method, url: &str, accept: Option<&str>) -> (HeaderMap, Vec<u8>) {
    let mut request = client.request(method, url);
    if let Some(accept) = accept {
        request = request.header("accept-encoding", accept);
    }
    let (parts, body) = request.send().await.0.into_parts();
    (parts.headers, body.into_vec().await.unwrap())
}

pub(super) fn decoded(coding: Option<&str>, bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match coding {
        None => plain.extend(bytes),
        Some("gzip") => {
            flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
        }
        Some("zstd") => plain = zstd::decode_all(bytes).unwrap(),
        Some(other) => panic!("{other}"),
    }
    plain
}

#[tokio::test]
async fn a_large_answer_is_coded_as_the_client_wants_it() {
    let client = example_client().await;
    let (_, plain) = fetch(&client, Method::GET, LARGE, None).await;
    assert!(plain.len() > 1024);
    let cases = [
        (None, None),
        (Some("identity"), None),
        (Some("br"), None),
        (Some("gzip"), Some("gzip")),
        (Some("zstd"), Some("zstd")),
        (Some("gzip, deflate, br, zstd"), Some("zstd")),
        (Some("gzip;q=1, zstd;q=0"), Some("gzip")),
    ];
    for (accept, expected) in cases {
        let (headers, bytes) = fetch(&client, Method::GET, LARGE, accept).await;
        let coding = headers.get("content-encoding").map(|coding| coding.to_str().unwrap());
        assert_eq!(coding, expected, "{accept:?}");
        let vary: Vec<_> = headers.get_all("vary").into_iter().collect();
        assert_eq!(vary, ["Accept", "Accept-Encoding"], "a cache must know, also of plain answers");
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(decoded(coding, &bytes), plain, "{accept:?}");
        assert!(expected.is_none() || bytes.len() * 2 < plain.len(), "{accept:?}: {}", bytes.len());
    }
}

#[tokio::test]
async fn a_small_answer_stays_as_it_is() {
    let client = example_client().await;
    for url in ["/livez", "/nowhere", "/api/v1/ohlcv/BTC?limit=1"] {
        let (headers, bytes) = fetch(&client, Method::GET, url, Some("gzip, zstd")).await;
        assert!(bytes.len() < 1024 && bytes[0] == b'{', "{url}");
        assert!(!headers.contains_key("content-encoding"), "{url}");
        assert!(headers.get_all("vary").into_iter().all(|vary| vary == "Accept"), "{url}");
    }
}

#[tokio::test]
async fn head_tells_the_length_that_get_would_have() {
    let client = example_client().await;
    for accept in [None, Some("gzip"), Some("zstd")] {
        let (whole, bytes) = fetch(&client, Method::GET, LARGE, accept).await;
        let (head, nothing) = fetch(&client, Method::HEAD, LARGE, accept).await;
        assert!(nothing.is_empty());
        assert_eq!(head["content-length"], bytes.len().to_string().as_str());
        for name in ["content-encoding", "vary", "content-type"] {
            assert_eq!(head.get(name), whole.get(name), "{accept:?}");
        }
    }
}

#[tokio::test]
async fn what_varies_by_origin_and_by_coding_says_both() {
    let cors = CorsOrigins::List(vec!["https://example.org".to_owned()]);
    let client = client_of(example_store().await, cors);
    let (headers, _) = fetch(&client, Method::GET, LARGE, Some("gzip")).await;
    let vary: Vec<&str> = headers.get_all("vary").into_iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(vary, ["Accept", "Origin", "Accept-Encoding"]);
}
