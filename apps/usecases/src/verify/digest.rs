//! Candles of a series, digested month by month.

use std::fmt::Write;

use ohlcv_domain::{Candle, Grid, Interval, Timestamp, canonical_line};
use sha2::{Digest, Sha256};

use super::MonthDigest;

/// Takes candles in ascending order.
#[derive(Default)]
pub(super) struct Months {
    ended: Vec<MonthDigest>,
    current: Option<Month>,
}

struct Month {
    start: Timestamp,
    candles: u64,
    hash: Sha256,
}

impl Months {
    pub(super) fn add(&mut self, candle: &Candle) {
        let start = Grid::new(Interval::Mo1).floor(candle.open_time());
        if let Some(ended) = self.current.take_if(|month| month.start != start) {
            self.ended.push(ended.digest());
        }
        let month = self.current.get_or_insert_with(|| Month { start, candles: 0, hash: Sha256::new() });
        month.candles += 1;
        month.hash.update(canonical_line(candle));
        month.hash.update(b"\n");
    }

    pub(super) fn finish(mut self) -> Vec<MonthDigest> {
        self.ended.extend(self.current.take().map(Month::digest));
        self.ended
    }
}

impl Month {
    fn digest(self) -> MonthDigest {
        let mut sha256 = String::new();
        for byte in self.hash.finalize() {
            // Writing to a text cannot fail.
            let _ = write!(sha256, "{byte:02x}");
        }
        MonthDigest { month: self.start, candles: self.candles, sha256 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_the_digest_of_its_lines() {
        let mut months = Months::default();
        for open_time in ["1970-01-01T00:00:00Z", "1970-01-31T12:00:00Z", "1970-03-01T00:00:00Z"] {
            months.add(&Candle::flat(open_time.parse().unwrap(), "1.5".parse().unwrap()));
        }
        let digests = months.finish();
        let told: Vec<_> = digests.iter().map(|month| (month.month.to_string(), month.candles)).collect();
        assert_eq!(told, [("1970-01-01T00:00:00Z".to_owned(), 2), ("1970-03-01T00:00:00Z".to_owned(), 1)]);
        // What `sha256sum` says of the line.
        let line = "5097600000 1.50000000 1.50000000 1.50000000 1.50000000 0.00000000 0.00000000 0 0.00000000 0.00000000\n";
        assert_eq!(
            canonical_line(&Candle::flat("1970-03-01T00:00:00Z".parse().unwrap(), "1.5".parse().unwrap()))
                + "\n",
            line
        );
        assert_eq!(digests[1].sha256, "7bf84bc129573f71713d17bb765e9bfccf17e3b825d6135e1231a75a8f3e0999");
    }
}
