//! A socket at work: one task that reads, runs operations side by side, and writes.
//!
//! There is no queue of messages to be sent. While one is on its way nothing else is taken from the operations, so a client that reads
//! slowly holds up its own operations and no memory; one that does not read at all is given up after the listener's write timeout.

use super::messages;
use super::protocol::{Close, Protocol, Step};
use super::run::{Run, Said, refusal};
use crate::error::ErrorCode;
use crate::http::counts::Counted;
use crate::http::ids::request_id;
use crate::http::params::Params;
use crate::http::places::{Holder, limited};
use crate::http::transport::{Api, Call, CallOrigin, GraphqlDoor};
use futures_util::SinkExt;
use futures_util::future::{AbortHandle, Abortable, BoxFuture, FutureExt, pending};
use futures_util::stream::{BoxStream, SelectAll, StreamExt};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error as SocketError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Message, protocol::CloseFrame};
use zeroize::Zeroizing;

/// How long a client may take until it says who it is.
const INIT_TIME: Duration = Duration::from_secs(10);
/// How often a client is asked whether it is still there, and how long nothing may be heard of it.
const PING: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(75);
/// How long is waited for a client to take leave.
const LEAVE: Duration = Duration::from_secs(2);

/// What a socket begins with.
pub struct Session<A> {
    pub door: Arc<GraphqlDoor<A>>,
    /// Whether the client offered the subprotocol.
    pub speaks: bool,
    /// The token of the handshake's header: used unless the init brings one.
    pub bearer: Option<Zeroizing<String>>,
    pub correlation_id: Option<String>,
    pub origin: CallOrigin,
}

/// How a socket ends.
enum Over {
    /// By us, with a reason.
    Close(Close),
    /// The other side has closed it or is gone.
    Gone,
}

impl From<Close> for Over {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

impl From<SocketError> for Over {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::Capacity(_) => Self::Close(Close::too_big()),
            SocketError::Utf8(_) => Self::Close(Close::new(1007, "a text is not in UTF-8")),
            SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Gone,
            SocketError::Protocol(_) => Self::Close(Close::new(1002, "a frame breaks the protocol")),
            _ => Self::Gone,
        }
    }
}

/// A caller that was acknowledged.
struct Known<C> {
    context: C,
    /// Whether there is a token, which may end.
    named: bool,
    holder: Holder,
    _place: Counted<Holder>,
}

struct Socket<A: Api, S> {
    session: Session<A>,
    stream: WebSocketStream<S>,
    protocol: Protocol,
    running: SelectAll<BoxStream<'static, Said>>,
    aborts: HashMap<String, AbortHandle>,
    known: Option<Known<A::Context>>,
    /// Completes when the token is good no longer.
    ended: BoxFuture<'static, ()>,
    heard: Instant,
}

impl<A: Api> Session<A> {
    /// Serves until either side ends it.
    pub async fn run<S>(self, stream: WebSocketStream<S>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let most = self.door.places().limits.subscriptions_per_socket;
        let (speaks, variables) = (self.speaks, self.door.variable_limits());
        let mut socket = Socket {
            session: self,
            stream,
            protocol: Protocol::new(most, variables),
            running: SelectAll::new(),
            aborts: HashMap::new(),
            known: None,
            ended: pending().boxed(),
            heard: Instant::now(),
        };
        let over = if speaks { socket.serve().await } else { Over::Close(Close::subprotocol()) };
        // what runs ends before the farewell
        socket.running.clear();
        if let Over::Close(close) = over {
            tracing::debug!(code = close.code, reason = close.reason, "a socket is closed");
            // a client that does not take leave is left
            let _ = timeout(LEAVE, leave(&mut socket.stream, close)).await;
        }
    }
}

/// Closes, and waits for the other side to do so too.
async fn leave<S>(stream: &mut WebSocketStream<S>, close: Close)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let frame = CloseFrame { code: CloseCode::from(close.code), reason: close.reason.into() };
    if stream.close(Some(frame)).await.is_err() {
        return;
    }
    while let Some(Ok(message)) = stream.next().await {
        if matches!(message, Message::Close(_)) {
            // nothing comes after it, and the server is the one to end the connection (RFC 6455, section 7.1.1)
            return;
        }
    }
    // What was sent and not read (the rest of a message that is too big) would reset the connection, and the client not hear why.
    let mut unread = [0; 4096];
    while matches!(stream.get_mut().read(&mut unread).await, Ok(length) if length > 0) {}
}

