//! The messages of an Arrow stream, none longer than is allowed.

use std::io::{self, Cursor, Read};

/// What a message says about its body.
const HEAD_BYTES_MAX: usize = 1024 * 1024;
/// The values of a record batch: about a million candles.
const BODY_BYTES_MAX: u64 = 256 * 1024 * 1024;
const CONTINUATION: [u8; 4] = [0xff; 4];
/// Before a message stand a mark and a length.
const PREFIX_BYTES: usize = 8;

/// Passes a stream on, message by message, and looks at the length of each before anybody makes room for it.
#[derive(Debug)]
pub(super) struct Messages<R> {
    input: R,
    head: Cursor<Vec<u8>>,
    body_left: u64,
    ended: bool,
    /// Whether it ended with the mark that nothing is missing.
    marked: bool,
}

impl<R: Read> Messages<R> {
    pub(super) fn of(input: R) -> Self {
        Self { input, head: Cursor::new(Vec::new()), body_left: 0, ended: false, marked: false }
    }

    /// Whether the stream has said that it ends: without that, whole messages may be missing.
    pub(super) const fn has_end_mark(&self) -> bool {
        self.marked
    }

    /// Reads prefix and head of the next message; nothing is read behind the last one.
    fn begin(&mut self) -> io::Result<()> {
        let mut prefix = [0; PREFIX_BYTES];
        let read = read_up_to(&mut self.input, &mut prefix)?;
        // A stream may end without saying so, but between two messages only.
        if read == 0 {
            self.ended = true;
            return Ok(());
        }
        let (mark, length) = prefix.split_at(CONTINUATION.len());
        if read < PREFIX_BYTES || mark != CONTINUATION {
            return Err(io::Error::other("it is no Arrow stream, or was cut short"));
        }
        let length = length.try_into().map(u32::from_le_bytes).map_err(io::Error::other)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > HEAD_BYTES_MAX {
            return Err(io::Error::other(format!(
                "the head of a message has {length} bytes; allowed are {HEAD_BYTES_MAX}"
            )));
        }
        self.ended = length == 0;
        self.marked = self.ended;
        let mut head = prefix.to_vec();
        head.resize(PREFIX_BYTES.saturating_add(length), 0);
        self.input.read_exact(&mut head[PREFIX_BYTES..])?;
        if !self.ended {
            let message = arrow_ipc::root_as_message(&head[PREFIX_BYTES..])
                .map_err(|error| io::Error::other(error.to_string()))?;
            self.body_left = u64::try_from(message.bodyLength()).map_err(io::Error::other)?;
            if self.body_left > BODY_BYTES_MAX {
                return Err(io::Error::other(format!(
                    "a record batch of {} bytes; allowed are {BODY_BYTES_MAX}: write it in smaller batches",
                    self.body_left
                )));
            }
        }
        self.head = Cursor::new(head);
        Ok(())
    }
}

impl<R: Read> Read for Messages<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.head.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        if self.body_left == 0 {
            if self.ended {
                return Ok(0);
            }
            self.begin()?;
            return self.head.read(buffer);
        }
        let read = self.input.by_ref().take(self.body_left).read(buffer)?;
        self.body_left = self.body_left.saturating_sub(read as u64);
        Ok(read)
    }
}

fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    // Ends: each round fills some of the buffer, or finds the end.
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled = filled.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
