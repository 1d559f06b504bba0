//! What may be said when (`graphql-transport-ws`): messages in, what to do about them out. No I/O.

use super::messages::{self, Incoming};
use crate::error::Error;
use crate::graphql::guard::VariableLimits;
use crate::http::params::Params;
use std::collections::HashSet;

/// Why a socket is closed: a code, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    pub code: u16,
    pub reason: String,
}

/// The longest reason that fits into a frame that closes.
const MAX_REASON: usize = 123;

impl Close {
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        let end = (0..=reason.len().min(MAX_REASON)).rev().find(|at| reason.is_char_boundary(*at));
        reason.truncate(end.unwrap_or(0));
        Self { code, reason }
    }

    pub fn going_away() -> Self {
        Self::new(1001, "the server is stopping")
    }

    pub fn too_big() -> Self {
        Self::new(1009, "the message is too big: send large values by POST")
    }

    pub fn try_again_later(reason: &str) -> Self {
        Self::new(1013, reason)
    }

    pub fn bad_message(reason: &str) -> Self {
        Self::new(4400, format!("Invalid message: {reason}"))
    }

    fn unauthorized() -> Self {
        Self::new(4401, "Unauthorized")
    }

    /// The token is not good, or no longer.
    pub fn forbidden() -> Self {
        Self::new(4403, "Forbidden")
    }

    pub fn subprotocol() -> Self {
        Self::new(4406, "Subprotocol not acceptable")
    }

    pub fn init_timeout() -> Self {
        Self::new(4408, "Connection initialisation timeout")
    }

    fn duplicate(id: &str) -> Self {
        Self::new(4409, format!("Subscriber for {id} already exists"))
    }

    fn second_init() -> Self {
        Self::new(4429, "Too many initialisation requests")
    }
}

/// What to do about a message.
pub enum Step {
    Nothing,
    /// Find out who it is, by this token if one was sent, and acknowledge.
    Init(Option<String>),
    Say(String),
    Start {
        id: String,
        params: Params,
    },
    /// The operation cannot run.
    Fail {
        id: String,
        error: Error,
    },
    /// There are as many operations as there may be.
    Refuse {
        id: String,
    },
    Stop {
        id: String,
    },
}

/// The state of a socket.
pub struct Protocol {
    initialised: bool,
    running: HashSet<String>,
    most: usize,
    variables: VariableLimits,
}

impl Protocol {
    /// A socket with at most so many operations at a time, and of these so large variables.
    pub fn new(most: usize, variables: VariableLimits) -> Self {
        Self { initialised: false, running: HashSet::new(), most, variables }
    }

    pub fn is_initialised(&self) -> bool {
        self.initialised
    }

    /// Takes a message.
    ///
    /// # Errors
    /// What to close the socket with.
    pub fn receive(&mut self, text: &str) -> Result<Step, Close> {
        match messages::read(text, &self.variables).map_err(Close::bad_message)? {
            Incoming::Init { .. } if self.initialised => Err(Close::second_init()),
            Incoming::Init { token } => {
                self.initialised = true;
                Ok(Step::Init(token))
            }
            Incoming::Ping { payload } => Ok(Step::Say(messages::pong(payload.as_deref()))),
            Incoming::Pong => Ok(Step::Nothing),
            Incoming::Subscribe { .. } if !self.initialised => Err(Close::unauthorized()),
            Incoming::Subscribe { id, .. } if self.running.contains(&id) => Err(Close::duplicate(&id)),
            Incoming::Subscribe { id, .. } if self.running.len() >= self.most => Ok(Step::Refuse { id }),
            Incoming::Subscribe { id, params: Ok(params) } => {
                self.running.insert(id.clone());
                Ok(Step::Start { id, params: *params })
            }
            Incoming::Subscribe { id, params: Err(error) } => Ok(Step::Fail { id, error }),
            // of one that has ended meanwhile there is nothing to stop
            Incoming::Complete { id } if self.running.remove(&id) => Ok(Step::Stop { id }),
            Incoming::Complete { .. } => Ok(Step::Nothing),
        }
    }

