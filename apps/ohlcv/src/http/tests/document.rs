//! The OpenAPI document and its page.

use std::collections::BTreeSet;

use super::super::openapi_document;
use super::*;

fn document() -> Value {
    serde_json::from_str(&openapi_document()).unwrap()
}

/// Path, method and operation of everything documented.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().unwrap().clone();
        let path = path.clone();
        methods.into_iter().map(move |(method, operation)| (path.clone(), method, operation))
    };
    paths.iter().flat_map(of_path).collect()
}

fn properties(document: &Value, schema: &str) -> BTreeSet<String> {
    let schema = &document["components"]["schemas"][schema]["properties"];
    schema.as_object().unwrap_or_else(|| panic!("{document}")).keys().cloned().collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn every_operation_is_documented_with_what_it_may_answer() {
    let document = document();
    let ids: BTreeSet<String> = operations(&document)
        .into_iter()
        .map(|(path, method, operation)| {
            let success = if method == "post" { "202" } else { "200" };
            for status in [success, "400", "500", "503"] {
                assert!(operation["responses"].get(status).is_some(), "{path} {status}");
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(!response["description"].as_str().unwrap().is_empty(), "{path} {status}");
                if status == "304" {
                    assert!(response.get("content").is_none(), "{path}");
                    continue;
                }
                let own = status == success || (path == "/api/v1/health" && status == "503");
                let media_type = if own { "application/json" } else { "application/problem+json" };
                assert!(response["content"][media_type]["schema"]["$ref"].is_string(), "{path} {status}");
            }
            assert!(operation["summary"].is_string() && operation["tags"][0].is_string(), "{path}");
            operation["operationId"].as_str().unwrap().to_owned()
        })
        .collect();
    let expected = [
        "cancel_job",
        "get_candles",
        "get_candles_of_several",
        "get_health",
        "get_job",
        "get_livez",
        "get_prices",
        "get_readyz",
        "get_service",
        "list_assets",
        "list_gaps",
        "list_jobs",
        "list_revisions",
        "trigger_fetch",
    ]
    .map(str::to_owned);
    assert_eq!(ids, BTreeSet::from(expected));
}

#[test]
fn all_that_writes_or_tells_of_it_is_documented_as_needing_a_key() {
    let document = document();
    for (path, method, operation) in operations(&document) {
        let needs_key = path.contains("/jobs") || method != "get";
        let wanted = if needs_key { serde_json::json!([{"ApiKey": []}]) } else { Value::Null };
        assert_eq!(operation["security"], wanted, "{method} {path}");
    }
    let scheme = &document["components"]["securitySchemes"]["ApiKey"];
    assert_eq!((&scheme["in"], &scheme["name"]), (&"header".into(), &"X-API-KEY".into()));
    let body = &document["paths"]["/api/v1/fetch/trigger"]["post"]["requestBody"];
    let schema = &body["content"]["application/json"]["schema"]["$ref"];
    assert_eq!(schema, "#/components/schemas/FetchRequest");
}

#[test]
fn parameters_are_documented_with_their_bounds() {
    let document = document();
    let operation = &document["paths"]["/api/v1/ohlcv/{asset}"]["get"];
    let parameter = |name: &str| {
        let parameters = operation["parameters"].as_array().unwrap();
        parameters.iter().find(|parameter| parameter["name"] == name).unwrap().clone()
    };
    assert_eq!(parameter("asset")["required"], true);
    for name in ["interval", "start", "end", "limit", "fill", "fields", "as_of", "format"] {
        assert_eq!(parameter(name)["required"], false, "{name}");
        assert!(parameter(name)["description"].is_string(), "{name}");
    }
    let limit = &parameter("limit")["schema"];
    assert_eq!((limit["minimum"].as_f64(), limit["maximum"].as_f64()), (Some(1.0), Some(10_000.0)));
    assert_eq!((&limit["type"], &limit["default"]), (&"integer".into(), &1_000.into()));
    assert_eq!(parameter("start")["schema"]["oneOf"][0]["format"], "date-time");
    assert_eq!(parameter("start")["schema"]["oneOf"][1]["type"], "integer");
    assert_eq!(parameter("fill")["schema"]["type"], "boolean");
    assert_eq!(parameter("interval")["schema"]["enum"].as_array().unwrap().len(), 16);
    assert_eq!(parameter("fields")["schema"]["enum"], serde_json::json!(["all"]));
    assert!(operation["responses"].get("404").is_some() && operation["responses"].get("422").is_some());
    assert!(operation["responses"]["200"]["headers"].get("Link").is_some());
    let formats = ["json", "columns", "ndjson", "csv", "arrow"];
    assert_eq!(parameter("format")["schema"]["enum"], serde_json::json!(formats));
    assert_eq!(operation["responses"]["200"]["content"].as_object().unwrap().len(), formats.len());
    let assets = &document["paths"]["/api/v1/prices"]["get"]["parameters"][0];
    assert_eq!((&assets["name"], &assets["required"]), (&"assets".into(), &true.into()));
}

#[test]
fn every_parameter_is_described_with_an_example() {
    let document = document();
    let mut parameters = 0;
    for (path, method, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            assert!(
                !parameter["description"].as_str().unwrap_or_default().is_empty(),
                "{method} {path} {name}"
            );
            let schema = &parameter["schema"];
            assert!(!schema["example"].is_null(), "{method} {path} {name} has no example");
            let words = schema["enum"].as_array();
            assert!(words.is_none_or(|words| words.contains(&schema["example"])), "{method} {path} {name}");
            parameters += 1;
        }
    }
    assert!(parameters > 20, "{parameters}");
    let trigger = &document["paths"]["/api/v1/fetch/trigger"]["post"]["parameters"][0];
    assert_eq!((&trigger["name"], &trigger["in"]), (&"Idempotency-Key".into(), &"header".into()));
    assert_eq!((&trigger["required"], &trigger["schema"]["maxLength"]), (&false.into(), &255.into()));
}

