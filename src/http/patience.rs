//! A stream that gives up on a peer who does not take what is written to it, and a watch over what goes on in a connection.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Ends with `TimedOut` when a write has made no progress for `limit`. A slow reader is fine, one that stopped is not.
pub struct Patient<S> {
    stream: S,
    limit: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, waiting: None }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.waiting = None;
            return outcome;
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // a socket has nothing to flush: this never waits
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, outcome)
    }
}

struct State {
    /// Requests that wait for their answer.
    working: usize,
    last: Instant,
}

/// When something last happened in a connection: a request, an answer, or a piece of its body that could be sent.
#[derive(Clone)]
pub struct Activity(Arc<Mutex<State>>);

/// A request at work.
pub struct Working(Activity);

impl Activity {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State { working: 0, last: Instant::now() })))
    }

    /// A request has come; it is at work until the value is dropped.
    pub fn begin(&self) -> Working {
        let mut state = self.0.lock();
        state.working += 1;
        state.last = Instant::now();
        Working(self.clone())
    }

    fn note(&self) {
        self.0.lock().last = Instant::now();
    }

    /// Completes once nothing has happened for `limit`.
    pub async fn idle(&self, limit: Duration) {
        loop {
            let until = {
                let state = self.0.lock();
                if state.working > 0 { Instant::now() + limit } else { state.last + limit }
            };
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.working -= 1;
        state.last = Instant::now();
    }
}

/// A body whose progress is noted.
pub struct Noted<B> {
    pub body: B,
    pub activity: Activity,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Noted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.activity.note();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_peer_that_stops_reading_is_given_up_and_a_slow_one_is_not() {
        let limit = Duration::from_millis(300);
        let (near, mut far) = tokio::io::duplex(16);
        let writer = tokio::spawn(async move {
            let mut patient = Patient::new(near, limit);
            patient.write_all(&[1; 160]).await?;
            patient.write_all(&[2; 160]).await
        });
        let mut buffer = [0; 16];
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            far.read_exact(&mut buffer).await.unwrap();
        }
        let ended = tokio::time::timeout(limit * 10, writer).await.unwrap().unwrap();
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_connection_is_idle_when_nothing_is_at_work() {
        let activity = Activity::new();
        let limit = Duration::from_millis(300);
        let begun = Instant::now();
        let working = activity.begin();
        let watch = tokio::spawn({
            let activity = activity.clone();
            async move { activity.idle(limit).await }
        });
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(!watch.is_finished());
        drop(working);
        tokio::time::sleep(Duration::from_millis(100)).await;
        activity.note();
        watch.await.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(1100));
    }
}
