//! Pages, and the links between them.

use super::*;

/// More pages than any series here has; following links ends before.
const PAGES_MAX: usize = 2 * SLOTS;

/// All rows behind `url`, following links in one direction; the pages in the order they came.
async fn follow(client: &Client, url: &str, rel: &str) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut url = Some(url.to_owned());
    while let Some(page_url) = url {
        assert!(pages.len() < PAGES_MAX, "no end of links: {page_url}");
        let answer = get(client, &page_url).await;
        pages.push(answer.rows());
        url = answer.link(rel);
    }
    pages
}

#[tokio::test]
async fn pages_of_any_size_have_the_same_rows_forwards_and_backwards() {
    let client = example_client().await;
    for options in ["", "&fill=true", "&fill=true&fields=all"] {
        let whole = get(&client, &format!("/api/v1/ohlcv/BTC?limit=10000{options}")).await.rows();
        assert_eq!(whole.len(), if options.is_empty() { 15 } else { 18 });
        for limit in 1..=SLOTS {
            let first = format!("/api/v1/ohlcv/BTC?start=2020-01-01T00:00:00Z&limit={limit}{options}");
            let forwards = follow(&client, &first, "next").await;
            assert_eq!(forwards.concat(), whole, "{limit}{options}");
            let newest = format!("/api/v1/ohlcv/BTC?limit={limit}{options}");
            let mut backwards = follow(&client, &newest, "prev").await;
            backwards.reverse();
            assert_eq!(backwards.concat(), whole, "{limit}{options}");
        }
    }
}

#[tokio::test]
async fn paging_forwards_ends_where_the_range_ends() {
    let client = example_client().await;
    for options in ["", "&fill=true"] {
        let range = format!("start={}&end={}{options}", slot(3), slot(13));
        let whole = get(&client, &format!("/api/v1/ohlcv/BTC?{range}")).await;
        assert_eq!(whole.link("next"), None);
        for limit in 1..=SLOTS {
            let pages = follow(&client, &format!("/api/v1/ohlcv/BTC?{range}&limit={limit}"), "next").await;
            assert_eq!(pages.concat(), whole.rows(), "{limit}{options}");
        }
    }
}

#[tokio::test]
async fn a_link_keeps_what_was_asked_for() {
    let client = example_client().await;
    let answer = get(
        &client,
        "/api/v1/ohlcv/btc?fields=all&fill=true&limit=2&end=2024-11-07T00:00:00+00:00&start=1730462400000",
    )
    .await;
    assert_eq!(
        answer.header("link"),
        Some(
            "</api/v1/ohlcv/BTC?start=2024-11-02T12:00:00Z&end=2024-11-07T00:00:00Z&limit=2&fill=true&fields=all>; \
             rel=\"next\", </api/v1/ohlcv/BTC?end=2024-11-01T12:00:00Z&limit=2&fill=true&fields=all>; rel=\"prev\""
        )
    );
    let plain = get(&client, "/api/v1/ohlcv/BTC?start=2024-11-01T00:00:00Z&limit=1").await;
    assert_eq!(
        plain.header("link"),
        Some("</api/v1/ohlcv/BTC?start=2024-11-01T12:00:00Z&limit=1>; rel=\"next\"")
    );
}

#[tokio::test]
async fn a_page_has_a_thousand_rows_unless_said_otherwise_and_ten_thousand_at_most() {
    let store = MemoryStore::new();
    let candles: Vec<Candle> =
        (0..10_001).map(|number| Candle::flat(slot(number), "1".parse().unwrap())).collect();
    write(&store, "BTC", candles, slot(10_001)).await;
    let client = client_of(Arc::new(store), CorsOrigins::None);
    assert_eq!(get(&client, "/api/v1/ohlcv/BTC").await.rows().len(), 1_000);
    let most = get(&client, "/api/v1/ohlcv/BTC?start=0&limit=10000").await;
    assert_eq!(most.rows().len(), 10_000);
    let rest = get(&client, &most.link("next").unwrap()).await;
    assert_eq!(rest.times(), [slot(10_000).to_string()]);
    assert_eq!(rest.link("next"), None);
}
