//! Stored candles against those of their source.

use std::cmp::Ordering;

use crate::{Candle, Timestamp};

/// A slot about which a store and its source do not say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The source has a candle that is not stored.
    MissingInStore {
        /// What the source has.
        source: Candle,
    },
    /// A candle is stored that the source does not have.
    MissingAtSource {
        /// What is stored.
        stored: Candle,
    },
    /// Both have a candle, with other numbers.
    Differs {
        /// What is stored.
        stored: Candle,
        /// What the source has.
        source: Candle,
    },
}

impl Difference {
    /// The open time of the slot.
    #[must_use]
    pub const fn open_time(&self) -> Timestamp {
        match self {
            Self::MissingInStore { source: candle }
            | Self::MissingAtSource { stored: candle }
            | Self::Differs { stored: candle, .. } => candle.open_time(),
        }
    }
}

/// Where `stored` and `source` differ, ascending. Both must ascend strictly by open time.
///
/// A source that does not tell the rest of the kline does not differ in it, see
/// [`Candle::confirms`].
///
/// ```
/// use ohlcv_domain::{Candle, Difference, Timestamp, differences};
///
/// let day = |day: i64| Timestamp::from_millis(day * 86_400_000).unwrap();
/// let [one, two] = [Candle::flat(day(1), "1".parse()?), Candle::flat(day(2), "1".parse()?)];
/// assert_eq!(differences(&[one], &[one, two]), [Difference::MissingInStore { source: two }]);
/// # Ok::<(), ohlcv_domain::DecimalError>(())
/// ```
#[must_use]
pub fn differences(stored: &[Candle], source: &[Candle]) -> Vec<Difference> {
    let mut found = Vec::new();
    let (mut stored, mut source) = (stored.iter().peekable(), source.iter().peekable());
    loop {
        let order = match (stored.peek(), source.peek()) {
            (None, None) => return found,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(stored), Some(source)) => stored.open_time().cmp(&source.open_time()),
        };
        let stored = if order.is_le() { stored.next() } else { None };
        let source = if order.is_ge() { source.next() } else { None };
        match (stored, source) {
            (Some(&stored), None) => found.push(Difference::MissingAtSource { stored }),
            (None, Some(&source)) => found.push(Difference::MissingInStore { source }),
            (Some(stored), Some(source)) if !source.confirms(stored) => {
                found.push(Difference::Differs { stored: *stored, source: *source });
            }
            _ => {}
        }
    }
}
