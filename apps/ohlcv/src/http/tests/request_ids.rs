//! Every request has a name, which its answer carries.

use super::*;

async fn answered(client: &Client, url: &str, given: Option<&str>) -> String {
    let headers: Vec<(&str, &str)> = given.map(|given| ("x-request-id", given)).into_iter().collect();
    let answer = send(client, Method::GET, url, &headers).await;
    answer.header("x-request-id").unwrap_or_else(|| panic!("{url}: {answer:?}")).to_owned()
}

#[tokio::test]
async fn a_name_that_the_client_gave_is_kept() {
    let client = example_client().await;
    let longest = "x".repeat(64);
    for given in ["7", "a-b_c.d:e/f", "\"'<>{}", longest.as_str()] {
        for url in ["/livez", "/nowhere", "/api/v1/ohlcv/BTC?limit=0"] {
            assert_eq!(answered(&client, url, Some(given)).await, given, "{url}");
        }
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_logged_is_replaced() {
    let client = example_client().await;
    let too_long = "x".repeat(65);
    for given in ["", "a b", "tab\tbed", too_long.as_str()] {
        let id = answered(&client, "/livez", Some(given)).await;
        assert!(uuid::Uuid::try_parse(&id).is_ok(), "{given:?}: {id}");
    }
}

#[tokio::test]
async fn without_one_each_request_gets_a_name_of_its_own() {
    let client = example_client().await;
    let [first, second] = [answered(&client, "/livez", None).await, answered(&client, "/livez", None).await];
    assert!(uuid::Uuid::try_parse(&first).is_ok() && first != second, "{first} {second}");
}