impl<A: Api, S> Socket<A, S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    async fn serve(&mut self) -> Over {
        let stop = self.session.origin.stop.clone();
        let mut pings = interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.tick().await;
        let init = sleep(INIT_TIME);
        tokio::pin!(init);
        loop {
            let done = tokio::select! {
                () = stop.cancelled() => Err(Close::going_away().into()),
                () = &mut self.ended => Err(Close::forbidden().into()),
                () = &mut init, if !self.protocol.is_initialised() => Err(Close::init_timeout().into()),
                _ = pings.tick() => self.ping().await,
                Some(said) = self.running.next(), if !self.running.is_empty() => self.tell(said).await,
                heard = self.stream.next() => match heard {
                    Some(Ok(message)) => self.hear(message).await,
                    Some(Err(error)) => Err(error.into()),
                    None => Err(Over::Gone),
                },
            };
            if let Err(over) = done {
                return over;
            }
        }
    }

    async fn ping(&mut self) -> Result<(), Over> {
        if self.heard.elapsed() > SILENCE {
            return Err(Over::Gone);
        }
        self.send(Message::Ping(Bytes::new())).await
    }

    /// Writes, unless the socket is to be closed meanwhile.
    async fn send(&mut self, message: Message) -> Result<(), Over> {
        tokio::select! {
            sent = self.stream.send(message) => sent.map_err(Over::from),
            () = &mut self.ended => Err(Close::forbidden().into()),
            () = self.session.origin.stop.cancelled() => Err(Close::going_away().into()),
        }
    }

    async fn tell(&mut self, said: Said) -> Result<(), Over> {
        if said.unauthenticated
            && let Some(known) = &self.known
            && known.named
            && self.session.door.api().has_ended(&known.context).await
        {
            return Err(Close::forbidden().into());
        }
        if said.last {
            self.protocol.ended(&said.id);
            self.aborts.remove(&said.id);
        }
        self.send(Message::text(said.text)).await
    }

    async fn hear(&mut self, message: Message) -> Result<(), Over> {
        self.heard = Instant::now();
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(Close::bad_message("it is binary").into()),
            // answered by the library, with the next write or read
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return Ok(()),
        };
        match self.protocol.receive(text.as_str())? {
            Step::Nothing => Ok(()),
            Step::Say(text) => self.send(Message::text(text)).await,
            Step::Init(token) => self.admit(token.map(Zeroizing::new)).await,
            Step::Start { id, params } => self.start(id, params).await,
            Step::Fail { id, error } => {
                self.session.door.meters().watch(Instant::now()).answered(Some(error.code()));
                self.send(Message::text(refusal(&id, &error, &request_id()))).await
            }
            Step::Refuse { id } => {
                let most = self.session.door.places().limits.subscriptions_per_socket;
                let message =
                    format!("at most {most} operations run on one socket at a time: complete some first");
                self.send(Message::text(refusal(&id, &limited(message), &request_id()))).await
            }
            Step::Stop { id } => {
                if let Some(abort) = self.aborts.remove(&id) {
                    abort.abort();
                }
                Ok(())
            }
        }
    }

    /// Finds out who it is. A sealed node cannot know: it acknowledges anybody, and says of each operation that it is sealed.
    async fn admit(&mut self, token: Option<Zeroizing<String>>) -> Result<(), Over> {
        let session = &mut self.session;
        let of_handshake = session.bearer.take();
        let token = token.or(of_handshake);
        let bearer = token.as_ref().map(|token| token.as_str());
        let api = session.door.api();
        let mut holder = Holder::of(bearer, session.origin.source_ip);
        let context = api.context(Call {
            bearer,
            origin: session.origin.clone(),
            request_id: request_id(),
            correlation_id: session.correlation_id.clone(),
            started: Instant::now(),
        });
        if bearer.is_some() {
            match api.admit(&context).await {
                Ok(()) => {}
                // who it is cannot be told, so it holds the places of a stranger
                Err(error) if matches!(error.code(), ErrorCode::Sealed | ErrorCode::NotInitialized) => {
                    holder = Holder::of(None, session.origin.source_ip);
                }
                Err(error) if error.code() == ErrorCode::Unauthenticated => {
                    return Err(Close::forbidden().into());
                }
                Err(error) => return Err(Close::try_again_later(error.message()).into()),
            }
            self.ended = api.ended(&context);
        }
        let place = session.door.places().socket(holder);
        let place = place.map_err(|error| Close::try_again_later(error.message()))?;
        self.known = Some(Known { context, named: bearer.is_some(), holder, _place: place });
        self.send(Message::text(messages::ACK)).await
    }

    async fn start(&mut self, id: String, params: Params) -> Result<(), Over> {
        let Some(known) = &self.known else { return Ok(()) };
        let request_id = request_id();
        let context = self.session.door.api().next(&known.context, request_id.clone());
        let place = match self.session.door.places().subscription(known.holder) {
            Ok(place) => place,
            Err(error) => {
                self.protocol.ended(&id);
                return self.send(Message::text(refusal(&id, &error, &request_id))).await;
            }
        };
        let (abort, registration) = AbortHandle::new_pair();
        let run = Run { door: Arc::clone(&self.session.door), id: id.clone(), request_id, _place: place };
        self.running.push(Abortable::new(run.messages(params, context), registration).boxed());
        self.aborts.insert(id, abort);
        Ok(())
    }
}
