//! `ohlcv run`, `serve` and `schedule`: the API, the scheduler, or both.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::net::TcpListener;

use super::{End, progress};
use crate::console::Console;
use crate::http;
use crate::lifecycle::{Lifecycle, Outcome};
use crate::monitoring;
use crate::scheduler;
use crate::settings::Settings;
use crate::wiring::{App, Outside};
use crate::worker;

/// Which parts of the service this process runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    api: bool,
    scheduler: bool,
}

impl Parts {
    pub(super) const ALL: Self = Self { api: true, scheduler: true };
    pub(super) const API: Self = Self { api: true, scheduler: false };
    pub(super) const SCHEDULER: Self = Self { api: false, scheduler: true };
}

pub(super) async fn execute(
    settings: Settings,
    outside: Outside,
    parts: Parts,
    mut lifecycle: Lifecycle,
    console: Console,
) -> anyhow::Result<End> {
    let Ok(opened) = lifecycle.one_shot(App::open(settings, outside)).await else {
        return Ok(End::Done);
    };
    let app = opened?;
    let end = run(&app, parts, &mut lifecycle, console).await;
    lifecycle.within_stop_time(app.close()).await;
    end
}

/// Runs the parts until they are told to stop.
async fn run(app: &App, parts: Parts, lifecycle: &mut Lifecycle, console: Console) -> anyhow::Result<End> {
    let stop = lifecycle.token();
    if parts.api {
        let listener = bind("LISTEN_ADDRESS", app.settings.listen_address).await?;
        let address = listener.local_addr()?;
        tracing::info!(
            "listening on http://{address}, dashboard on http://{address}/dashboard, documentation on \
             http://{address}/docs"
        );
        if app.settings.api_keys.is_empty() {
            tracing::info!("API_KEY is not set: fetches and jobs over HTTP are off");
        }
        let (endpoint, stop) = (app.endpoint(stop.clone()), stop.clone());
        lifecycle.spawn("the API", async { Ok(http::serve(listener, endpoint, stop).await?) });
    } else if let Some(address) = app.settings.metrics_listen_address {
        let listener = bind("METRICS_LISTEN_ADDRESS", address).await?;
        tracing::info!("metrics on http://{}/metrics", listener.local_addr()?);
        let (endpoint, stop) = (app.monitoring_endpoint(), stop.clone());
        lifecycle.spawn("the metrics", async { Ok(http::serve(listener, endpoint, stop).await?) });
    }
    let stopped = stop.clone();
    lifecycle.spawn("the upkeep of metrics", async move {
        monitoring::keep_up(&stopped).await;
        Ok(())
    });
    if parts.scheduler {
        let (worker, jobs_stop, shown) = (app.clone(), stop.clone(), progress(&console));
        lifecycle.spawn("the worker", async move {
            worker::run(&worker, &jobs_stop, shown).await;
            Ok(())
        });
        let app = app.clone();
        lifecycle.spawn("the scheduler", async move {
            scheduler::run(&app, &stop, progress(&console), || console.clear()).await;
            Ok(())
        });
    }
    match lifecycle.run().await {
        Outcome::Stopped => Ok(End::Done),
        Outcome::Failed(error) => Err(error),
    }
}

/// A socket at the address that the setting `name` says.
async fn bind(name: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {name}={address}"))
}
