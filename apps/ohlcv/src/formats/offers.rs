//! Rows that come into the program: which columns there have to be, and what a row of them is.

mod arrow;
mod cell;
mod csv;
mod messages;

use std::io::Read;

use ohlcv_domain::{
    Asset, Candle, DecimalError, Interval, Ohlc, Price, Rule, Timestamp, TradeDetails, Volume,
};
use ohlcv_usecases::{ImportRule, OfferedRow, Place, Unfit};

use self::arrow::ArrowOffers;
use self::cell::Cell;
use self::csv::CsvOffers;
use super::Format;
use crate::settings::check_against_quote;

/// The first bytes of Arrow's other format, which is no stream.
pub(crate) const ARROW_FILE_MAGIC: &[u8] = b"ARROW1\0\0";
/// How a message of an Arrow stream begins.
const ARROW_MESSAGE_MARK: &[u8] = &[0xff; 4];
/// So many first bytes tell what an input is.
pub(crate) const TELLING_BYTES: usize = ARROW_FILE_MAGIC.len();

/// Why nothing, or nothing more, of an input can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(pub(crate) String);

/// What the rows of an input have to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// The interval of the stored candles.
    pub(crate) interval: Interval,
    /// What prices are in.
    pub(crate) quote: Asset,
    /// Whose rows they are, if somebody said so.
    pub(crate) asset: Option<Asset>,
    /// Which of the inputs it is.
    pub(crate) file: usize,
}

/// Rows of an input, one after the other.
#[derive(Debug)]
pub(crate) enum Offers<R: Read> {
    /// Out of comma-separated values.
    Csv(Box<CsvOffers<R>>),
    /// Out of an Arrow stream.
    Arrow(Box<ArrowOffers<R>>),
}

impl<R: Read> Offers<R> {
    /// What an input is, by its first [`TELLING_BYTES`].
    pub(crate) fn format_of(first: &[u8]) -> Format {
        if first.starts_with(ARROW_MESSAGE_MARK) { Format::Arrow } else { Format::Csv }
    }

    /// Reads what an input says about all of its rows.
    ///
    /// # Errors
    /// [`Unreadable`] if they cannot be the candles that are wanted.
    pub(crate) fn open(format: Format, input: R, wanted: Wanted) -> Result<Self, Unreadable> {
        match format {
            Format::Arrow => Ok(Self::Arrow(Box::new(ArrowOffers::open(input, wanted)?))),
            _ => Ok(Self::Csv(Box::new(CsvOffers::open(input, wanted)?))),
        }
    }

    /// The next row; none behind the last one.
    ///
    /// # Errors
    /// [`Unreadable`] if nothing more can be read.
    pub(crate) fn next(&mut self) -> Result<Option<OfferedRow>, Unreadable> {
        match self {
            Self::Csv(rows) => rows.next(),
            Self::Arrow(rows) => rows.next(),
        }
    }

    /// How the place of a row is called.
    pub(crate) const fn place_word(format: Format) -> &'static str {
        if matches!(format, Format::Arrow) { "row" } else { "line" }
    }
}

/// What stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Asset,
    Interval,
    Quote,
    Time,
    Open,
    High,
    Low,
    Close,
    Volume,
    QuoteVolume,
    Trades,
    TakerBuyVolume,
    TakerBuyQuoteVolume,
    Filled,
}

const COLUMNS: usize = 14;

/// How columns are called.
const NAMES: [(&str, Column); 16] = [
    ("asset", Column::Asset),
    ("interval", Column::Interval),
    ("quote", Column::Quote),
    ("timestamp", Column::Time),
    ("open_time", Column::Time),
    ("open_time_ms", Column::Time),
    ("open", Column::Open),
    ("high", Column::High),
    ("low", Column::Low),
    ("close", Column::Close),
    ("volume", Column::Volume),
    ("quote_volume", Column::QuoteVolume),
    ("trades", Column::Trades),
    ("taker_buy_volume", Column::TakerBuyVolume),
    ("taker_buy_quote_volume", Column::TakerBuyQuoteVolume),
    ("filled", Column::Filled),
];
const REQUIRED: [Column; 6] =
    [Column::Time, Column::Open, Column::High, Column::Low, Column::Close, Column::Volume];
