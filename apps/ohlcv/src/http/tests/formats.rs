//! The same rows in every format, and how a request says which one it wants.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, TimestampMillisecondType, UInt32Type};
use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_schema::DataType;

use super::super::formatted::STREAM_PAGE_ROWS;
use super::*;

const URL: &str = "/api/v1/ohlcv/BTC";
const CSV: &str = "text/csv; charset=utf-8; header=present";
const ARROW: &str = "application/vnd.apache.arrow.stream";
const COLUMNS: &str = "application/vnd.ohlcv.columns+json";
const NDJSON: &str = "application/x-ndjson";

/// A row as its fields and what stands there, as text; nothing where it is not known.
type Fields = Vec<(String, String)>;

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn of_objects(rows: &[Value]) -> Vec<Fields> {
    let fields = |row: &Value| {
        let row = row.as_object().unwrap();
        let mut fields: Fields = row.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        fields.sort();
        fields
    };
    rows.iter().map(fields).collect()
}

pub(super) fn of_lines(lines: &str) -> Vec<Fields> {
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.is_empty() || lines.ends_with('\n'));
    of_objects(&rows)
}

fn of_table(table: &str) -> Vec<Fields> {
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let names = reader.headers().unwrap().clone();
    let fields = |record: csv::StringRecord| {
        let mut fields: Fields =
            names.iter().map(str::to_owned).zip(record.iter().map(str::to_owned)).collect();
        fields.sort();
        fields
    };
    reader.records().map(|record| fields(record.unwrap())).collect()
}

fn of_columns(data: &Value) -> Vec<Fields> {
    let data = data.as_object().unwrap();
    let len = data["timestamp"].as_array().unwrap().len();
    assert!(data.values().all(|column| column.as_array().unwrap().len() == len));
    let fields = |at: usize| {
        let mut fields: Fields =
            data.iter().map(|(name, column)| (name.clone(), text(&column[at]))).collect();
        fields.sort();
        fields
    };
    (0..len).map(fields).collect()
}

pub(super) fn of_batches(batches: &[RecordBatch]) -> Vec<Fields> {
    let mut rows = Vec::new();
    for batch in batches {
        for at in 0..batch.num_rows() {
            let columns = batch.schema_ref().fields().iter().zip(batch.columns());
            let mut fields: Fields =
                columns.map(|(field, column)| (field.name().clone(), shown(column, at))).collect();
            fields.sort();
            rows.push(fields);
        }
    }
    rows
}

fn shown(column: &dyn Array, at: usize) -> String {
    if column.is_null(at) {
        return String::new();
    }
    match column.data_type() {
        DataType::Timestamp(_, zone) => {
            assert_eq!(zone.as_deref(), Some("UTC"));
            let millis = column.as_primitive::<TimestampMillisecondType>().value(at);
            Timestamp::from_millis(millis).unwrap().to_string()
        }
        DataType::Decimal128(38, 8) => {
            let units = column.as_primitive::<Decimal128Type>().value(at);
            format!("{}.{:08}", units / 100_000_000, units % 100_000_000)
        }
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(at).to_string(),
        DataType::Boolean => column.as_boolean().value(at).to_string(),
        DataType::Utf8 => column.as_string::<i32>().value(at).to_owned(),
        other => panic!("{other}"),
    }
}

/// The bytes of an answer, and its headers.
pub(super) async fn bytes_of(client: &Client, url: &str, accept: Option<&str>) -> (HeaderMap, Vec<u8>) {
    let mut request = client.get(url);
    if let Some(accept) = accept {
        request = request.header("accept", accept);
    }
    let response = request.send().await.0;
    assert_eq!(response.status(), StatusCode::OK, "{url}");
    let (parts, body) = response.into_parts();
    (parts.headers, body.into_vec().await.unwrap())
}

pub(super) fn batches(bytes: &[u8]) -> Vec<RecordBatch> {
    StreamReader::try_new(bytes, None).unwrap().map(|batch| batch.unwrap()).collect()
}