/// Generators of clients take every part of an `allOf` for a type.
#[test]
fn what_is_said_of_a_field_is_no_type_of_its_own() {
    let document = document();
    let mut references = 0;
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for (field, said) in schema["properties"].as_object().into_iter().flatten() {
            let Some(parts) = said["allOf"].as_array() else { continue };
            assert!(parts.len() == 1 && parts[0]["$ref"].is_string(), "{name}.{field}: {said}");
            assert!(said["description"].is_string(), "{name}.{field}: {said}");
            references += 1;
        }
    }
    assert!(references > 5, "{references}");
    assert_eq!(document["components"]["schemas"]["Gap"]["properties"]["incident"]["nullable"], true);
    assert_eq!(document["info"]["license"]["name"], "MIT OR Apache-2.0");
}

#[tokio::test]
async fn bodies_have_the_documented_fields() {
    let document = document();
    let client = example_client().await;
    let candles = get(&client, "/api/v1/ohlcv/BTC?fields=all&interval=1d").await.json();
    assert_eq!(keys(&candles), properties(&document, "Candles"));
    assert_eq!(keys(&candles["data"][0]), properties(&document, "Candle"));
    let columns = get(&client, "/api/v1/ohlcv/BTC?fields=all&interval=1d&format=columns").await.json();
    assert_eq!(keys(&columns), properties(&document, "CandleColumns"));
    assert_eq!(keys(&columns["data"]), properties(&document, "Columns"));
    let several = get(&client, "/api/v1/ohlcv?assets=BTC").await.json();
    assert_eq!(keys(&several), properties(&document, "CandlesOfSeveral"));
    assert_eq!(keys(&several["assets"][0]), properties(&document, "CandlesOfOne"));
    let several = get(&client, "/api/v1/ohlcv?assets=BTC&format=columns").await.json();
    assert_eq!(keys(&several), properties(&document, "CandleColumnsOfSeveral"));
    assert_eq!(keys(&several["assets"][0]), properties(&document, "CandleColumnsOfOne"));
    let prices = get(&client, "/api/v1/prices?assets=BTC").await.json();
    assert_eq!(keys(&prices), properties(&document, "Prices"));
    assert_eq!(keys(&prices["prices"][0]), properties(&document, "Price"));
    let assets = get(&client, "/api/v1/assets").await.json();
    assert_eq!(keys(&assets), properties(&document, "Assets"));
    assert_eq!(keys(&assets["assets"][0]), properties(&document, "Asset"));
    assert_eq!(keys(&get(&client, "/api/v1/health").await.json()), properties(&document, "Health"));
    assert_eq!(keys(&get(&client, "/livez").await.json()), properties(&document, "Probe"));
    let service = get(&client, "/").await.json();
    assert_eq!(keys(&service), properties(&document, "Service"));
    assert_eq!(keys(&service["links"]), properties(&document, "Links"));
    let problem = get(&client, "/api/v1/ohlcv/BTC?limit=0").await.json();
    assert_eq!(keys(&problem), properties(&document, "Problem"));
}

#[tokio::test]
async fn the_served_document_is_the_printed_one() {
    let answer = get(&example_client().await, "/openapi.json").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.text, openapi_document());
}

#[tokio::test]
async fn every_endpoint_refuses_parameters_that_it_does_not_know() {
    let client = example_client().await;
    let open =
        operations(&document()).into_iter().filter(|(_, _, operation)| operation["security"].is_null());
    let documented = open.map(|(path, ..)| path.replace("{asset}", "BTC"));
    for path in documented.chain(["/docs".to_owned(), "/openapi.json".to_owned()]) {
        // What these two are about has to be said.
        let needed =
            if ["/api/v1/ohlcv", "/api/v1/prices"].contains(&path.as_str()) { "assets=BTC&" } else { "" };
        assert_eq!(get(&client, &format!("{path}?{needed}")).await.status, StatusCode::OK, "{path}");
        let answer = get(&client, &format!("{path}?{needed}verbose=1")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(answer.problem().1.contains("\"verbose\""), "{path}");
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let answer = get(&example_client().await, "/docs").await;
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let page = answer.text.to_ascii_lowercase();
    assert!(page.contains("swaggeruibundle") && page.contains("get_candles"));
    // A browser loads from tags and style sheets; the bundle's own code is held by the policy.
    let (style, rest) = page.split_once("</style>").unwrap();
    for outside in ["@import", "url(http", "url(//", "url(\"http", "url('http"] {
        assert!(!style.contains(outside), "{outside}");
    }
    let (_, after_bundle) = rest.rsplit_once("<div id=\"ui\">").unwrap();
    let head = style.split_once("<style").unwrap().0;
    for markup in [head, after_bundle.split_once("let spec").unwrap().0] {
        assert!(!markup.contains("src=") && !markup.contains("<link") && !markup.contains("//"), "{markup}");
    }
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none';") && policy.contains("connect-src 'self'"), "{policy}");
    assert!(!policy.contains("http") && !policy.contains('*'), "{policy}");
}
