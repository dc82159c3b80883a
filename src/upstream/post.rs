//! Sending a message to an address that settings name: no credentials, no cookies, no redirects, by the same proxy and roots as everything
//! else that goes out.
//!
//! Belongs here: one exchange. Does not: what is sent, trying again (callers).

use std::time::Duration;

use bytes::Bytes;

/// From the first packet to the answer's headers.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends messages.
#[derive(Clone)]
pub struct Poster(pub(super) reqwest::Client);

impl Poster {
    /// POSTs a body; the status of the answer, whose body is not read.
    ///
    /// # Errors
    /// Why there was no answer, as the rest of a sentence that begins with the receiver: the address may be a secret.
    pub async fn post(
        &self,
        url: &url::Url,
        headers: &[(&'static str, String)],
        body: String,
    ) -> Result<u16, String> {
        let mut request = self.0.post(url.clone()).body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        match tokio::time::timeout(PATIENCE, request.send()).await {
            Ok(Ok(answer)) => Ok(answer.status().as_u16()),
            Ok(Err(error)) => Err(format!("can't be reached: {}", reason(&error.without_url()))),
            Err(_) => Err(format!("did not answer within {} s", PATIENCE.as_secs())),
        }
    }
}

impl Poster {
    /// Sends any request; the status of the answer, whose body is not read.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub async fn send(&self, request: ::http::Request<Bytes>) -> Result<::http::Response<Bytes>, String> {
        let (parts, body) = request.into_parts();
        let url = parts.uri.to_string();
        let request = self.0.request(parts.method, url).headers(parts.headers).body(body);
        match tokio::time::timeout(PATIENCE, request.send()).await {
            Ok(Ok(answer)) => {
                let mut response = ::http::Response::new(Bytes::new());
                *response.status_mut() = answer.status();
                *response.headers_mut() = answer.headers().clone();
                Ok(response)
            }
            Ok(Err(error)) => Err(format!("can't be reached: {}", reason(&error.without_url()))),
            Err(_) => Err(format!("did not answer within {} s", PATIENCE.as_secs())),
        }
    }
}

/// The innermost cause says most.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
