//! What clients see of the holes.

use super::*;

/// More pages than any series here has; following links ends before.
const PAGES_MAX: usize = 2 * SLOTS;
const GAPS: &str = "/api/v1/assets/BTC/gaps";

/// The holes of an answer.
fn gaps(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let json = answer.json();
    let gaps = json["gaps"].as_array().unwrap().clone();
    assert_eq!(json["count"], gaps.len());
    gaps
}

/// Where the holes of an answer begin.
fn starts(answer: &Answer) -> Vec<String> {
    gaps(answer).iter().map(|gap| gap["start"].as_str().unwrap().to_owned()).collect()
}

fn slots(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| slot(number).to_string()).collect()
}

/// All holes behind `url`, following links in one direction; the pages in the order they came.
async fn follow(client: &Client, url: &str, rel: &str) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut url = Some(url.to_owned());
    while let Some(page_url) = url {
        assert!(pages.len() < PAGES_MAX, "no end of links: {page_url}");
        let answer = get(client, &page_url).await;
        pages.push(gaps(&answer));
        url = answer.link(rel);
    }
    pages
}

#[tokio::test]
async fn every_hole_is_listed_with_all_that_is_known_of_it() {
    let answer = get(&example_client().await, GAPS).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    // All of it was written at the end of the last slot.
    let written = slot(SLOTS).to_string();
    let gap = |start: usize, end: usize, cause: &str, asked: u32, last_asked: Value| {
        serde_json::json!({
            "start": slot(start).to_string(), "end": slot(end).to_string(), "slots": end - start,
            "cause": cause, "detail": null, "since": written, "asked": asked, "last_asked": last_asked,
            "incident": null,
        })
    };
    let expected = serde_json::json!({"asset": "BTC", "interval": "12h", "count": 3, "gaps": [
        gap(5, 7, "source_empty", 1, written.clone().into()),
        gap(12, 13, "source_empty", 1, written.clone().into()),
        gap(18, 20, "pending", 0, Value::Null),
    ]});
    assert_eq!(answer.json(), expected);
    assert_eq!(answer.link("next"), None);
    assert_eq!(answer.link("prev"), None);
}

#[tokio::test]
async fn a_rejected_hole_shows_the_rule_and_the_row() {
    let store = MemoryStore::new();
    let asked = SlotRange::new(Grid::new(Interval::H12), slot(0), slot(2)).unwrap();
    let detail = "negative: [1730419200000,\"-1\"]";
    let rejected = Commit::of_finding(asset("BTC"), asked, Cause::Rejected, detail, slot(3));
    store.apply(rejected).await.unwrap();
    let client = client_of(Arc::new(store), CorsOrigins::None);
    let gap = gaps(&get(&client, GAPS).await)[0].clone();
    assert_eq!((&gap["cause"], &gap["detail"]), (&"rejected".into(), &detail.into()));
}

#[tokio::test]
async fn a_hole_of_a_known_outage_says_what_happened_and_how_that_is_known() {
    let store = MemoryStore::new();
    let start = at("2018-02-08T00:00:00Z");
    let candles =
        [0, 2].map(|number| Candle::flat(Grid::new(Interval::H12).step(start, number), "1".parse().unwrap()));
    write(&store, "BTC", candles.to_vec(), Grid::new(Interval::H12).step(start, 3)).await;
    let answer = get(&client_of(Arc::new(store), CorsOrigins::None), GAPS).await;
    let incident = gaps(&answer)[0]["incident"].clone();
    assert_eq!(incident["start"], "2018-02-08T00:28:14Z");
    assert_eq!(incident["end"], "2018-02-09T09:59:00Z");
    for text in ["detail", "source"] {
        assert!(!incident[text].as_str().unwrap().is_empty(), "{incident}");
    }
}

#[tokio::test]
async fn holes_that_overlap_the_range_are_listed_whole() {
    let client = example_client().await;
    for (start, end, expected) in
        [(6, 12, vec![5]), (6, 13, vec![5, 12]), (7, 12, vec![]), (13, 30, vec![18])]
    {
        let url = format!("{GAPS}?start={}&end={}", slot(start), slot(end).millis());
        assert_eq!(starts(&get(&client, &url).await), slots(expected), "{url}");
    }
}

#[tokio::test]
async fn one_cause_can_be_asked_for_alone() {
    let client = example_client().await;
    for (cause, expected) in [("source_empty", vec![5, 12]), ("pending", vec![18]), ("failed", vec![])] {
        let answer = get(&client, &format!("{GAPS}?cause={cause}")).await;
        assert_eq!(starts(&answer), slots(expected), "{cause}");
    }
    let first = get(&client, &format!("{GAPS}?start=0&limit=1&cause=source_empty")).await;
    let next = format!("{GAPS}?start={}&limit=1&cause=source_empty", slot(7));
    assert_eq!(first.link("next"), Some(next.clone()));
    let second = get(&client, &next).await;
    assert_eq!((starts(&second), second.link("next")), (slots([12]), None));
}

