//! Rows as somebody offers them, and the rules that they have to keep.

use std::fmt;

use ohlcv_domain::{Asset, Candle, Rejection, Rule, Timestamp};

/// Rows in the order in which they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfferedRows {
    /// The rows.
    pub rows: Vec<OfferedRow>,
    /// How many rows there are in everything that is read, as far as can be told now.
    pub expected: u64,
}

/// A row that somebody offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedRow {
    /// Where it stands.
    pub place: Place,
    /// Whose it is; none if that cannot be read.
    pub asset: Option<Asset>,
    /// The candle, or why it is none.
    pub candle: Result<Candle, Unfit>,
}

/// Where a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which of the files it is in, counted from 0.
    pub file: usize,
    /// Its line or row there, counted from 1.
    pub row: u64,
}

/// The rule that a row broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImportRule {
    /// One that rows of the exchange have to keep, too.
    Row(Rule),
    /// It was filled in, which is never stored.
    Filled,
    /// It is a candle of another interval than the stored ones.
    OtherInterval,
    /// Its prices are in another asset than the stored ones.
    OtherQuote,
    /// It is of another asset than the one that was named for all rows.
    OtherAsset,
    /// It opens before the first candle that the exchange has of the asset.
    BeforeListing,
    /// Another candle is stored there.
    Differs,
    /// There are more assets than one import takes.
    TooManyAssets,
}

impl ImportRule {
    /// A short name for it that stays the same.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Row(rule) => rule.as_str(),
            Self::Filled => "filled",
            Self::OtherInterval => "other_interval",
            Self::OtherQuote => "other_quote",
            Self::OtherAsset => "other_asset",
            Self::BeforeListing => "before_listing",
            Self::Differs => "differs",
            Self::TooManyAssets => "too_many_assets",
        }
    }
}

impl fmt::Display for ImportRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<Rule> for ImportRule {
    fn from(rule: Rule) -> Self {
        Self::Row(rule)
    }
}

/// Why a row is not to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The rule it broke.
    pub rule: ImportRule,
    /// The open time that it claims, where that can be read.
    pub open_time: Option<Timestamp>,
    /// The part of it that tells, cut to [`Rejection::EVIDENCE_CHARS_MAX`].
    pub evidence: String,
}

impl Unfit {
    /// A reason with its evidence.
    #[must_use]
    pub fn of(rule: ImportRule, open_time: Option<Timestamp>, evidence: &str) -> Self {
        let evidence = evidence.chars().take(Rejection::EVIDENCE_CHARS_MAX).collect();
        Self { rule, open_time, evidence }
    }

    pub(super) fn of_candle(rule: ImportRule, candle: &Candle) -> Self {
        let open_time = candle.open_time();
        Self::of(rule, Some(open_time), &format!("{open_time} close {}", candle.close()))
    }

    /// What is stored, and what is offered instead, where they are not the same.
    pub(super) fn contradiction(stored: &Candle, offered: &Candle) -> Self {
        let parts = told(stored).into_iter().zip(told(offered));
        let told = parts.filter_map(|((name, stored), (_, offered))| {
            let (stored, offered) = (stored?, offered?);
            (stored != offered).then(|| format!("{name} {offered}, stored {stored}"))
        });
        let told: Vec<String> = told.collect();
        Self::of(ImportRule::Differs, Some(offered.open_time()), &told.join("; "))
    }
}

fn told(candle: &Candle) -> [(&'static str, Option<String>); 9] {
    let details = candle.details();
    [
        ("open", Some(candle.open().to_string())),
        ("high", Some(candle.high().to_string())),
        ("low", Some(candle.low().to_string())),
        ("close", Some(candle.close().to_string())),
        ("volume", Some(candle.volume().to_string())),
        ("quote_volume", details.map(|known| known.quote_volume.to_string())),
        ("trades", details.map(|known| known.trades.to_string())),
        ("taker_buy_volume", details.map(|known| known.taker_buy_volume.to_string())),
        ("taker_buy_quote_volume", details.map(|known| known.taker_buy_quote_volume.to_string())),
    ]
}
