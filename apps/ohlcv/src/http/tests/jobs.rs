//! Fetches that are asked for and what becomes of them: keys, bodies, states.

use ohlcv_domain::{JobId, TimeRange};
use ohlcv_ports::{Cancelling, Job, JobAsset, JobState, NewJob, Submitted, Work};
use serde_json::json;

use super::*;

const TRIGGER: &str = "/api/v1/fetch/trigger";
const KEY: &str = "a-key-of-the-tests-alone";
const ID: &str = "550e8400-e29b-41d4-a716-446655440000";

fn id() -> JobId {
    ID.parse().unwrap()
}

fn job(state: JobState, work: Work, assets: &[&str]) -> Job {
    Job {
        id: id(),
        work,
        state,
        attempts: 1,
        created_at: at("2024-11-08T11:59:00Z"),
        started_at: Some(at("2024-11-08T11:59:50.789Z")),
        finished_at: None,
        assets: assets.iter().map(|name| JobAsset::queued(asset(name))).collect(),
    }
}

async fn client(jobs: MockJobs) -> Client {
    let jobs = Arc::new(jobs);
    let parts = parts_of(example_store().await, CorsOrigins::None);
    let submit =
        SubmitJob::new(Arc::<MockJobs>::clone(&jobs), Arc::clone(&parts.clock), parts.tracked.clone());
    let api_keys = ApiKeys::of(&["another-key-of-the-tests", KEY]);
    serving(HttpParts { submit, jobs, api_keys, ..parts })
}

