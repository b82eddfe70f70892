//! Request weight: counted per address in minutes of the wall clock, enforced as Binance does.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ohlcv_domain::Timestamp;

const MINUTE_MILLIS: i64 = 60_000;
const FIRST_BAN: Duration = Duration::from_secs(2 * 60);
const BAN_MAX: Duration = Duration::from_secs(3 * 24 * 3600);

/// What an address may use, and what each has used.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) weight_per_minute: u32,
    breaches_until_ban: u32,
    clients: HashMap<IpAddr, Client>,
}

#[derive(Debug, Default)]
struct Client {
    /// Minutes since 1970 that `used` and `breaches` belong to.
    minute: i64,
    used: u32,
    /// Requests refused since the minute began, or since the last ban was spoken.
    breaches: u32,
    bans: u32,
    banned_until: Option<Timestamp>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Served { used: u32 },
    OverLimit { used: u32, retry_after_seconds: u64 },
    Banned { used: u32, until: Timestamp, retry_after_seconds: u64 },
}

impl Verdict {
    pub(crate) fn used(self) -> u32 {
        match self {
            Self::Served { used } | Self::OverLimit { used, .. } | Self::Banned { used, .. } => used,
        }
    }
}

impl Limits {
    pub(crate) fn new(weight_per_minute: u32, breaches_until_ban: u32) -> Self {
        Self { weight_per_minute, breaches_until_ban, clients: HashMap::new() }
    }

    /// Counts a request, refused ones too: on the exchange those weigh as much.
    pub(crate) fn admit(&mut self, address: IpAddr, weight: u32, now: Timestamp) -> Verdict {
        let (limit, breaches_until_ban) = (self.weight_per_minute, self.breaches_until_ban);
        let client = self.client(address, now);
        client.used = client.used.saturating_add(weight);
        let used = client.used;
        let banned = client.banned_until.is_some_and(|until| now < until);
        if !banned && used <= limit {
            return Verdict::Served { used };
        }
        client.breaches += 1;
        if client.breaches > breaches_until_ban {
            // Each ban is twice as long as the one before; going on while banned brings the next.
            let length = FIRST_BAN.saturating_mul(2_u32.saturating_pow(client.bans)).min(BAN_MAX);
            client.bans += 1;
            client.breaches = 0;
            client.banned_until = Some(now.saturating_add(length));
        }
        match client.banned_until.filter(|until| now < *until) {
            Some(until) => Verdict::Banned { used, until, retry_after_seconds: seconds_up(until.since(now)) },
            None => Verdict::OverLimit { used, retry_after_seconds: seconds_up(left_of_minute(now)) },
        }
    }

    /// As if others at this address had used that much of the current minute.
    pub(crate) fn set_used(&mut self, address: IpAddr, used: u32, now: Timestamp) {
        self.client(address, now).used = used;
    }

    fn client(&mut self, address: IpAddr, now: Timestamp) -> &mut Client {
        let minute = now.millis().div_euclid(MINUTE_MILLIS);
        let client = self.clients.entry(address).or_default();
        if client.minute != minute {
            client.minute = minute;
            client.used = 0;
            client.breaches = 0;
        }
        client
    }
}

fn left_of_minute(now: Timestamp) -> Duration {
    let millis = MINUTE_MILLIS - now.millis().rem_euclid(MINUTE_MILLIS);
    Duration::from_millis(millis.unsigned_abs())
}

/// Whole seconds, rounded up: whoever waits that long has waited long enough.
fn seconds_up(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX)
}
