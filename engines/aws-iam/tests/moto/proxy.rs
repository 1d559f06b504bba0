//! A way to moto on which things go wrong.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a request.
pub enum Fate {
    Pass,
    /// It arrives, and its answer does not.
    LoseAnswer,
    /// It does not arrive; this is the answer.
    Answer(u16, String),
}

/// One request: the action, and the whole form as it was sent.
#[derive(Clone)]
pub struct Request {
    pub action: String,
    pub form: String,
    pub headers: String,
}

/// Listens until it is dropped with the test's runtime.
pub struct Proxy {
    pub endpoint: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Proxy {
    /// Stands before `endpoint` and asks `fate` about each request.
    pub async fn start(endpoint: &str, fate: impl Fn(&Request) -> Fate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = format!("http://{}", listener.local_addr().unwrap());
        let host = endpoint.strip_prefix("http://").unwrap().to_owned();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (fate, noting) = (Arc::new(fate), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (fate, noting, host) = (Arc::clone(&fate), Arc::clone(&noting), host.clone());
                tokio::spawn(async move { pass(stream, &host, &noting, &*fate).await });
            }
        });
        Self { endpoint: own, seen }
    }

    /// The forms of all requests with this action.
    pub fn forms(&self, action: &str) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|request| request.action == action).map(|request| request.form.clone()).collect()
    }
}

async fn pass(
    mut from: TcpStream,
    host: &str,
    seen: &Mutex<Vec<Request>>,
    fate: &(dyn Fn(&Request) -> Fate + Send + Sync),
) -> Option<()> {
    let (head, body) = read_request(&mut from).await?;
    let form = String::from_utf8(body).ok()?;
    let action = form.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap_or_default().to_owned();
    let request = Request { action, form: form.clone(), headers: head.clone() };
    seen.lock().unwrap().push(request.clone());
    let fate = fate(&request);
    if let Fate::Answer(status, body) = fate {
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        return from.write_all((head + &body).as_bytes()).await.ok();
    }
    let mut to = TcpStream::connect(host).await.ok()?;
    to.write_all((head + &form).as_bytes()).await.ok()?;
    // moto ends a connection after one answer
    let mut answer = Vec::new();
    to.read_to_end(&mut answer).await.ok()?;
    if matches!(fate, Fate::Pass) {
        from.write_all(&answer).await.ok()?;
    }
    Some(())
}

async fn read_request(from: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if from.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:").map(str::trim).map(str::to_owned)
        })
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let mut body = bytes[end..].to_vec();
    while body.len() < length {
        if from.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, body))
}

/// An error as IAM and STS answer it.
pub fn error(status: u16, code: &str, message: &str) -> Fate {
    Fate::Answer(
        status,
        format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
             <RequestId>r</RequestId></ErrorResponse>"
        ),
    )
}
