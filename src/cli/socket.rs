//! Asking a running gate over its private socket: HTTP/1.1 with JSON bodies, errors as problem documents.
//!
//! Belongs here: one question, one answer. Does not: what is asked.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

/// An idle gate answers at once; a busy one gets this long to take the connection. The work itself may take hours.
const CONNECT: Duration = Duration::from_secs(10);
/// No answer is larger than this.
const MAX_ANSWER: usize = 16 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
    /// No gate runs on this data directory.
    #[error("no gate is running on this data directory (`{}` does not answer)", path.display())]
    NobodyThere {
        /// The socket.
        path: PathBuf,
    },
    /// It is there, and this user may not use it, or something else stands in the way.
    #[error("the gate can't be reached through `{}`: {reason}", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why, as a sentence.
        reason: String,
    },
    /// The gate refused or failed; its own sentence.
    #[error("{0}")]
    Refused(String),
    /// The gate answered something that is not understood.
    #[error("the gate gave an answer that is not understood ({0}); does it run the same version?")]
    Nonsense(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Method {
    Get,
    Post,
}

/// Asks, and waits as long as it takes.
pub(super) fn ask(
    socket: &Path,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, SocketError> {
    reachable(socket)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| unreachable(socket, &error.to_string()))?;
    runtime.block_on(exchange(socket, method, path, body))
}

/// Whether a gate runs on the data directory.
pub(super) fn is_answered(socket: &Path) -> bool {
    // One that this user may not speak to is there all the same.
    match UnixStream::connect(socket) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::PermissionDenied,
    }
}

/// Tells "nobody there" from other trouble, which the HTTP client does not.
fn reachable(socket: &Path) -> Result<(), SocketError> {
    match UnixStream::connect(socket) {
        Ok(_) => Ok(()),
        // Refused: the socket of a gate that is gone.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            Err(SocketError::NobodyThere { path: socket.to_owned() })
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(unreachable(socket, "this user may not; run it as the user of the gate"))
        }
        Err(error) => Err(unreachable(socket, &error.to_string())),
    }
}

fn unreachable(socket: &Path, reason: &str) -> SocketError {
    SocketError::Unreachable { path: socket.to_owned(), reason: reason.to_owned() }
}

/// For more than one question.
pub(super) fn client(socket: &Path) -> Result<reqwest::Client, SocketError> {
    reachable(socket)?;
    let client = reqwest::Client::builder().unix_socket(socket).no_proxy().connect_timeout(CONNECT).build();
    client.map_err(|error| failed(socket, &error))
}

/// What the HTTP client says, without the address, which means nothing here.
pub(super) fn failed(socket: &Path, error: &reqwest::Error) -> SocketError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    unreachable(socket, &cause.to_string())
}

async fn exchange(
    socket: &Path,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, SocketError> {
    let failed = |error: &reqwest::Error| failed(socket, error);
    let client = client(socket)?;
    let url = format!("http://gate{path}");
    let mut request = match method {
        Method::Get => client.get(url),
        Method::Post => client.post(url),
    };
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let response = request.send().await.map_err(|error| failed(&error))?;
    answer_of(socket, response).await
}

/// The answer to one of several questions over one client.
pub(super) async fn get<T: serde::de::DeserializeOwned>(
    client: &reqwest::Client,
    socket: &Path,
    path: &str,
) -> Result<T, SocketError> {
    let response = client.get(format!("http://gate{path}")).send().await;
    let value = answer_of(socket, response.map_err(|error| failed(socket, &error))?).await?;
    serde_json::from_value(value).map_err(|error| SocketError::Nonsense(error.to_string()))
}

async fn answer_of(socket: &Path, mut response: reqwest::Response) -> Result<Value, SocketError> {
    let status = response.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(socket, &error))? {
        if bytes.len() + chunk.len() > MAX_ANSWER {
            return Err(SocketError::Nonsense("it is too long".to_owned()));
        }
        bytes.extend_from_slice(&chunk);
    }
    let value: Option<Value> = serde_json::from_slice(&bytes).ok();
    match value {
        Some(value) if status.is_success() => Ok(value),
        Some(problem) if problem["detail"].is_string() => {
            Err(SocketError::Refused(problem["detail"].as_str().unwrap_or_default().to_owned()))
        }
        _ => Err(SocketError::Nonsense(format!("status {}", status.as_u16()))),
    }
}
