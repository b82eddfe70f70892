//! The program for who only looks: nothing is made, brought up or claimed.

use std::sync::Arc;

use anyhow::Context;
use ohlcv_ports::{Paused, RequestBudget, StoreError};
use ohlcv_usecases::{ListAssets, QueryCandles, ReadSeries};

use super::{
    App, Exchange, Outside, Refused, SqlStore, bound, check_installation, connect_to_existing, not_claimed,
    not_opened,
};
use crate::settings::Settings;

impl App {
    /// Opens a database to read from it. It stays as it is, also while others write.
    ///
    /// # Errors
    /// [`Refused`] if it is not there, has another schema, or belongs to other settings; else whatever
    /// the database says.
    pub async fn open_to_look(settings: Settings, outside: Outside) -> anyhow::Result<Self> {
        let url = &settings.database_url;
        if let Some(file) = url.missing_file() {
            return Err(Refused::because(format!(
                "there is no file {file}, which DATABASE_URL={url} names: nothing was fetched into it yet, or it \
                 lies elsewhere"
            )));
        }
        let db = connect_to_existing(url.expose()).await.map_err(|error| not_opened(url, error))?;
        let pending = ohlcv_migration::pending(&db).await.context("cannot read the schema's version")?;
        if !pending.is_empty() {
            let pending = pending.join(", ");
            return Err(Refused::because(format!(
                "the database DATABASE_URL={url} lacks {pending}: is it the right one? `ohlcv migrate` brings its \
                 schema up"
            )));
        }
        check_installation(&db, &bound(&settings)).await.map_err(not_claimed)?;
        Ok(Self::on(SqlStore::new(db, ohlcv_migration::newest()), settings, outside))
    }

    /// What is stored of every asset.
    #[must_use]
    pub fn list_assets(&self) -> ListAssets {
        let tracked = self.settings.tracked_assets.clone();
        ListAssets::new(Arc::clone(&self.coverage), self.clock(), tracked, self.monitor_policy())
    }

    /// Ranges of candles.
    #[must_use]
    pub fn query_candles(&self) -> QueryCandles {
        QueryCandles::new(self.series())
    }

    pub(super) fn series(&self) -> ReadSeries {
        ReadSeries::new(
            Arc::clone(&self.store),
            Arc::clone(&self.coverage),
            Arc::<SqlStore>::clone(&self.database),
            self.settings.candle_interval,
            self.settings.tracked_assets.clone(),
        )
    }

    /// Whether the exchange must not be asked now, as any process on the database was told.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn paused(&self) -> Result<Option<Paused>, StoreError> {
        match &self.outside.exchange {
            Exchange::Binance { api, .. } => self.database.paused(&api.exchange()).await,
            Exchange::Other(_) => Ok(None),
        }
    }
}