    /// An operation has ended by itself: its id is free.
    pub fn ended(&mut self, id: &str) {
        self.running.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INIT: &str = r#"{"type":"connection_init"}"#;

    fn subscribe(id: &str) -> String {
        format!(r#"{{"type":"subscribe","id":"{id}","payload":{{"query":"{{a}}"}}}}"#)
    }

    fn ready() -> Protocol {
        let mut protocol = Protocol::new(2, VariableLimits::default());
        assert!(matches!(protocol.receive(INIT), Ok(Step::Init(None))));
        protocol
    }

    fn code(result: Result<Step, Close>) -> u16 {
        result.err().expect("the socket is to be closed").code
    }

    #[test]
    fn the_codes_of_the_protocol() {
        assert_eq!(code(Protocol::new(2, VariableLimits::default()).receive(&subscribe("1"))), 4401);
        assert_eq!(code(ready().receive(INIT)), 4429);
        assert_eq!(code(ready().receive("nonsense")), 4400);
        let mut protocol = ready();
        assert!(matches!(protocol.receive(&subscribe("1")), Ok(Step::Start { .. })));
        let close = protocol.receive(&subscribe("1")).err().unwrap();
        assert_eq!((close.code, close.reason.as_str()), (4409, "Subscriber for 1 already exists"));
    }

    #[test]
    fn an_id_is_free_again_when_its_operation_has_ended() {
        let mut protocol = ready();
        for _ in 0..3 {
            assert!(matches!(protocol.receive(&subscribe("1")), Ok(Step::Start { .. })));
            protocol.ended("1");
            assert!(matches!(protocol.receive(&subscribe("1")), Ok(Step::Start { .. })));
            let complete = r#"{"type":"complete","id":"1"}"#;
            assert!(matches!(protocol.receive(complete), Ok(Step::Stop { .. })));
            assert!(matches!(protocol.receive(complete), Ok(Step::Nothing)));
        }
    }

    #[test]
    fn an_operation_that_cannot_run_takes_no_id() {
        let mut protocol = ready();
        let twice = r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","documentId":"x"}}"#;
        for _ in 0..3 {
            assert!(matches!(protocol.receive(twice), Ok(Step::Fail { .. })));
        }
        assert!(matches!(protocol.receive(&subscribe("1")), Ok(Step::Start { .. })));
        assert_eq!(code(protocol.receive(twice)), 4409);
        assert_eq!(code(Protocol::new(2, VariableLimits::default()).receive(twice)), 4401);
    }

    #[test]
    fn operations_are_counted() {
        let mut protocol = ready();
        assert!(matches!(protocol.receive(&subscribe("1")), Ok(Step::Start { .. })));
        assert!(matches!(protocol.receive(&subscribe("2")), Ok(Step::Start { .. })));
        assert!(matches!(protocol.receive(&subscribe("3")), Ok(Step::Refuse { .. })));
        protocol.ended("2");
        assert!(matches!(protocol.receive(&subscribe("3")), Ok(Step::Start { .. })));
    }

    #[test]
    fn pings_are_answered_at_any_time() {
        let ping = r#"{"type":"ping","payload":{"a":[1, 2]}}"#;
        let Ok(Step::Say(text)) = Protocol::new(2, VariableLimits::default()).receive(ping) else {
            panic!("no answer")
        };
        assert_eq!(text, r#"{"type":"pong","payload":{"a":[1, 2]}}"#);
        let Ok(Step::Say(text)) = ready().receive(r#"{"type":"ping"}"#) else { panic!("no answer") };
        assert_eq!(text, r#"{"type":"pong"}"#);
        assert!(matches!(ready().receive(r#"{"type":"pong","payload":null}"#), Ok(Step::Nothing)));
    }

    #[test]
    fn a_reason_fits_into_its_frame() {
        for id in ["ä".repeat(200), "x".repeat(1000), "😀".repeat(60)] {
            let close = Close::duplicate(&id);
            assert!(
                close.reason.len() <= MAX_REASON && close.reason.len() > MAX_REASON - 4,
                "{}",
                close.reason
            );
        }
    }
}