const DETAILS: [Column; 4] =
    [Column::QuoteVolume, Column::Trades, Column::TakerBuyVolume, Column::TakerBuyQuoteVolume];
/// What answers with derived rows have besides.
const COMPLETE: &str = "complete";

impl Column {
    fn of(name: &str) -> Option<Self> {
        NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, column)| column)
    }

    fn name(self) -> &'static str {
        NAMES.into_iter().find(|(_, column)| *column == self).map_or("", |(name, _)| name)
    }
}

/// Which columns an input has, and where.
#[derive(Clone, Debug)]
struct Columns {
    at: [Option<usize>; COLUMNS],
    wanted: Wanted,
}

impl Columns {
    /// Learns from the names of an input's columns, in any order.
    fn of<'a>(names: impl IntoIterator<Item = &'a str>, wanted: Wanted) -> Result<Self, Unreadable> {
        let mut at = [None; COLUMNS];
        for (place, name) in names.into_iter().enumerate() {
            if name == COMPLETE {
                return Err(Unreadable(format!(
                    "the column {COMPLETE} says that these rows were derived from candles of another interval: \
                     import those"
                )));
            }
            let Some(column) = Column::of(name) else {
                let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
                return Err(Unreadable(format!(
                    "there is a column {name:?}, which is none of {}: take it out, or give it its name here",
                    known.join(", ")
                )));
            };
            if at[column as usize].replace(place).is_some() {
                return Err(Unreadable(format!("there are two columns for {}", column.name())));
            }
        }
        let missing = |column: &&Column| at[**column as usize].is_none();
        if let Some(column) = REQUIRED.iter().find(missing) {
            return Err(Unreadable(format!("there is no column {}", column.name())));
        }
        if let Some(column) = DETAILS.iter().find(missing)
            && !DETAILS.iter().all(|column| missing(&column))
        {
            return Err(Unreadable(format!(
                "there is no column {}: of the four from quote_volume on either all are there or none",
                column.name()
            )));
        }
        if at[Column::Asset as usize].is_none() && wanted.asset.is_none() {
            return Err(Unreadable(
                "nothing says whose candles these are: name them with --asset".to_owned(),
            ));
        }
        Ok(Self { at, wanted })
    }

    /// Whether rows say how long their candles last, what their prices are in, and the rest of the kline.
    fn has(&self, column: Column) -> bool {
        self.at[column as usize].is_some()
    }

    /// A row whose cells are these, by their place.
    fn row<'a>(&self, row: u64, cell: impl Fn(usize) -> Cell<'a>) -> OfferedRow {
        let cell = |column: Column| self.at[column as usize].map_or(Cell::Missing, &cell);
        let place = Place { file: self.wanted.file, row };
        let (asset, refused) = match self.asset(cell(Column::Asset)) {
            Ok(asset) => (Some(asset), None),
            Err(refused) => (None, Some(refused)),
        };
        let candle = match refused {
            Some(refused) => Err(refused),
            None => self.candle(cell),
        };
        OfferedRow { place, asset, candle }
    }

    /// A row that has not got the cells of the others.
    fn misshapen(&self, row: u64, told: &str) -> OfferedRow {
        let place = Place { file: self.wanted.file, row };
        OfferedRow {
            place,
            asset: self.wanted.asset,
            candle: Err(Unfit::of(Rule::Malformed.into(), None, told)),
        }
    }

    fn asset(&self, cell: Cell<'_>) -> Result<Asset, Unfit> {
        let malformed = |told: &str| Unfit::of(Rule::Malformed.into(), None, told);
        if !self.has(Column::Asset) {
            return self.wanted.asset.ok_or_else(|| malformed("asset is missing"));
        }
        let asset: Asset = cell
            .text()
            .ok_or_else(|| malformed(&format!("asset is {cell}")))?
            .parse()
            .map_err(|error| malformed(&format!("asset is {cell}: {error}")))?;
        check_against_quote(asset, self.wanted.quote)
            .map_err(|told| malformed(&format!("asset is {cell}: {told}")))?;
        match self.wanted.asset {
            Some(wanted) if wanted != asset => {
                let told = format!("asset is {asset}, --asset {wanted}");
                Err(Unfit::of(ImportRule::OtherAsset, None, &told))
            }
            _ => Ok(asset),
        }
    }

    fn candle<'a>(&self, cell: impl Fn(Column) -> Cell<'a>) -> Result<Candle, Unfit> {
        let open_time = cell(Column::Time).time().map_err(|told| {
            let told = format!("{} is {}: {told}", Column::Time.name(), cell(Column::Time));
            Unfit::of(Rule::Malformed.into(), None, &told)
        })?;
        let row = Row { open_time, cell };
        if row.flag(Column::Filled)?.unwrap_or(false) {
            return Err(
                row.unfit(ImportRule::Filled, &format!("{open_time} carries the close of an earlier candle"))
            );
        }
        for (column, wanted, rule) in [
            (Column::Interval, self.wanted.interval.as_str(), ImportRule::OtherInterval),
            (Column::Quote, self.wanted.quote.as_str(), ImportRule::OtherQuote),
        ] {
            if self.has(column) && (row.cell)(column).text() != Some(wanted) {
                let told = format!("{} is {}, not {wanted}", column.name(), (row.cell)(column));
                return Err(row.unfit(rule, &told));
            }
        }
        let prices = Ohlc {
            open: row.price(Column::Open)?,
            high: row.price(Column::High)?,
            low: row.price(Column::Low)?,
            close: row.price(Column::Close)?,
        };
        let candle = Candle::new(open_time, prices, row.volume(Column::Volume)?)
            .map_err(|error| row.unfit(Rule::from(error).into(), &error.to_string()))?;
        Ok(match row.details()? {
            Some(details) => candle.with_details(details),
            None => candle,
        })
    }
}

