//! A client that follows, as `EventSource` does in a browser.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::time::Duration;

use ohlcv_tests::http_client;
use reqwest::Response;
use serde_json::Value;

/// What a test waits for at most.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An event as it came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) data: Value,
}

/// A connection, and what of it was not read yet.
pub(crate) struct Follower {
    response: Response,
    text: String,
    /// The last id that came, of an event or alone.
    pub(crate) last_id: String,
}

/// The answer to a client that wants to follow, whatever it is.
pub(crate) async fn asked(url: &str, query: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = http_client().get(format!("{url}/api/v1/stream{query}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

impl Follower {
    /// Follows; returns once the service has said where the stream begins.
    pub(crate) async fn begin(url: &str, query: &str, headers: &[(&str, &str)]) -> Self {
        let response = asked(url, query, headers).await;
        assert_eq!(response.status(), 200, "{query} {headers:?}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert!(!response.headers().contains_key("content-encoding"), "it would be held back");
        let mut follower = Self { response, text: String::new(), last_id: String::new() };
        while follower.last_id.is_empty() {
            assert_eq!(follower.block().await.unwrap(), None, "an event before the beginning is told");
        }
        follower
    }

    /// The same behind an event of this id.
    pub(crate) async fn resume(url: &str, query: &str, id: &str) -> Self {
        Self::begin(url, query, &[("Last-Event-ID", id)]).await
    }

    /// The first events of BTC, from the beginning of its series.
    pub(crate) async fn taking(url: &str, count: usize) -> Vec<Event> {
        Self::begin(url, "?after=BTC_0", &[]).await.take(count).await
    }

    /// The next event; none at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        let next = async {
            loop {
                match self.block().await {
                    Ok(Some(event)) => return Some(event),
                    Ok(None) => {}
                    Err(ended) => {
                        assert!(ended, "the stream broke off");
                        return None;
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.unwrap()
    }

    /// So many events.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::with_capacity(count);
        for _ in 0..count {
            events.push(self.next().await.unwrap());
        }
        events
    }

    /// All events until none has come for that long.
    pub(crate) async fn until_quiet(&mut self, quiet: Duration) -> Vec<Event> {
        let mut events = Vec::new();
        while let Ok(block) = tokio::time::timeout(quiet, self.block()).await {
            events.extend(block.unwrap());
        }
        events
    }

    /// The next block: an event, or none if it is something else. At the end whether it was a good one.
    async fn block(&mut self) -> Result<Option<Event>, bool> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Ok(self.event(&block));
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.text.push_str(std::str::from_utf8(&chunk).unwrap()),
                Ok(None) => return Err(self.text.is_empty()),
                Err(_) => return Err(false),
            }
        }
    }

    fn event(&mut self, block: &str) -> Option<Event> {
        let field = |name: &str| {
            let lines = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            lines.map(str::to_owned).next()
        };
        if let Some(id) = field("id") {
            self.last_id = id;
        }
        let data = serde_json::from_str(&field("data")?).unwrap();
        Some(Event { id: self.last_id.clone(), kind: field("event").unwrap(), data })
    }
}