#[tokio::test]
async fn pages_of_any_size_have_the_same_holes_forwards_and_backwards() {
    let client = example_client().await;
    let whole = gaps(&get(&client, GAPS).await);
    for limit in 1..=4 {
        let forwards =
            follow(&client, &format!("{GAPS}?start=2020-01-01T00:00:00Z&limit={limit}"), "next").await;
        assert_eq!(forwards.concat(), whole, "{limit}");
        let mut backwards = follow(&client, &format!("{GAPS}?limit={limit}"), "prev").await;
        backwards.reverse();
        assert_eq!(backwards.concat(), whole, "{limit}");
    }
}

#[tokio::test]
async fn an_asset_without_holes_has_an_empty_list() {
    let client = example_client().await;
    for name in ["ETH", "eth", "DOGE"] {
        let answer = get(&client, &format!("/api/v1/assets/{name}/gaps")).await;
        assert_eq!(gaps(&answer), Vec::<Value>::new());
        assert_eq!(answer.json()["asset"], name.to_uppercase());
    }
}

#[tokio::test]
async fn careless_requests_are_told_what_is_wrong() {
    let client = example_client().await;
    let causes = "pending, source_empty, before_listing, rejected, failed";
    let cases = [
        (format!("{GAPS}?cause=missing"), 400, "bad_parameter", ["cause is \"missing\"", causes]),
        (format!("{GAPS}?cause="), 400, "bad_parameter", ["cause is \"\"", causes]),
        (format!("{GAPS}?cause=PENDING"), 400, "bad_parameter", ["cause is \"PENDING\"", causes]),
        (format!("{GAPS}?limit=0"), 400, "bad_parameter", ["limit is \"0\"", "from 1 to 10000"]),
        (format!("{GAPS}?limit=10001"), 400, "bad_parameter", ["limit is \"10001\"", "from 1 to 10000"]),
        (format!("{GAPS}?start=now"), 400, "bad_parameter", ["start is \"now\"", "RFC 3339"]),
        (format!("{GAPS}?end=1730419200"), 400, "bad_parameter", ["end is \"1730419200\"", "not seconds"]),
        (format!("{GAPS}?fill=true"), 400, "unknown_parameter", ["\"fill\"", "start, end, cause, limit"]),
        (
            format!("{GAPS}?cause=failed&cause=pending"),
            400,
            "repeated_parameter",
            ["cause", "allowed is once"],
        ),
        (
            format!("{GAPS}?start={}&end={}", slot(1), slot(1)),
            422,
            "empty_range",
            ["is not before end", "allowed are later ones"],
        ),
        (
            "/api/v1/assets/SOL/gaps".to_owned(),
            404,
            "unknown_asset",
            ["SOL is not tracked", "GET /api/v1/assets"],
        ),
        (
            "/api/v1/assets/BTCUSDT/gaps".to_owned(),
            404,
            "unknown_asset",
            ["BTCUSDT is the name of a market", "the asset is BTC,"],
        ),
        (
            "/api/v1/assets/BTC-USD/gaps".to_owned(),
            400,
            "bad_parameter",
            ["asset is \"BTC-USD\"", "names of"],
        ),
        ("/api/v1/assets/BTC".to_owned(), 404, "not_found", ["/api/v1/assets/BTC", "GET / lists"]),
        ("/api/v1/assets/BTC/gaps/".to_owned(), 404, "not_found", ["/gaps/", "GET / lists"]),
    ];
    for (url, status, code, told) in cases {
        let answer = get(&client, &url).await;
        assert_eq!(answer.status.as_u16(), status, "{url}");
        let (given, detail) = answer.problem();
        assert_eq!(given, code, "{url}");
        for part in told {
            assert!(detail.contains(part), "{url}: {detail}");
        }
    }
}

#[tokio::test]
async fn what_is_said_about_an_unknown_asset_is_what_candles_say() {
    let client = example_client().await;
    for name in ["SOL", "BTCUSDT"] {
        let of_candles = get(&client, &format!("/api/v1/ohlcv/{name}")).await.text;
        assert_eq!(get(&client, &format!("/api/v1/assets/{name}/gaps")).await.text, of_candles);
    }
}

#[tokio::test]
async fn a_page_has_a_thousand_holes_unless_said_otherwise_and_ten_thousand_at_most() {
    let store = MemoryStore::new();
    // A candle in every other slot.
    let candles: Vec<Candle> =
        (0..10_002).map(|number| Candle::flat(slot(2 * number), "1".parse().unwrap())).collect();
    write(&store, "BTC", candles, slot(2 * 10_001 + 1)).await;
    let client = client_of(Arc::new(store), CorsOrigins::None);
    assert_eq!(gaps(&get(&client, GAPS).await).len(), 1_000);
    let most = get(&client, &format!("{GAPS}?start=0&limit=10000")).await;
    assert_eq!(gaps(&most).len(), 10_000);
    let rest = get(&client, &most.link("next").unwrap()).await;
    assert_eq!(starts(&rest), slots([20_001]));
    assert_eq!(rest.link("next"), None);
}
