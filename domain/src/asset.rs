//! The names of what is traded.

use std::fmt;
use std::str::FromStr;

/// The name of a base or quote asset, as in `BTC` of `BTCUSDT`: 1 to 20 of `A`–`Z` and `0`–`9`.
///
/// Reading it from text forgives case and surrounding blanks, nothing else. Binance's rule for
/// symbols is wider (`^[\w\-._&&[^a-z]]{1,50}$`), but no asset quoted in a currency uses more.
///
/// ```
/// use ohlcv_domain::Asset;
///
/// let btc: Asset = " btc ".parse()?;
/// assert_eq!(btc.as_str(), "BTC");
/// assert!("BTC/USDT".parse::<Asset>().is_err());
/// # Ok::<(), ohlcv_domain::AssetError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asset {
    // Trailing bytes are zero, so the derived order is that of the names.
    bytes: [u8; Self::LEN_MAX],
    len: u8,
}

/// Why a text is not the name of an asset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not an asset name: allowed are 1 to 20 letters A-Z and digits, as in BTC")]
pub struct AssetError {
    /// What was given.
    pub text: String,
}

impl Asset {
    /// The longest name, in characters: the width of the column it is stored in.
    pub const LEN_MAX: usize = 20;

    /// The name in upper case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Holds: only ASCII is ever stored, and `len` is at most LEN_MAX.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl FromStr for Asset {
    type Err = AssetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.trim();
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if name.is_empty() || name.len() > Self::LEN_MAX || !plain {
            return Err(AssetError { text: text.to_owned() });
        }
        let mut bytes = [0; Self::LEN_MAX];
        for (slot, byte) in bytes.iter_mut().zip(name.bytes()) {
            *slot = byte.to_ascii_uppercase();
        }
        // Holds: the length was just checked to be at most 20.
        Ok(Self { bytes, len: name.len() as u8 })
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_upper_case_whatever_was_typed() {
        assert_eq!("1inch".parse::<Asset>().unwrap().as_str(), "1INCH");
    }

    #[test]
    fn what_no_column_or_symbol_could_hold_is_refused() {
        for text in ["", "  ", "BTC-USD", "BÄR", "A23456789012345678901", "B TC"] {
            assert!(text.parse::<Asset>().is_err(), "{text}");
        }
    }

    #[test]
    fn assets_sort_as_their_names() {
        let mut assets: Vec<Asset> = ["ETH", "BTC", "B", "BNB"].map(|name| name.parse().unwrap()).to_vec();
        assets.sort();
        assert_eq!(assets.iter().map(Asset::as_str).collect::<Vec<_>>(), ["B", "BNB", "BTC", "ETH"]);
    }
}
