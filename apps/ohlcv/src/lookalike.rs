//! What a mistyped name was meant to be.

use ohlcv_domain::Asset;

/// Names up to this length are a slip from too many others, so only one slip is forgiven.
const SHORT_LEN_MAX: usize = 4;

/// The known asset that a name was meant to be: that of a market in `quote`, or one a slip of the finger
/// away, two in a long name.
pub(crate) fn meant(asset: Asset, quote: Asset, known: &[Asset]) -> Option<Asset> {
    let name = asset.as_str();
    let is_known = |stem: &str| known.iter().copied().find(|known| known.as_str() == stem);
    if let Some(market) = name.strip_suffix(quote.as_str()).and_then(is_known) {
        return Some(market);
    }
    let slips_max = if name.len() > SHORT_LEN_MAX { 2 } else { 1 };
    let slips = known.iter().map(|known| (strsim::osa_distance(name, known.as_str()), *known));
    let nearest = slips.filter(|(slips, _)| (1..=slips_max).contains(slips)).min_by_key(|(slips, _)| *slips);
    nearest.map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_forgiven_and_another_name_is_left_alone() {
        let asset = |name: &str| name.parse::<Asset>().unwrap();
        let known = ["BTC", "ETH", "LINK", "1000SATS"].map(asset);
        for (typed, expected) in [
            ("BCT", Some("BTC")),
            ("BT", Some("BTC")),
            ("BTTC", Some("BTC")),
            ("LNIK", Some("LINK")),
            ("100STAS", Some("1000SATS")),
            ("BTCUSDT", Some("BTC")),
            ("ETC", Some("BTC")),
            ("DOGE", None),
            ("BTC", None),
        ] {
            let meant = meant(asset(typed), asset("USDT"), &known);
            assert_eq!(meant.as_ref().map(Asset::as_str), expected, "{typed}");
        }
    }
}
