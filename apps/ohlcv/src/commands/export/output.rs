//! Where a table goes: standard output, or a file that is there whole or not at all.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::NamedTempFile;
use tokio::sync::{mpsc, oneshot};

/// Pages that wait to be written.
const PIECES_AHEAD_MAX: usize = 1;
/// What a file may be used for, less what the user's mask takes away.
const FILE_MODE: u32 = 0o666;

/// Where a table is to go.
#[derive(Debug)]
pub(super) enum Target {
    StandardOutput,
    File { path: PathBuf, force: bool },
}

/// A table on its way. Whoever takes it may be slow: it is written by a thread of its own.
#[derive(Debug)]
pub(super) struct Output {
    pieces: mpsc::Sender<Piece>,
    done: oneshot::Receiver<anyhow::Result<()>>,
    is_file: bool,
}

#[derive(Debug)]
enum Piece {
    Bytes(Vec<u8>),
    /// Nothing is missing.
    Whole,
}

impl Output {
    /// Begins a table. A file is written under another name until it is whole.
    pub(super) fn begin(target: Target) -> anyhow::Result<Self> {
        let (pieces, mut incoming) = mpsc::channel(PIECES_AHEAD_MAX);
        let (ended, done) = oneshot::channel();
        let begun = match &target {
            Target::StandardOutput => None,
            Target::File { path, .. } => Some(beside(path)?),
        };
        let is_file = begun.is_some();
        // No task of the runtime, which would wait at its end for a reader that takes nothing.
        std::thread::Builder::new().name("output".to_owned()).spawn(move || {
            let written = match (target, begun) {
                (Target::File { path, force }, Some(begun)) => into_file(&mut incoming, begun, &path, force),
                _ => into_standard_output(&mut incoming).context("cannot write to standard output"),
            };
            // Nobody waits for it if the program is to end.
            let _ = ended.send(written);
        })?;
        Ok(Self { pieces, done, is_file })
    }

    /// Hands over the next piece; false if nobody takes it any more.
    pub(super) async fn write(&mut self, bytes: Vec<u8>) -> bool {
        self.pieces.send(Piece::Bytes(bytes)).await.is_ok()
    }

    /// Says that nothing is missing.
    pub(super) async fn whole(&mut self) {
        // If nobody takes it, `finish` says why.
        let _ = self.pieces.send(Piece::Whole).await;
    }

    /// Waits until all is written. A reader that has seen enough is no failure.
    pub(super) async fn finish(self) -> anyhow::Result<()> {
        drop(self.pieces);
        self.done.await.context("the thread that writes is gone")?
    }

    /// Leaves it as it is. The part of a file is gone then; for who reads standard output nobody waits.
    pub(super) async fn abandon(self) {
        if self.is_file {
            // Why it is abandoned tells more than what else went wrong.
            let _ = self.finish().await;
        }
    }
}

fn into_standard_output(pieces: &mut mpsc::Receiver<Piece>) -> io::Result<()> {
    let mut output = io::stdout().lock();
    while let Some(Piece::Bytes(bytes)) = pieces.blocking_recv() {
        match output.write_all(&bytes).and_then(|()| output.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    Ok(())
}

/// Without its last piece the file is dropped, and gone.
fn into_file(
    pieces: &mut mpsc::Receiver<Piece>,
    file: NamedTempFile,
    path: &Path,
    force: bool,
) -> anyhow::Result<()> {
    let written = write_whole(pieces, file, path, force).with_context(|| cannot_write(path))?;
    if written {
        let kept = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
        kept.with_context(|| format!("{} is written, but a crash may still undo its name", path.display()))?;
    }
    Ok(())
}

/// Gives the file its name once its last piece is there; false if that did not come.
fn write_whole(
    pieces: &mut mpsc::Receiver<Piece>,
    mut file: NamedTempFile,
    path: &Path,
    force: bool,
) -> io::Result<bool> {
    loop {
        match pieces.blocking_recv() {
            Some(Piece::Bytes(bytes)) => file.write_all(&bytes)?,
            Some(Piece::Whole) => break,
            None => return Ok(false),
        }
    }
    file.as_file().sync_all()?;
    let named = if force { file.persist(path) } else { file.persist_noclobber(path) };
    named?;
    Ok(true)
}

/// A file beside the one that is meant, gone when it is dropped.
fn beside(path: &Path) -> anyhow::Result<NamedTempFile> {
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    let made = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".part")
        .permissions(Permissions::from_mode(FILE_MODE))
        .tempfile_in(folder_of(path));
    made.with_context(|| cannot_write(path))
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}; what was there before is as it was", path.display())
}

/// The folder that a file lies in.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}
