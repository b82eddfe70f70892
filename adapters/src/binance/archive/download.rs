//! Files over HTTP: bounded in bytes, time and attempts.

use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};

use super::super::client::USER_AGENT;
use super::super::error::{BinanceConfigError, Failure};
use super::ArchiveLimits;
use super::file::ArchiveFile;
use super::refusal::Refusal;

/// The longest CHECKSUM that is read; one has about 100 bytes.
const CHECKSUM_BYTES_MAX: usize = 4 * 1024;

/// The host of an archive.
#[derive(Debug)]
pub(crate) struct Download {
    http: reqwest::Client,
    base: Url,
    limits: ArchiveLimits,
}

impl Download {
    pub(crate) fn new(base: Url, limits: ArchiveLimits) -> Result<Self, BinanceConfigError> {
        // The cryptography that the database driver brings too; an embedder's own choice stands.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(limits.connect_timeout)
            .timeout(limits.file_time_max)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            // The checksum is that of the bytes as they lie there.
            .gzip(false)
            .build()
            .map_err(|error| BinanceConfigError::HttpClient(Box::new(error)))?;
        Ok(Self { http, base, limits })
    }

    /// The bytes of a file and the text of its CHECKSUM, if it has one.
    pub(crate) async fn fetch(&self, file: &ArchiveFile) -> Result<(Vec<u8>, Option<String>), Refusal> {
        let path = file.path();
        let checksum_path = format!("{path}.CHECKSUM");
        let both = async {
            let zip = self.get(&path, "zip", self.limits.zip_bytes_max).await?.ok_or(Refusal::Missing)?;
            let checksum = self.get(&checksum_path, "CHECKSUM", CHECKSUM_BYTES_MAX).await?;
            Ok((zip, checksum.map(|text| String::from_utf8_lossy(&text).into_owned())))
        };
        let time = self.limits.file_time_max;
        tokio::time::timeout(time, both).await.unwrap_or_else(|_| {
            let cause = format!("it took longer than the {} s that are waited for", time.as_secs_f64());
            Err(Refusal::Unavailable { cause })
        })
    }

    /// The body at a path, repeated a few times if need be; none if nothing is there.
    async fn get(
        &self,
        path: &str,
        what: &'static str,
        bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let mut left = self.limits.retries_max;
        loop {
            match self.attempt(path, what, bytes_max).await {
                Err(Refusal::Unavailable { .. }) if left > 0 => left -= 1,
                ended => return ended,
            }
            tokio::time::sleep(self.limits.retry_delay).await;
        }
    }

    async fn attempt(
        &self,
        path: &str,
        what: &'static str,
        bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        let unavailable = |cause: String| Refusal::Unavailable { cause };
        let broken = |error: reqwest::Error| unavailable(Failure::from(error).to_string());
        let mut response = self.http.get(url).send().await.map_err(broken)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(unavailable(format!("HTTP {}", status.as_u16()))),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if chunk.len() > bytes_max - body.len() {
                return Err(Refusal::TooLong { what, bytes_max: bytes_max as u64 });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body))
    }
}