/// What is asked of the queue when this body is sent.
async fn asked_of_queue(body: &str) -> (NewJob, Answer) {
    let (sender, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let mut jobs = MockJobs::new();
    jobs.expect_submit().times(1).returning(move |wanted, _, _| {
        let names: Vec<String> = wanted.assets.iter().map(ToString::to_string).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let accepted = job(JobState::Queued, wanted.work, &names);
        sender.send(wanted).unwrap();
        Ok(Submitted::Accepted(accepted))
    });
    let answer = post(&client(jobs).await, body, &[("x-api-key", KEY)]).await;
    (asked.recv().await.unwrap(), answer)
}

async fn post(client: &Client, body: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = client.post(TRIGGER).body(body.to_owned());
    for &(name, value) in headers {
        request = request.header(name, value);
    }
    let (parts, body) = request.send().await.0.into_parts();
    Answer { status: parts.status, headers: parts.headers, text: body.into_string().await.unwrap() }
}

#[tokio::test]
async fn a_fetch_of_a_range_is_accepted_as_a_job() {
    let body = json!({"assets": ["btc", "ETH", "BTC"], "start_date": "2024-11-01T00:00:00Z", "end_date": 1731024000000_i64});
    let (wanted, answer) = asked_of_queue(&body.to_string()).await;
    let range = TimeRange::new(at("2024-11-01T00:00:00Z"), at("2024-11-08T00:00:00Z")).unwrap();
    assert_eq!(wanted, NewJob { work: Work::Range(range), assets: vec![asset("BTC"), asset("ETH")] });
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(answer.header("location"), Some(format!("/api/v1/jobs/{ID}").as_str()));
    let told = json!({"job_id": ID, "message": "Fetch job queued for 2 asset(s)", "assets": ["BTC", "ETH"]});
    assert_eq!(answer.json(), told);
}

#[tokio::test]
async fn without_a_body_or_dates_everything_is_brought_up_to_date() {
    let all = NewJob { work: Work::CatchUp, assets: vec![asset("BTC"), asset("ETH")] };
    for body in ["", "{}", " \n", "{\"assets\":null,\"start_date\":null}"] {
        assert_eq!(asked_of_queue(body).await.0, all, "{body}");
    }
}

#[tokio::test]
async fn an_idempotency_key_goes_with_the_job_and_a_repetition_is_no_news() {
    let mut jobs = MockJobs::new();
    jobs.expect_submit()
        .withf(|_, key, _| key.as_deref() == Some("once"))
        .returning(|wanted, _, _| Ok(Submitted::Repeated(job(JobState::Succeeded, wanted.work, &["BTC"]))));
    let answer = post(&client(jobs).await, "", &[("x-api-key", KEY), ("Idempotency-Key", "once")]).await;
    assert_eq!((answer.status, answer.json()["job_id"].as_str()), (StatusCode::ACCEPTED, Some(ID)));
    let long = "k".repeat(256);
    let refused =
        post(&client(MockJobs::new()).await, "", &[("x-api-key", KEY), ("Idempotency-Key", &long)]).await;
    assert_eq!(refused.problem().0, "bad_parameter");
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_again() {
    let mut jobs = MockJobs::new();
    jobs.expect_submit().returning(|_, _, queued_max| Ok(Submitted::QueueFull(queued_max)));
    let answer = post(&client(jobs).await, "", &[("x-api-key", KEY)]).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.problem().0, "queue_full");
    assert_eq!(answer.header("retry-after"), Some("10"));
}

#[tokio::test]
async fn nothing_else_is_told_to_who_has_no_key() {
    let client = client(MockJobs::new()).await;
    let jobs = ["/api/v1/jobs", "/api/v1/jobs?limit=x", "/api/v1/jobs/1", "/api/v1/jobs?nonsense=1"];
    for url in jobs {
        for headers in [&[][..], &[("x-api-key", "")], &[("x-api-key", "a-key-of-the-tests-alon")]] {
            let answer = send(&client, Method::GET, url, headers).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{url}");
            assert_eq!(answer.problem().0, "wrong_key");
        }
    }
    let refused = post(&client, "no json at all", &[("x-api-key", "wrong-wrong-wrong-wrong")]).await;
    assert_eq!(refused.problem().0, "wrong_key");
    assert!(!refused.text.contains("wrong-wrong"), "{}", refused.text);
}

#[tokio::test]
async fn without_a_configured_key_the_protected_endpoints_are_off() {
    let client = example_client().await;
    for (method, url) in
        [(Method::POST, TRIGGER), (Method::GET, "/api/v1/jobs"), (Method::DELETE, "/api/v1/jobs/1")]
    {
        let answer = send(&client, method, url, &[("x-api-key", KEY)]).await;
        assert_eq!(
            (answer.status, answer.problem().0.as_str()),
            (StatusCode::FORBIDDEN, "no_key_configured")
        );
    }
}

#[tokio::test]
async fn either_of_two_keys_opens() {
    for key in [KEY, "another-key-of-the-tests"] {
        let mut jobs = MockJobs::new();
        jobs.expect_list().returning(|_| Ok(Vec::new()));
        let answer = send(&client(jobs).await, Method::GET, "/api/v1/jobs", &[("X-API-KEY", key)]).await;
        assert_eq!(answer.json(), json!({"jobs": [], "count": 0}));
    }
}

#[tokio::test]
async fn a_job_tells_how_far_it_is_and_what_went_wrong() {
    let mut running = job(JobState::Running, Work::CatchUp, &["BTC", "ETH"]);
    running.assets[0] =
        JobAsset { state: JobState::Running, done: 60, expected: 100, ..running.assets[0].clone() };
    let error = Some("the exchange has no market ETHUSDT".to_owned());
    running.assets[1] =
        JobAsset { state: JobState::Failed, error, expected: 20, ..running.assets[1].clone() };
    let mut jobs = MockJobs::new();
    jobs.expect_find().withf(|asked| *asked == id()).returning(move |_| Ok(Some(running.clone())));
    let answer =
        send(&client(jobs).await, Method::GET, &format!("/api/v1/jobs/{ID}"), &[("x-api-key", KEY)]).await;
    let told = json!({
        "job_id": ID, "kind": "catch_up", "state": "running",
        "created_at": "2024-11-08T11:59:00Z", "started_at": "2024-11-08T11:59:50.789Z", "finished_at": null,
        "progress": {"done": 60, "expected": 120, "percent": 50, "eta_seconds": 10},
        "assets": [
            {"asset": "BTC", "state": "running", "done": 60, "expected": 100, "error": null},
            {"asset": "ETH", "state": "failed", "done": 0, "expected": 20, "error": "the exchange has no market ETHUSDT"},
        ],
    });
    assert_eq!(answer.json(), told);
}

#[tokio::test]
async fn a_job_is_cancelled_once_and_only_while_it_goes_on() {
    let url = format!("/api/v1/jobs/{ID}");
    let mut jobs = MockJobs::new();
    let wished = |_| Ok(Some(Cancelling::Wished(job(JobState::Running, Work::CatchUp, &["BTC"]))));
    let too_late = |_| Ok(Some(Cancelling::TooLate(job(JobState::Succeeded, Work::CatchUp, &["BTC"]))));
    jobs.expect_cancel().times(1).returning(wished);
    jobs.expect_cancel().times(1).returning(too_late);
    jobs.expect_cancel().times(1).returning(|_| Ok(None));
    let client = client(jobs).await;
    let headers = [("x-api-key", KEY)];
    assert_eq!(send(&client, Method::DELETE, &url, &headers).await.json()["state"], "running");
    let again = send(&client, Method::DELETE, &url, &headers).await;
    assert_eq!((again.status, again.problem().0.as_str()), (StatusCode::CONFLICT, "job_ended"));
    let unknown = send(&client, Method::DELETE, &url, &headers).await;
    assert_eq!((unknown.status, unknown.problem().0.as_str()), (StatusCode::NOT_FOUND, "unknown_job"));
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_also_if_it_does_not_say_so() {
    let long = format!("{{\"assets\":[\"{}\"]}}", "B".repeat(70_000));
    let answer = post(&client(MockJobs::new()).await, &long, &[("x-api-key", KEY)]).await;
    assert_eq!(
        (answer.status, answer.problem().0.as_str()),
        (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large")
    );
}