#[tokio::test]
async fn every_format_has_the_same_rows() {
    let client = example_client().await;
    for options in [
        "start=0",
        "start=0&fill=true",
        "start=0&fields=all",
        "start=0&fill=true&fields=all&end=2024-11-07T00:00:00Z",
        "start=0&interval=1d&fill=true&fields=all",
    ] {
        let interval = if options.contains("interval") { "1d" } else { "12h" };
        let url = format!("{URL}?{options}&format=");
        let json = get(&client, &format!("{url}json")).await;
        let expected = of_objects(&json.rows());
        assert!(expected.len() > 2 * STREAM_PAGE_ROWS as usize, "several pages");
        let columns = get(&client, &format!("{url}columns")).await.json();
        assert_eq!((&columns["asset"], &columns["interval"]), (&"BTC".into(), &interval.into()));
        assert_eq!(columns["count"], expected.len());
        assert_eq!(of_columns(&columns["data"]), expected, "{options}");
        assert_eq!(of_lines(&get(&client, &format!("{url}ndjson")).await.text), expected, "{options}");
        assert_eq!(of_table(&get(&client, &format!("{url}csv")).await.text), expected, "{options}");
        let (_, arrow) = bytes_of(&client, &format!("{url}arrow"), None).await;
        assert_eq!(of_batches(&batches(&arrow)), expected, "{options}");
    }
}

