//! Rows of coarser intervals than the stored one.

use super::*;

const BTC: &str = "/api/v1/ohlcv/BTC";

#[tokio::test]
async fn a_derived_answer_is_these_very_bytes() {
    let client = example_client().await;
    let answer = get(&client, &format!("{BTC}?interval=1d&start=2024-11-01T00:00:00Z&limit=1")).await;
    assert_eq!(
        answer.text,
        r#"{"asset":"BTC","interval":"1d","data":[{"timestamp":"2024-11-01T00:00:00Z","open":"100.50000000","high":"101.90000000","low":"100.00000000","close":"101.70000000","volume":"5.00000000","filled":false,"complete":true}],"count":1}"#
    );
    assert_eq!(
        answer.header("link"),
        Some("</api/v1/ohlcv/BTC?start=2024-11-02T00:00:00Z&limit=1&interval=1d>; rel=\"next\"")
    );
}

#[tokio::test]
async fn days_are_filled_after_they_are_derived_and_say_what_they_lack() {
    let client = example_client().await;
    // Half-days 5, 6 and 12 are empty, 18 and 19 outstanding: the tenth day is not settled.
    let rows = get(&client, &format!("{BTC}?interval=1d&fill=true&fields=all")).await.rows();
    let told = rows.iter().map(|row| (row["filled"] == true, row["complete"] == true));
    let incomplete = [2, 3, 6];
    assert_eq!(
        told.collect::<Vec<_>>(),
        (0..9).map(|day| (false, !incomplete.contains(&day))).collect::<Vec<_>>()
    );
    // Of the third day only its first half is there, which has the rest of the kline; of the others not all.
    let known = rows.iter().map(|row| row["quote_volume"].as_str().unwrap_or("unknown"));
    let expected = (0..9).map(|day| if day == 2 { "250.25000000" } else { "unknown" });
    assert_eq!(known.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    assert_eq!(rows[2]["trades"], 42);
}

#[tokio::test]
async fn a_day_without_any_candle_is_filled_and_not_complete() {
    let store = MemoryStore::new();
    let half_days = [0, 1, 4, 5].map(example).to_vec();
    write(&store, "BTC", half_days, slot(6)).await;
    let client = client_of(Arc::new(store), CorsOrigins::None);
    let rows = get(&client, &format!("{BTC}?interval=1d&fill=true")).await.rows();
    assert_eq!(rows.len(), 3);
    let Value::Object(row) = &rows[1] else { panic!("{rows:?}") };
    assert_eq!(
        (&row["filled"], &row["complete"], &row["volume"]),
        (&true.into(), &false.into(), &"0.00000000".into())
    );
    assert_eq!(row["open"], rows[0]["close"]);
    assert_eq!(get(&client, &format!("{BTC}?interval=1d")).await.rows().len(), 2);
}

#[tokio::test]
async fn derived_pages_of_any_size_have_the_same_rows_in_both_directions() {
    let client = example_client().await;
    for options in ["interval=1d", "interval=1d&fill=true", "interval=3d&fields=all", "interval=1w&fill=true"]
    {
        let whole = get(&client, &format!("{BTC}?{options}")).await.rows();
        assert!(!whole.is_empty());
        for limit in 1..=4 {
            for (first, rel) in [("&start=0", "next"), ("", "prev")] {
                let mut pages = Vec::new();
                let mut url = Some(format!("{BTC}?{options}{first}&limit={limit}"));
                while let Some(page) = url {
                    let answer = get(&client, &page).await;
                    pages.push(answer.rows());
                    url = answer.link(rel);
                }
                if rel == "prev" {
                    pages.reverse();
                }
                assert_eq!(pages.concat(), whole, "{options} {limit} {rel}");
            }
        }
    }
}

#[tokio::test]
async fn the_stored_interval_changes_nothing_when_it_is_named() {
    let client = example_client().await;
    let plain = get(&client, &format!("{BTC}?limit=3&fill=true")).await;
    let named = get(&client, &format!("{BTC}?interval=12h&limit=3&fill=true")).await;
    assert_eq!(named.text, plain.text);
    assert_eq!((named.header("etag"), named.header("link")), (plain.header("etag"), plain.header("link")));
}

#[tokio::test]
async fn who_has_a_derived_answer_is_sent_none_until_one_of_its_candles_changes() {
    let store = example_store().await;
    let client = client_of(Arc::clone(&store), CorsOrigins::None);
    let day = format!("{BTC}?interval=1d&start=2024-11-02T00:00:00Z&end=2024-11-03T00:00:00Z");
    let tag = get(&client, &day).await.header("etag").unwrap().to_owned();
    let again = async || send(&client, Method::GET, &day, &[("if-none-match", &tag)]).await;
    assert_eq!(again().await.status, StatusCode::NOT_MODIFIED);
    write(&store, "BTC", vec![candle(slot(4), ["1", "1", "1", "1", "1"])], slot(5)).await;
    assert_eq!(again().await.status, StatusCode::NOT_MODIFIED, "of the day after");
    write(&store, "BTC", vec![candle(slot(3), ["1", "1", "1", "1", "1"])], slot(4)).await;
    let changed = again().await;
    assert_eq!((changed.status, &changed.rows()[0]["close"]), (StatusCode::OK, &"1.00000000".into()));
}

#[tokio::test]
async fn a_derived_day_appears_with_the_answer_that_settles_it() {
    let store = example_store().await;
    let client = client_of(Arc::clone(&store), CorsOrigins::None);
    for options in ["interval=1d", "interval=1d&fill=true"] {
        assert_eq!(get(&client, &format!("{BTC}?{options}")).await.rows().len(), 9, "{options}");
    }
    // The first half of the tenth day, then the second.
    write(&store, "BTC", vec![example(18)], slot(19)).await;
    for options in ["interval=1d", "interval=1d&fill=true"] {
        assert_eq!(get(&client, &format!("{BTC}?{options}")).await.rows().len(), 9, "{options}");
    }
    write(&store, "BTC", vec![example(19)], slot(20)).await;
    for options in ["interval=1d", "interval=1d&fill=true"] {
        let rows = get(&client, &format!("{BTC}?{options}")).await.rows();
        assert_eq!((rows.len(), &rows[9]["complete"]), (10, &true.into()), "{options}");
    }
}

#[tokio::test]
async fn amounts_that_do_not_fit_into_a_derived_candle_are_told() {
    let store = MemoryStore::new();
    let large = "9999999999999999999999.99999999";
    let candles = (0..4).map(|number| match number {
        0 | 1 => example(number),
        _ => candle(slot(number), ["1", "1", "1", "1", large]),
    });
    write(&store, "BTC", candles.collect(), slot(4)).await;
    let client = client_of(Arc::new(store), CorsOrigins::None);
    let answer = get(&client, &format!("{BTC}?interval=1d")).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let (code, detail) = answer.problem();
    assert_eq!(code, "sum_too_large");
    assert!(detail.contains("1d candle of 2024-11-02T00:00:00Z"), "{detail}");
    let before = get(&client, &format!("{BTC}?interval=1d&end=2024-11-02T00:00:00Z")).await;
    assert_eq!(before.rows().len(), 1, "it is no part of this answer");
}
