//! Reading bulk archives, from zip to row, against the writes alone.
//!
//! Nothing is measured yet: an exchange's archive to read from is still to come.

use ohlcv_tests::database::Backend;

use crate::options::Options;
use crate::table::Table;

pub(crate) async fn measure(_: &Options, _: Backend, _: &mut Table) -> anyhow::Result<()> {
    Ok(())
}