#[tokio::test]
async fn a_table_and_lines_are_these_very_bytes() {
    let client = example_client().await;
    let range = "start=2024-11-01T00:00:00Z&end=2024-11-02T00:00:00Z&fields=all";
    assert_eq!(
        get(&client, &format!("{URL}?{range}&format=csv")).await.text,
        "timestamp,open,high,low,close,volume,filled,quote_volume,trades,taker_buy_volume,taker_buy_quote_volume\n\
         2024-11-01T00:00:00Z,100.50000000,100.90000000,100.00000000,100.70000000,2.50000000,false,250.25000000,42,1.50000000,150.12500000\n\
         2024-11-01T12:00:00Z,101.50000000,101.90000000,101.00000000,101.70000000,2.50000000,false,,,,\n"
    );
    let json = get(&client, &format!("{URL}?{range}")).await.text;
    let lines = get(&client, &format!("{URL}?{range}&format=ndjson")).await.text;
    let rows = lines.trim_end().replace('\n', ",");
    assert_eq!(json, format!(r#"{{"asset":"BTC","interval":"12h","data":[{rows}],"count":2}}"#));
}

#[tokio::test]
async fn without_rows_there_are_names_a_schema_or_nothing() {
    let client = example_client().await;
    let names = "timestamp,open,high,low,close,volume,filled\n";
    for options in ["?start=2030-01-01T00:00:00Z", "?start=2030-01-01T00:00:00Z&limit=5"] {
        for asset in ["BTC", "ETH"] {
            let url = format!("/api/v1/ohlcv/{asset}{options}&format=");
            assert_eq!(get(&client, &format!("{url}csv")).await.text, names);
            assert_eq!(get(&client, &format!("{url}ndjson")).await.text, "");
            let (_, arrow) = bytes_of(&client, &format!("{url}arrow"), None).await;
            let reader = StreamReader::try_new(arrow.as_slice(), None).unwrap();
            assert_eq!(reader.schema().metadata().get("asset").map(String::as_str), Some(asset));
            assert_eq!(reader.schema().metadata().get("interval").map(String::as_str), Some("12h"));
            assert_eq!(reader.schema().fields().len(), 7);
            assert_eq!(reader.count(), 0);
            let columns = get(&client, &format!("{url}columns")).await.json();
            assert_eq!((&columns["data"]["open"], &columns["count"]), (&serde_json::json!([]), &0.into()));
        }
    }
}

#[tokio::test]
async fn the_parameter_wins_over_the_header() {
    let client = example_client().await;
    for (url, accept, expected) in [
        (URL.to_owned(), None, "application/json"),
        (URL.to_owned(), Some("*/*"), "application/json"),
        (URL.to_owned(), Some("text/html"), "application/json"),
        (URL.to_owned(), Some("text/csv"), CSV),
        (URL.to_owned(), Some(ARROW), ARROW),
        (URL.to_owned(), Some(NDJSON), NDJSON),
        (URL.to_owned(), Some(COLUMNS), COLUMNS),
        (format!("{URL}?format=json"), Some("text/csv"), "application/json"),
        (format!("{URL}?format=csv"), Some("application/json"), CSV),
        (format!("{URL}?format=arrow"), None, ARROW),
    ] {
        let (headers, _) = bytes_of(&client, &url, accept).await;
        assert_eq!(headers["content-type"], expected, "{url} {accept:?}");
        let varies = headers.get_all("vary").into_iter().any(|vary| vary == "Accept");
        assert_eq!(varies, url == URL, "{url} {accept:?}");
    }
}

#[tokio::test]
async fn a_question_that_was_answered_before_is_answered_as_this_client_wants_it() {
    let client = example_client().await;
    let url = "/api/v1/ohlcv/BTC?limit=3";
    for _ in 0..2 {
        for (accept, expected) in [
            (None, "application/json"),
            (Some("text/csv"), CSV),
            (Some(COLUMNS), COLUMNS),
            (Some("application/json"), "application/json"),
            (Some(ARROW), ARROW),
        ] {
            let (headers, _) = bytes_of(&client, url, accept).await;
            assert_eq!(headers["content-type"], expected);
            assert_eq!(headers["vary"], "Accept");
        }
    }
    let tag = |headers: &HeaderMap| headers.get("etag").cloned();
    let (json, _) = bytes_of(&client, url, None).await;
    let (columns, _) = bytes_of(&client, url, Some(COLUMNS)).await;
    assert!(tag(&json).is_some() && tag(&columns).is_some() && tag(&json) != tag(&columns));
    let known = json["etag"].to_str().unwrap();
    let again = send(&client, Method::GET, url, &[("if-none-match", known)]).await;
    assert_eq!((again.status, again.header("vary")), (StatusCode::NOT_MODIFIED, Some("Accept")));
    let other = send(&client, Method::GET, url, &[("if-none-match", known), ("accept", COLUMNS)]).await;
    assert_eq!(other.status, StatusCode::OK);
}

#[tokio::test]
async fn with_a_limit_every_format_is_one_page_with_links() {
    let client = example_client().await;
    let whole = of_table(&get(&client, &format!("{URL}?format=csv")).await.text);
    for format in ["columns", "ndjson", "csv"] {
        let mut url = Some(format!("{URL}?start=0&limit=4&format={format}"));
        let mut rows = Vec::new();
        while let Some(page) = url {
            let answer = get(&client, &page).await;
            let read = match format {
                "columns" => of_columns(&answer.json()["data"]),
                "csv" => of_table(&answer.text),
                _ => of_lines(&answer.text),
            };
            assert!(read.len() <= 4);
            rows.extend(read);
            url = answer.link("next");
        }
        assert_eq!(rows, whole, "{format}");
    }
    let newest = of_table(&get(&client, &format!("{URL}?limit=2&format=csv")).await.text);
    assert_eq!(newest, whole[whole.len() - 2..]);
    let asked =
        send(&client, Method::GET, &format!("{URL}?start=0&limit=2"), &[("accept", "text/csv")]).await;
    assert!(!asked.link("next").unwrap().contains("format"), "the header says it again");
    let json = get(&client, &format!("{URL}?start=0&limit=2&format=json")).await;
    assert!(json.link("next").unwrap().ends_with("limit=2&format=json"));
}

#[tokio::test]
async fn a_long_answer_has_no_length_no_tag_and_no_links() {
    let client = example_client().await;
    let answer = get(&client, &format!("{URL}?format=csv&start=2024-11-02T00:00:00Z")).await;
    for name in ["content-length", "etag", "link", "content-encoding"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"BTC-12h.csv\""));
    let head = send(&client, Method::HEAD, &format!("{URL}?format=csv"), &[]).await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    assert_eq!((head.header("content-length"), head.header("content-type")), (None, Some(CSV)));
    // What is a page is whole in memory, so it is told, and made smaller.
    let page = format!("{URL}?format=csv&limit=1000&fields=all");
    let small = send(&client, Method::HEAD, &page, &[("accept-encoding", "gzip")]).await;
    assert!(small.header("content-length").is_some());
    assert_eq!(small.header("content-encoding"), Some("gzip"));
    let settled = get(&client, &format!("{URL}?format=csv&as_of=2024-11-08T11:00:00Z")).await;
    assert_eq!(settled.header("cache-control"), Some("public, max-age=31536000, immutable"));
}

#[tokio::test]
async fn what_is_wrong_with_a_question_is_told_in_every_format() {
    let client = example_client().await;
    for format in ["columns", "ndjson", "csv", "arrow"] {
        for (url, status, code) in [
            (format!("/api/v1/ohlcv/SOL?format={format}"), 404, "unknown_asset"),
            (format!("{URL}?start=200000000000&end=100000000000&format={format}"), 422, "empty_range"),
            (format!("{URL}?limit=0&format={format}"), 400, "bad_parameter"),
        ] {
            let answer = get(&client, &url).await;
            assert_eq!((answer.status.as_u16(), answer.problem().0.as_str()), (status, code), "{url}");
        }
        let away = client_of(Arc::new(stores::BrokenStore::Away), CorsOrigins::None);
        assert_eq!(get(&away, &format!("{URL}?format={format}")).await.problem().0, "unavailable");
        let full =
            HttpParts { database_requests_max: 0, ..parts_of(example_store().await, CorsOrigins::None) };
        let full = serving(full);
        assert_eq!(get(&full, &format!("{URL}?format={format}")).await.problem().0, "overloaded");
    }
}
