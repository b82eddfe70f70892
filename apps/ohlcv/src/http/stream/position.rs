//! Where a follower stands, as the ids of events tell it.

use std::collections::BTreeMap;
use std::fmt;

use ohlcv_domain::{Asset, Timestamp};
use ohlcv_usecases::{Telling, Told};
use poem_openapi::registry::MetaSchema;

use crate::http::query::{ASSETS_MAX, Parameter};

/// What stands for jobs among the names of assets, which are in upper case.
const JOBS: &str = "jobs";
/// Between the parts of an id.
const BETWEEN: char = '.';
/// Between the words of a part.
const WITHIN: char = '_';

/// Where a follower stands: in the change log of each asset that it follows, and among the changes of jobs.
///
/// As text `BTC_12.ETH_7.jobs_3`: told were the first 12 changes of BTC, and so on. `BTC_12_15_1730419200000`
/// means that those up to 15 are being told, and what lies before that time was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) series: BTreeMap<Asset, Told>,
    pub(crate) jobs: Option<u64>,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (asset, told) in &self.series {
            write!(f, "{between}{asset}{WITHIN}{}", told.seq)?;
            if let Some(Telling { until, from }) = told.telling {
                write!(f, "{WITHIN}{until}{WITHIN}{}", from.millis())?;
            }
            between = ".";
        }
        match self.jobs {
            Some(seq) => write!(f, "{between}{JOBS}{WITHIN}{seq}"),
            None => Ok(()),
        }
    }
}

impl Parameter for Position {
    fn schema() -> MetaSchema {
        MetaSchema { example: Some("BTC_12.ETH_7".into()), ..MetaSchema::new("string") }
    }

    fn read(text: &str) -> Result<Self, String> {
        let mut position = Self::default();
        let read = text.split(BETWEEN).all(|part| position.add(part).is_some());
        // One more than the assets: the jobs.
        let bounded = position.series.len() <= ASSETS_MAX;
        if read && bounded { Ok(position) } else { Err(ALLOWED.to_owned()) }
    }
}

const ALLOWED: &str = "ids of events as this stream sends them, such as BTC_12.ETH_7";

impl Position {
    /// Adds what a part of the text says; none if it says nothing, or the same thing twice.
    fn add(&mut self, part: &str) -> Option<()> {
        let words: Vec<&str> = part.split(WITHIN).collect();
        let (name, seq) = (words.first()?, number(words.get(1)?)?);
        let telling = match words[2..] {
            [] => None,
            [until, from] => {
                let telling =
                    Telling { until: number(until)?, from: Timestamp::from_millis(from.parse().ok()?).ok()? };
                Some(telling).filter(|telling| telling.until > seq).map(Some)?
            }
            _ => return None,
        };
        if *name == JOBS {
            let first = telling.is_none() && self.jobs.is_none();
            self.jobs = Some(seq);
            return first.then_some(());
        }
        let told = Told { seq, telling };
        self.series.insert(name.parse().ok()?, told).is_none().then_some(())
    }
}

/// A number as it is written here: digits alone, as far as a database counts.
fn number(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number: i64 = text.parse().ok().filter(|_| plain)?;
    Some(number.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written() {
        for text in [
            "BTC_0",
            "BTC_12.ETH_7",
            "1INCH_3.BTC_12_15_1730419200000",
            "BTC_12_15_-1",
            "BTC_1.jobs_9",
            "jobs_0",
            "JOBS_1.jobs_2",
        ] {
            assert_eq!(Position::read(text).map(|position| position.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for wrong in [
            "",
            ".",
            "BTC",
            "BTC_",
            "BTC_x",
            "BTC_-1",
            "BTC_+1",
            "BTC_1_2",
            "BTC_1_2_x",
            "BTC_1_2_3_4",
            "BTC_2_1_0",
            "BTC_1.",
            "BTC_1.BTC_2",
            "BTC_1.btc_2",
            "jobs_1_2_3",
            "jobs_1.jobs_2",
            "BTC-USD_1",
            "BTC_99999999999999999999",
            "BTC_1_2_99999999999999999",
        ] {
            assert!(Position::read(wrong).is_err(), "{wrong}");
        }
        let many: Vec<String> = (0..=ASSETS_MAX).map(|number| format!("A{number}_1")).collect();
        assert!(Position::read(&many.join(".")).is_err());
    }
}
