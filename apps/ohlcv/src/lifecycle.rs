//! Living and ending: signals, tasks that belong together, the time a stop may take.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::anyhow;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// From the signal to the end of the process at most this much time passes.
pub(crate) const STOP_TIME_MAX: Duration = Duration::from_secs(10);
/// What is kept of it for the way out of `main`.
const STOP_TIME_RESERVE: Duration = Duration::from_secs(1);
/// Signals that arrived and were not looked at yet; the second one already ends everything.
const SIGNALS_QUEUED_MAX: usize = 4;

/// A wish that the process end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGINT: somebody pressed Ctrl-C.
    Interrupt,
    /// SIGTERM: a service manager, or `kill`.
    Terminate,
}

impl Signal {
    /// The exit status of a process that this signal ended: 130 or 143.
    #[must_use]
    pub(crate) const fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// How the tasks of a service ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// They were asked to stop.
    Stopped,
    /// One ended by itself, panicked, or failed while stopping.
    Failed(anyhow::Error),
}

/// The life of this process: its tasks, and the wish that it end.
///
/// Everything that waits or works for long watches [`Lifecycle::token`].
#[derive(Debug)]
pub(crate) struct Lifecycle {
    stop: Stop,
    tasks: JoinSet<anyhow::Result<()>>,
    names: HashMap<Id, &'static str>,
}

#[derive(Clone, Debug, Default)]
struct Stop {
    token: CancellationToken,
    asked: Arc<OnceLock<(Signal, Instant)>>,
}

impl Lifecycle {
    /// Listens to SIGTERM and SIGINT from now on: the first cancels the token, the second ends the
    /// process at once with 128 and its number. To be called within a tokio runtime.
    ///
    /// # Errors
    /// If the system refuses to hand over signals.
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let (sender, signals) = mpsc::channel(SIGNALS_QUEUED_MAX);
        let kinds =
            [(SignalKind::interrupt(), Signal::Interrupt), (SignalKind::terminate(), Signal::Terminate)];
        for (kind, meaning) in kinds {
            let mut incoming = signal(kind)?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while incoming.recv().await.is_some() {
                    if sender.send(meaning).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self::listening_to(signals, |code| std::process::exit(code.into())))
    }

    fn listening_to(signals: mpsc::Receiver<Signal>, exit: impl Fn(u8) + Send + 'static) -> Self {
        let stop = Stop::default();
        tokio::spawn(stop.clone().watch(signals, exit));
        Self { stop, tasks: JoinSet::new(), names: HashMap::new() }
    }

    /// Cancelled when the process is to end.
    #[must_use]
    pub(crate) fn token(&self) -> CancellationToken {
        self.stop.token.clone()
    }

    /// The signal that asked the process to end, if one did.
    #[must_use]
    pub(crate) fn signal(&self) -> Option<Signal> {
        self.stop.asked.get().map(|(signal, _)| *signal)
    }

    /// Starts a task that is to run until the token is cancelled; its name is for messages.
    pub(crate) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits until the process is to end, or a task ends although nobody asked it to, which takes
    /// the others down with it. Then gives all tasks the time of a stop to finish what they have
    /// in hand; those that need longer are aborted, which the log says.
    pub(crate) async fn run(&mut self) -> Outcome {
        let ended_early = tokio::select! {
            biased;
            () = self.stop.token.cancelled() => None,
            Some(ended) = self.tasks.join_next_with_id() => Some(ended),
        };
        let mut failure = ended_early.map(|ended| {
            let name = self.forget(&ended);
            failure_of(name, ended).unwrap_or_else(|| anyhow!("{name} ended although nobody asked it to"))
        });
        self.stop.token.cancel();

        let stop = self.stop.clone();
        let all_ended = stop.within_stop_time(async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                let name = self.forget(&ended);
                let late = failure_of(name, ended);
                failure = failure.take().or(late);
            }
        });
        if all_ended.await.is_none() {
            let names: Vec<&str> = self.names.values().copied().collect();
            tracing::warn!(tasks = names.join(", "), "aborting what did not stop in time");
            self.tasks.abort_all();
        }
        failure.map_or(Outcome::Stopped, Outcome::Failed)
    }

    /// Runs a piece of work that ends by itself. It has to watch the token, and gets the time of a
    /// stop to finish what it has in hand.
    ///
    /// # Errors
    /// The signal that came before the work was done. Without one, a cancelled token counts as
    /// [`Signal::Terminate`].
    pub(crate) async fn one_shot<T>(&self, work: impl Future<Output = T>) -> Result<T, Signal> {
        let mut work = pin!(work);
        let done = tokio::select! {
            biased;
            done = &mut work => done,
            () = self.stop.token.cancelled() => {
                if self.within_stop_time(work).await.is_none() {
                    tracing::warn!("aborting the work, which did not stop in time");
                }
                return Err(self.signal().unwrap_or(Signal::Terminate));
            }
        };
        self.signal().map_or(Ok(done), Err)
    }

    /// Waits for the last things, such as closing a pool, no longer than what is left of
    /// [`STOP_TIME_MAX`] since the signal, or since now if there was none. None if it was too long.
    pub(crate) async fn within_stop_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.stop.within_stop_time(work).await
    }

    fn forget(&mut self, ended: &Result<(Id, anyhow::Result<()>), JoinError>) -> &'static str {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        self.names.remove(&id).unwrap_or("a task")
    }
}

