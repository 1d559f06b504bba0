//! Reading a request's body up to a limit, whether its length was announced or not.

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
}

/// Memory that is set aside before anything has arrived, at most: an announced length is only a promise.
const MAX_RESERVE: usize = 64 * 1024;
/// How much of a body that is too large is still read, and for how long, so that a client that is busy sending hears why.
const MAX_DRAIN: usize = 16 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// The whole body, wiped when it is dropped: it may hold secrets.
///
/// # Errors
/// [`BodyError`]; nothing of a body that announces too much is kept.
pub async fn read<B>(body: B, limit: usize) -> Result<Zeroizing<Vec<u8>>, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut body = body;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        drain(&mut body).await;
        return Err(BodyError::TooLarge);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(announced.min(MAX_RESERVE)));
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
            let mut larger =
                Zeroizing::new(Vec::with_capacity((bytes.capacity() * 2).max(length).min(limit)));
            larger.extend_from_slice(&bytes);
            bytes = larger;
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
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
    use hyper::body::Frame;

    fn chunked(chunks: usize) -> impl Body<Data = Bytes> + Unpin {
        let frames = (0..chunks).map(|_| Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"12345"))));
        StreamBody::new(futures_util::stream::iter(frames))
    }

    #[tokio::test]
    async fn the_limit_holds_for_announced_and_chunked_bodies() {
        assert_eq!(read(Full::new(Bytes::from_static(b"1234567890")), 10).await.unwrap().len(), 10);
        assert_eq!(
            read(Full::new(Bytes::from_static(b"12345678901")), 10).await.err(),
            Some(BodyError::TooLarge)
        );
        assert_eq!(read(chunked(2), 10).await.unwrap().as_slice(), b"1234512345");
        assert_eq!(read(chunked(1_000_000), 10).await.err(), Some(BodyError::TooLarge));
        let broken =
            StreamBody::new(futures_util::stream::iter([Err::<Frame<Bytes>, _>(std::io::Error::other("x"))]));
        assert_eq!(read(broken, 10).await.err(), Some(BodyError::Broken));
    }
}