/// A row whose open time is known.
struct Row<F> {
    open_time: Timestamp,
    cell: F,
}

impl<'a, F: Fn(Column) -> Cell<'a>> Row<F> {
    fn unfit(&self, rule: ImportRule, told: &str) -> Unfit {
        Unfit::of(rule, Some(self.open_time), told)
    }

    fn malformed(&self, column: Column) -> Unfit {
        let told = match (self.cell)(column) {
            Cell::Missing => format!("{} is empty", column.name()),
            cell => format!("{} is {cell}", column.name()),
        };
        self.unfit(Rule::Malformed.into(), &told)
    }

    fn flag(&self, column: Column) -> Result<Option<bool>, Unfit> {
        match (self.cell)(column) {
            Cell::Missing => Ok(None),
            cell => cell.flag().map(Some).ok_or_else(|| self.malformed(column)),
        }
    }

    fn price(&self, column: Column) -> Result<Price, Unfit> {
        (self.cell)(column).decimal().map_err(|error| self.undecimal(column, error))
    }

    fn volume(&self, column: Column) -> Result<Volume, Unfit> {
        (self.cell)(column).decimal().map_err(|error| self.undecimal(column, error))
    }

    fn undecimal(&self, column: Column, error: DecimalError) -> Unfit {
        Unfit { rule: Rule::from(error).into(), ..self.malformed(column) }
    }

    /// The rest of the kline, if the row has all of it; none of it is fine, too.
    fn details(&self) -> Result<Option<TradeDetails>, Unfit> {
        if DETAILS.into_iter().all(|column| matches!((self.cell)(column), Cell::Missing)) {
            return Ok(None);
        }
        let trades = (self.cell)(Column::Trades).count().ok_or_else(|| self.malformed(Column::Trades))?;
        Ok(Some(TradeDetails {
            quote_volume: self.volume(Column::QuoteVolume)?,
            trades,
            taker_buy_volume: self.volume(Column::TakerBuyVolume)?,
            taker_buy_quote_volume: self.volume(Column::TakerBuyQuoteVolume)?,
        }))
    }
}