impl Stop {
    async fn watch(self, mut signals: mpsc::Receiver<Signal>, exit: impl Fn(u8)) {
        let Some(first) = signals.recv().await else { return };
        // Noted before anybody can see the token cancelled.
        let _ = self.asked.set((first, Instant::now()));
        tracing::info!(signal = %first, "stopping; a second signal ends at once");
        self.token.cancel();
        if let Some(second) = signals.recv().await {
            exit(second.exit_code());
        }
    }

    async fn within_stop_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let since = self.asked.get().map_or_else(Instant::now, |(_, at)| *at);
        tokio::time::timeout_at(since + (STOP_TIME_MAX - STOP_TIME_RESERVE), work).await.ok()
    }
}

fn failure_of(
    name: &'static str,
    ended: Result<(Id, anyhow::Result<()>), JoinError>,
) -> Option<anyhow::Error> {
    match ended {
        Ok((_, Ok(()))) => None,
        Ok((_, Err(error))) => Some(error.context(format!("{name} failed"))),
        Err(error) if error.is_panic() => Some(anyhow!("{name} panicked")),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A life whose signals and exits are in the hands of the test.
    fn life() -> (Lifecycle, mpsc::Sender<Signal>, mpsc::UnboundedReceiver<u8>) {
        let (signals, received) = mpsc::channel(SIGNALS_QUEUED_MAX);
        let (exit, exits) = mpsc::unbounded_channel();
        let life = Lifecycle::listening_to(received, move |code| exit.send(code).unwrap());
        (life, signals, exits)
    }

    async fn until(token: CancellationToken) -> anyhow::Result<()> {
        token.cancelled().await;
        Ok(())
    }

    fn failed(outcome: Outcome) -> String {
        match outcome {
            Outcome::Failed(error) => format!("{error:#}"),
            Outcome::Stopped => panic!("stopped, not failed"),
        }
    }

    #[tokio::test]
    async fn a_signal_stops_all_tasks_and_is_remembered() {
        let (mut life, signals, _exits) = life();
        life.spawn("one", until(life.token()));
        life.spawn("two", until(life.token()));
        signals.send(Signal::Terminate).await.unwrap();
        assert!(matches!(life.run().await, Outcome::Stopped));
        assert_eq!(life.signal(), Some(Signal::Terminate));
    }

    #[tokio::test]
    async fn a_second_signal_ends_the_process_at_once() {
        let (_life, signals, mut exits) = life();
        signals.send(Signal::Terminate).await.unwrap();
        signals.send(Signal::Interrupt).await.unwrap();
        assert_eq!(exits.recv().await, Some(130));
    }

    #[tokio::test]
    async fn a_task_that_ends_by_itself_takes_the_others_down() {
        let (mut life, _signals, _exits) = life();
        let token = life.token();
        life.spawn("server", until(life.token()));
        life.spawn("scheduler", async { Ok(()) });
        assert_eq!(failed(life.run().await), "scheduler ended although nobody asked it to");
        assert!(token.is_cancelled());
        assert_eq!(life.signal(), None);
    }

    #[tokio::test]
    async fn a_task_that_fails_or_panics_is_named() {
        let (mut life, _signals, _exits) = self::life();
        life.spawn("server", async { Err(anyhow!("no socket")) });
        assert_eq!(failed(life.run().await), "server failed: no socket");

        let (mut life, _signals, _exits) = self::life();
        life.spawn("scheduler", async { panic!("on purpose") });
        assert_eq!(failed(life.run().await), "scheduler panicked");
    }

    #[tokio::test]
    async fn a_task_that_fails_while_stopping_is_told() {
        let (mut life, signals, _exits) = life();
        let token = life.token();
        life.spawn("server", async move {
            token.cancelled().await;
            Err(anyhow!("disk full"))
        });
        signals.send(Signal::Terminate).await.unwrap();
        assert_eq!(failed(life.run().await), "server failed: disk full");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_stop_is_aborted_in_time() {
        let (mut life, signals, _exits) = life();
        life.spawn("stubborn", std::future::pending());
        signals.send(Signal::Interrupt).await.unwrap();
        let asked = Instant::now();
        assert!(matches!(life.run().await, Outcome::Stopped));
        assert!(life.within_stop_time(std::future::pending::<()>()).await.is_none());
        assert!(asked.elapsed() < STOP_TIME_MAX, "{:?}", asked.elapsed());
    }

    #[tokio::test]
    async fn work_that_is_done_before_any_signal_gives_its_result() {
        let (life, _signals, _exits) = life();
        assert_eq!(life.one_shot(async { 7 }).await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn interrupted_work_finishes_what_it_has_in_hand() {
        let (life, signals, _exits) = life();
        let token = life.token();
        let mut written = false;
        signals.send(Signal::Interrupt).await.unwrap();
        let work = async {
            token.cancelled().await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            written = true;
        };
        assert_eq!(life.one_shot(work).await, Err(Signal::Interrupt));
        assert!(written);
    }

    #[tokio::test(start_paused = true)]
    async fn interrupted_work_that_does_not_stop_is_abandoned_in_time() {
        let (life, signals, _exits) = life();
        signals.send(Signal::Terminate).await.unwrap();
        let asked = Instant::now();
        assert_eq!(life.one_shot(std::future::pending::<()>()).await, Err(Signal::Terminate));
        assert!(asked.elapsed() < STOP_TIME_MAX);
    }

    #[test]
    fn exit_codes_are_those_of_the_shell() {
        assert_eq!([Signal::Interrupt, Signal::Terminate].map(Signal::exit_code), [130, 143]);
    }
}
