//! The dashboard's page and files, as they are sent.

use std::collections::BTreeSet;

use super::*;

/// What browsers send when somebody opens an address.
const BROWSER: (&str, &str) =
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8");

/// The addresses that the page names.
fn loaded(page: &str) -> BTreeSet<String> {
    let named = page.split(['"', '\'']).filter(|text| text.starts_with("/dashboard/"));
    named.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_browser_that_opens_the_root_is_shown_the_page_and_a_program_is_told_what_this_is() {
    let client = example_client().await;
    let page = send(&client, Method::GET, "/", &[BROWSER]).await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.text, get(&client, "/dashboard").await.text);
    for headers in [&[][..], &[("accept", "*/*")], &[("accept", "application/json")]] {
        let told = send(&client, Method::GET, "/", headers).await;
        assert_eq!(told.header("content-type"), Some("application/json"), "{headers:?}");
        assert_eq!(told.json()["links"]["dashboard"], "/dashboard");
        assert_eq!(told.headers.get_all("vary").iter().next().unwrap(), "Accept", "{headers:?}");
    }
    let varies: Vec<&str> = page.headers.get_all("vary").iter().map(|vary| vary.to_str().unwrap()).collect();
    assert!(varies.contains(&"Accept"), "{varies:?}");
    assert_eq!(send(&client, Method::POST, "/", &[BROWSER]).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn the_page_may_load_nothing_from_elsewhere_and_run_no_text() {
    let client = example_client().await;
    let page = get(&client, "/dashboard").await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert!(!page.text.contains("//"), "an address of somebody else: {}", page.text);
    assert!(!page.text.contains("style=") && !page.text.contains("onclick"), "{}", page.text);
    assert!(!page.text.contains("{{"), "{}", page.text);
}

#[tokio::test]
async fn all_that_the_page_and_its_scripts_load_is_there_and_may_be_kept_for_ever() {
    let client = example_client().await;
    let mut wanted = loaded(&get(&client, "/dashboard").await.text);
    assert_eq!(wanted.len(), 4, "{wanted:?}");
    let mut seen = BTreeSet::new();
    while let Some(url) = wanted.pop_first() {
        let file = get(&client, &url).await;
        assert_eq!(file.status, StatusCode::OK, "{url}");
        assert_eq!(file.header("cache-control"), Some("public, max-age=31536000, immutable"), "{url}");
        let (folder, name) = url.rsplit_once('/').unwrap();
        let expected = match name.rsplit_once('.').unwrap().1 {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            other => panic!("{other}"),
        };
        assert_eq!(file.header("content-type"), Some(expected), "{url}");
        seen.insert(url.clone());
        if name == "plotly.js" {
            assert!(file.text.contains("window.Plotly = Plotly"), "the library");
            continue;
        }
        let imported = file.text.split(['\'', '"']).filter_map(|text| text.strip_prefix("./"));
        let imported = imported.map(|name| format!("{folder}/{name}"));
        wanted.extend(imported.filter(|url| !seen.contains(url)).collect::<Vec<_>>());
    }
    assert!(seen.len() > 10, "scripts load each other: {seen:?}");
}

#[tokio::test]
async fn a_file_under_another_version_is_what_it_is_now_and_not_kept() {
    let client = example_client().await;
    let file = get(&client, "/dashboard/0123/time.js").await;
    assert_eq!(file.status, StatusCode::OK);
    assert_eq!(file.header("cache-control"), Some("no-cache"));
    let tag = file.header("etag").unwrap();
    let again = send(&client, Method::GET, "/dashboard/0123/time.js", &[("if-none-match", tag)]).await;
    assert_eq!((again.status, again.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    let missing = get(&client, "/dashboard/0123/nothing.js").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(missing.problem().0, "not_found");
    assert_eq!(get(&client, "/dashboard/0123").await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&client, "/dashboard?x=1").await.problem().0, "unknown_parameter");
}

#[tokio::test]
async fn files_come_as_small_as_the_client_can_read_them() {
    let client = example_client().await;
    let plain = get(&client, "/dashboard/0123/plotly.js").await;
    assert!(plain.text.len() > 1_000_000);
    for coding in ["gzip", "zstd"] {
        let request = client.get("/dashboard/0123/plotly.js").header("accept-encoding", coding);
        let (parts, body) = request.send().await.0.into_parts();
        assert_eq!(parts.headers["content-encoding"], coding);
        assert_eq!(parts.headers["vary"], "Accept-Encoding");
        let bytes = body.into_vec().await.unwrap();
        assert!(bytes.len() * 3 < plain.text.len(), "{coding}: {}", bytes.len());
        assert_eq!(super::coding::decoded(Some(coding), &bytes), plain.text.as_bytes(), "{coding}");
    }
}
