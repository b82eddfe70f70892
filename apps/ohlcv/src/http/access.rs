//! Who may use the protected endpoints: a key, compared in constant time, and few guesses.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use poem::http::StatusCode;
use poem::{Addr, Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use tokio::time::Instant;

use super::problem::{Code, Problem};
use crate::settings::ApiKeys;

/// The header that holds the key.
const HEADER: &str = "X-API-KEY";
/// What the document calls it.
const SCHEME: &str = "ApiKey";
/// So many wrong keys may come from one address in [`WINDOW`]; then it is told to wait. A right
/// one always opens: behind a proxy all clients have one address.
const FAILURES_MAX: u32 = 10;
/// From the first wrong key on this much time is counted together.
const WINDOW: Duration = Duration::from_secs(60);
/// So many addresses are remembered at a time.
const ADDRESSES_MAX: usize = 10_000;

/// Lets requests to protected endpoints pass.
#[derive(Debug)]
pub(crate) struct Access {
    keys: ApiKeys,
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    since: Instant,
    count: u32,
}

/// Marks a request as let in, so that no handler can be reached another way.
#[derive(Clone, Copy, Debug)]
struct LetIn;

impl Access {
    pub(crate) fn new(keys: ApiKeys) -> Self {
        Self { keys, failures: Mutex::default() }
    }

    /// Lets a request with a right key pass. Nothing of a wrong one is told or logged.
    pub(crate) fn check(&self, request: &mut Request) -> Result<(), Problem> {
        self.judge(request)?;
        request.extensions_mut().insert(LetIn);
        Ok(())
    }

    /// Whether a request that needs no key has one all the same.
    ///
    /// # Errors
    /// As [`Access::check`], if there is one and it is wrong.
    pub(crate) fn has_key(&self, request: &Request) -> Result<bool, Problem> {
        if !request.headers().contains_key(HEADER) {
            return Ok(false);
        }
        self.judge(request).map(|()| true)
    }

    fn judge(&self, request: &Request) -> Result<(), Problem> {
        if self.keys.is_empty() {
            let detail = "this endpoint is off, for no API_KEY is set: the operator has to set one";
            return Err(Problem::new(StatusCode::FORBIDDEN, Code::NoKeyConfigured, detail));
        }
        let given = request.headers().get(HEADER);
        if given.is_some_and(|given| self.keys.contains(given.as_bytes())) {
            return Ok(());
        }
        let address = address_of(request);
        if let Some(left) = self.locked_out(address) {
            let detail = format!(
                "too many wrong keys came from this address: try again in {} s",
                left.as_secs().saturating_add(1)
            );
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyFailures, detail);
            return Err(problem.retrying_after(left));
        }
        let detail = if given.is_some() {
            self.note_failure(address);
            tracing::warn!("a wrong {HEADER} came from {}", told(address));
            format!("the {HEADER} header holds a wrong key")
        } else {
            format!("the {HEADER} header is missing: this endpoint needs a key")
        };
        Err(Problem::new(StatusCode::UNAUTHORIZED, Code::WrongKey, detail))
    }

    /// How long an address has still to wait.
    fn locked_out(&self, address: Option<IpAddr>) -> Option<Duration> {
        let failures = self.failures().get(&address?).copied()?;
        let left = WINDOW.checked_sub(failures.since.elapsed())?;
        (failures.count >= FAILURES_MAX).then_some(left)
    }

    fn note_failure(&self, address: Option<IpAddr>) {
        let Some(address) = address else { return };
        let mut all = self.failures();
        if all.len() >= ADDRESSES_MAX {
            all.retain(|_, failures| failures.since.elapsed() < WINDOW);
        }
        if all.len() >= ADDRESSES_MAX && !all.contains_key(&address) {
            // Guessing from so many addresses is slower than forgetting who guessed.
            all.clear();
        }
        let fresh = Failures { since: Instant::now(), count: 0 };
        let failures = all.entry(address).or_insert(fresh);
        if failures.since.elapsed() >= WINDOW {
            *failures = fresh;
        }
        failures.count += 1;
    }

    /// Counters stay usable when a thread panicked over them.
    fn failures(&self) -> MutexGuard<'_, HashMap<IpAddr, Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who sent a request. Of an IPv6 address the network alone counts, for its owner has all of it.
fn address_of(request: &Request) -> Option<IpAddr> {
    const NETWORK: u128 = !0 << 64;
    match request.remote_addr().0 {
        Addr::SocketAddr(address) => Some(match address.ip().to_canonical() {
            IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) & NETWORK).into()),
            ip => ip,
        }),
        _ => None,
    }
}

fn told(address: Option<IpAddr>) -> String {
    address.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string())
}

/// What a handler of a protected endpoint takes first: the document then says that it needs a key,
/// and `Routes` has it checked.
pub(crate) struct Keyed;

impl<'a> ApiExtractor<'a> for Keyed {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let scheme = MetaSecurityScheme {
            ty: "apiKey",
            description: Some("One of the keys in API_KEY."),
            name: Some(HEADER),
            key_in: Some("header"),
            scheme: None,
            bearer_format: None,
            flows: None,
            openid_connect_url: None,
        };
        registry.create_security_scheme(SCHEME, scheme);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        match request.extensions().get::<LetIn>() {
            Some(LetIn) => Ok(Self),
            None => Err(Problem::internal().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_that_guesses_has_to_wait_and_others_do_not() {
        let access = Access::new(ApiKeys::default());
        let [guesser, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        for _ in 0..FAILURES_MAX {
            assert_eq!(access.locked_out(Some(guesser)), None);
            access.note_failure(Some(guesser));
        }
        assert_eq!(access.locked_out(Some(guesser)), Some(WINDOW));
        assert_eq!(access.locked_out(Some(other)), None);
        tokio::time::advance(WINDOW).await;
        access.note_failure(Some(guesser));
        assert_eq!(access.locked_out(Some(guesser)), None, "it is counted anew");
    }

    #[tokio::test(start_paused = true)]
    async fn guessers_from_ever_new_addresses_are_not_all_remembered() {
        let access = Access::new(ApiKeys::default());
        for number in 0..(u32::try_from(ADDRESSES_MAX).unwrap() * 2) {
            access.note_failure(Some(IpAddr::V4(number.into())));
        }
        assert!(access.failures().len() <= ADDRESSES_MAX);
    }
}
