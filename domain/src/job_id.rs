//! The names of jobs.

use std::fmt;
use std::str::FromStr;

/// The name of a job, in which somebody had candles fetched: a UUID, written with lower-case digits
/// and hyphens.
///
/// ```
/// use ohlcv_domain::JobId;
///
/// let id: JobId = "550e8400-e29b-41d4-a716-446655440000".parse()?;
/// assert_eq!(id.to_string(), "550e8400-e29b-41d4-a716-446655440000");
/// assert!("42".parse::<JobId>().is_err());
/// # Ok::<(), ohlcv_domain::JobIdError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(u128);

/// A text that is not the name of a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is no name of a job: allowed are UUIDs such as 550e8400-e29b-41d4-a716-446655440000")]
pub struct JobIdError {
    /// What was given.
    pub text: String,
}

impl JobId {
    /// How long the groups of digits are that hyphens part.
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

    /// The name with these 128 bits.
    #[must_use]
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let mut rest = digits.as_str();
        for (number, len) in Self::GROUPS.into_iter().enumerate() {
            let (group, behind) = rest.split_at(len);
            rest = behind;
            write!(f, "{}{group}", if number > 0 { "-" } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for JobId {
    type Err = JobIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let groups = text.split('-').map(str::len);
        let digits = text.replace('-', "");
        let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = u128::from_str_radix(&digits, 16).ok().filter(|_| plain && groups.eq(Self::GROUPS));
        bits.map(Self).ok_or_else(|| JobIdError { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_are_read() {
        for wrong in ["", "550e8400e29b41d4a716446655440000", "550e8400-e29b-41d4-a716-44665544000g", "+"] {
            assert!(wrong.parse::<JobId>().is_err(), "{wrong}");
        }
    }
}
