//! Reading a request's body up to a limit, whether its length was announced or not.

use super::gate::{Gate, Taken};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use std::time::Duration;
use zeroize::Zeroizing;

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// More bytes than the limit.
    TooLarge,
    /// The connection broke off.
    Broken,
    /// The bodies of other requests take all the memory there is for them.
    Busy,
}

/// A body, wiped when it is dropped: it may hold secrets.
pub struct Read {
    pub bytes: Zeroizing<Vec<u8>>,
    /// To be kept as long as what was made of the body.
    pub taken: Taken,
}

/// Memory that is set aside before anything has arrived, at most: an announced length is only a promise.
const MAX_RESERVE: usize = 4 * 1024;
/// How much of a body that is too large is still read, and for how long, so that a client that is busy sending hears why.
const MAX_DRAIN: usize = 16 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// Whether more bytes than this may come, as far as was announced.
pub fn may_exceed<B: Body>(body: &B, limit: usize) -> bool {
    body.size_hint().upper().is_none_or(|most| usize::try_from(most).map_or(true, |most| most > limit))
}

/// The whole body.
///
/// # Errors
/// [`BodyError`]; nothing of a body that announces too much is kept.
pub async fn read<B>(body: B, limit: usize, gate: &Gate) -> Result<Read, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut body = body;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        drain(&mut body).await;
        return Err(BodyError::TooLarge);
    }
    let mut taken = Taken::default();
    let reserve = announced.min(MAX_RESERVE);
    gate.take(&mut taken, reserve).ok_or(BodyError::Busy)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(reserve));
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(BodyError::Broken) };
        let Ok(data) = frame.into_data() else { continue };
        let length = bytes.len() + data.len();
        if length > limit {
            drain(&mut body).await;
            return Err(BodyError::TooLarge);
        }
        if length > bytes.capacity() {
            // grown by hand: a reallocation would leave an unwiped copy behind
            let capacity = (bytes.capacity() * 2).max(length).min(limit);
            gate.take(&mut taken, capacity - bytes.capacity()).ok_or(BodyError::Busy)?;
            let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
            larger.extend_from_slice(&bytes);
            bytes = larger;
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Read { bytes, taken })
}

/// Reads on without keeping anything: an answer in the middle of a body is lost on many clients, above all over HTTP/2.
async fn drain<B>(body: &mut B)
where
    B: Body<Data = Bytes> + Unpin,
{
    let drained = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > MAX_DRAIN {
                return;
            }
        }
    };
    // whether it came to its end makes no difference
    let _ = tokio::time::timeout(DRAIN_TIME, drained).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Full, StreamBody};
    use hyper::body::{Frame, SizeHint};
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// A body of this length, of which nothing comes.
    struct Silent(u64);

    impl Body for Silent {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            Poll::Pending
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0)
        }
    }

    fn chunked(chunks: usize) -> impl Body<Data = Bytes> + Unpin {
        let frames = (0..chunks).map(|_| Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"12345"))));
        StreamBody::new(futures_util::stream::iter(frames))
    }

    #[tokio::test]
    async fn the_limit_holds_for_announced_and_chunked_bodies() {
        let gate = Gate::new(1, 1 << 20);
        let full = |text: &'static [u8]| Full::new(Bytes::from_static(text));
        assert_eq!(read(full(b"1234567890"), 10, &gate).await.unwrap().bytes.len(), 10);
        assert_eq!(read(full(b"12345678901"), 10, &gate).await.err(), Some(BodyError::TooLarge));
        let chunks = read(chunked(2), 10, &gate).await.unwrap();
        assert_eq!(chunks.bytes.as_slice(), b"1234512345");
        assert_eq!(read(chunked(1_000_000), 10, &gate).await.err(), Some(BodyError::TooLarge));
        let broken =
            StreamBody::new(futures_util::stream::iter([Err::<Frame<Bytes>, _>(std::io::Error::other("x"))]));
        assert_eq!(read(broken, 10, &gate).await.err(), Some(BodyError::Broken));
    }

    #[tokio::test]
    async fn what_is_announced_and_does_not_come_takes_little_memory() {
        let gate = Gate::new(1, 256 * 1024);
        let mut silent: Vec<_> = (0..50).map(|_| Box::pin(read(Silent(1 << 20), 1 << 20, &gate))).collect();
        for read in &mut silent {
            assert!(futures_util::poll!(read).is_pending());
        }
        assert!(read(chunked(1000), 1 << 20, &gate).await.is_ok());
    }

    #[tokio::test]
    async fn the_memory_of_all_bodies_is_bounded() {
        let gate = Gate::new(1, 100 * 1024);
        let limit = 1 << 20;
        let first = read(chunked(10_000), limit, &gate).await;
        assert!(first.is_ok());
        assert_eq!(read(chunked(10_000), limit, &gate).await.err(), Some(BodyError::Busy));
        drop(first);
        assert!(read(chunked(10_000), limit, &gate).await.is_ok());
    }
}
