//! A body in pieces that lie in memory already, with its length known beforehand.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use poem::Body;

/// Up to this size copying the pieces together costs less than handing them over one by one.
const COPIED_BYTES_MAX: usize = 16 * 1024;

/// Pieces that are sent one after the other, without copying them.
#[derive(Debug)]
struct Pieces {
    left: VecDeque<Bytes>,
    bytes: u64,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.left.pop_front();
        self.bytes -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes)
    }
}

/// The pieces, copied together if they are small.
pub(crate) fn joined(pieces: Vec<Bytes>) -> Vec<Bytes> {
    let bytes: usize = pieces.iter().map(Bytes::len).sum();
    if bytes > COPIED_BYTES_MAX || pieces.len() == 1 {
        return pieces;
    }
    let mut whole = BytesMut::with_capacity(bytes);
    pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
    vec![whole.freeze()]
}

/// The pieces as one body.
pub(crate) fn body_of(mut pieces: Vec<Bytes>) -> Body {
    if pieces.len() == 1
        && let Some(whole) = pieces.pop()
    {
        return Body::from_bytes(whole);
    }
    let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
    let pieces = Pieces { left: pieces.into(), bytes };
    BoxBody::new(pieces.map_err(|never| -> io::Error { match never {} })).into()
}

/// The length of a body, if it is known beforehand: as that of every answer here is but the long ones.
pub(crate) fn sized(body: Body) -> (Body, Option<u64>) {
    let body: BoxBody<Bytes, io::Error> = body.into();
    let bytes = body.size_hint().exact();
    (body.into(), bytes)
}
