//! Weights, refusals, bans.

use super::*;

const KLINES_QUERY: &str = "klines?symbol=BTCUSDT&interval=12h&limit=1";

#[tokio::test]
async fn every_answer_tells_the_weight_used_in_the_clocks_minute() {
    let exchange = exchange().await;
    exchange.clock().set(at("2024-11-01T06:00:59.999Z"));
    for (path, used) in [(KLINES_QUERY, "2"), ("time", "3"), ("klines", "5")] {
        let answer = get(&exchange, path).await;
        assert_eq!(answer.header("x-mbx-used-weight-1m"), used);
        assert_eq!(answer.header("x-mbx-used-weight"), used);
    }
    exchange.clock().advance(Duration::from_millis(1));
    assert_eq!(get(&exchange, "time").await.header("x-mbx-used-weight-1m"), "1");
}

#[tokio::test]
async fn over_the_limit_it_says_when_the_minute_ends() {
    let exchange = exchange_with(Options { weight_per_minute: 10, ..Options::default() }).await;
    exchange.clock().set(at("2024-11-01T06:00:17.400Z"));
    exchange.set_weight_used(8);
    assert_eq!(get(&exchange, KLINES_QUERY).await.status, 200);
    let refused = get(&exchange, KLINES_QUERY).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "43"));
    assert_eq!(
        refused.json(),
        json!({
            "code": -1003,
            "msg": "Too much request weight used; current limit is 10 request weight per 1 MINUTE. \
                    Please use WebSocket Streams for live updates to avoid polling the API."
        })
    );
    exchange.clock().advance(Duration::from_secs(43));
    assert_eq!(get(&exchange, KLINES_QUERY).await.status, 200);
}

#[tokio::test]
async fn who_goes_on_is_banned_for_longer_and_longer() {
    let options = Options { weight_per_minute: 1, breaches_until_ban: 2, ..Options::default() };
    let exchange = exchange_with(options).await;
    let mut seen = Vec::new();
    for _ in 0..6 {
        let answer = get(&exchange, KLINES_QUERY).await;
        seen.push((answer.status, answer.header("retry-after").to_owned()));
    }
    let expected = [(429, "60"), (429, "60"), (418, "120"), (418, "120"), (418, "120"), (418, "240")];
    assert_eq!(seen, expected.map(|(status, wait)| (status, wait.to_owned())));

    let until = at(NOON_IS_SIX_HOURS_AWAY).millis() + 240_000;
    let banned = get(&exchange, "ping").await;
    assert_eq!(
        banned.json()["msg"],
        format!(
            "Way too much request weight used; IP banned until {until}. \
             Please use WebSocket Streams for live updates to avoid bans."
        )
    );
    exchange.clock().advance(Duration::from_secs(240));
    assert_eq!(get(&exchange, "ping").await.status, 200);
}

#[tokio::test]
async fn a_new_minute_forgives_who_has_waited() {
    let options = Options { weight_per_minute: 1, breaches_until_ban: 2, ..Options::default() };
    let exchange = exchange_with(options).await;
    for _minute in 0..4 {
        for _ in 0..2 {
            assert_eq!(get(&exchange, KLINES_QUERY).await.status, 429);
        }
        exchange.clock().advance(Duration::from_secs(60));
    }
}

#[tokio::test]
async fn every_address_has_a_budget_of_its_own() {
    let exchange = exchange_with(Options { weight_per_minute: 2, ..Options::default() }).await;
    let url = format!("{}/api/v3/{KLINES_QUERY}", exchange.url());
    let other = crate::http_client_builder().local_address(IpAddr::from([127, 0, 0, 2])).build().unwrap();
    assert_eq!(get(&exchange, KLINES_QUERY).await.status, 200);
    assert_eq!(get(&exchange, KLINES_QUERY).await.status, 429);
    assert_eq!(ask(other.get(&url)).await.unwrap().status, 200);
}

#[tokio::test]
async fn the_limit_can_be_changed_while_it_runs() {
    let exchange = exchange().await;
    exchange.set_weight_per_minute(1);
    assert_eq!(get(&exchange, KLINES_QUERY).await.status, 429);
}
