//! Sends browsers from plain HTTP to TLS, and nobody else.
//!
//! Browsers say that they would rather be there: `Upgrade-Insecure-Requests: 1` with every page they open. Clients of conda never do, and some
//! of them don't follow redirects, drop credentials on the way or complain (PROTOCOL section 7), so they are served as they come.
//!
//! Belongs here: who is sent, and where to. Does not: whether this is wanted (settings).

use http::header::{self, HeaderName, HeaderValue};

use super::message::{Request, Response};
use super::{Ctx, Session, host};

static WISH: HeaderName = HeaderName::from_static("upgrade-insecure-requests");

/// Where TLS is.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// Its port.
    pub port: u16,
    /// `https://host[:port]` of the public address, if that is one of TLS.
    pub public: Option<String>,
}

impl Redirect {
    /// Where the request is to go, if it is a browser's for this gate.
    fn target(&self, request: &Request) -> Option<String> {
        let is_page = matches!(request.method, http::Method::GET | http::Method::HEAD);
        if !is_page || request.get(&WISH) != Some(b"1") {
            return None;
        }
        let meant = host::meant(request);
        if meant.absolute {
            return None;
        }
        let origin = match &self.public {
            Some(public) => public.clone(),
            None => self.named(&host::bare(meant.host?))?,
        };
        let query = meant.query.map_or_else(String::new, |query| format!("?{query}"));
        Some(format!("{origin}{}{query}", meant.path))
    }

    /// The same host by TLS; `None` where it is none that could be written into a link.
    fn named(&self, host: &str) -> Option<String> {
        let is_plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
        let port = if self.port == 443 { String::new() } else { format!(":{}", self.port) };
        (is_plain && !host.is_empty()).then(|| format!("https://{host}{port}"))
    }

    /// Sends a browser there; false when the request is for the gate to answer.
    pub(super) async fn answer(&self, session: &mut Session<'_>, ctx: &Ctx) -> pingora::Result<bool> {
        if ctx.is_secure() {
            return Ok(false);
        }
        let Some(location) = self.target(session.request()) else { return Ok(false) };
        let mut response = Response::new(307);
        response.set_text(header::LOCATION, &location)?;
        response.set(header::VARY, HeaderValue::from_name(WISH.clone()));
        response.set_static(header::CACHE_CONTROL, "no-store");
        response.set(header::CONTENT_LENGTH, HeaderValue::from(0));
        session.write_response_header(response, true).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use pingora::http::RequestHeader;

    use super::*;

    fn sent(
        method: &str,
        target: &str,
        headers: &[(&'static str, &str)],
        public: Option<&str>,
    ) -> Option<String> {
        let mut request = RequestHeader::build(method, target.as_bytes(), None).unwrap();
        for (name, value) in headers {
            request.insert_header(*name, *value).unwrap();
        }
        let redirect = Redirect { port: 8443, public: public.map(str::to_owned) };
        redirect.target(&Request::of_engine(&request))
    }

    #[test]
    fn browsers_go_to_tls_and_nobody_else() {
        let (host, wish) = (("Host", "gate:8080"), ("Upgrade-Insecure-Requests", "1"));
        let to = |text: &str| Some(text.to_owned());
        assert_eq!(sent("GET", "/a?b=c", &[host, wish], None), to("https://gate:8443/a?b=c"));
        assert_eq!(sent("GET", "/", &[host, wish], Some("https://x")), to("https://x/"));
        for (method, target, headers) in [
            ("GET", "/a", &[host][..]),
            ("POST", "/a", &[host, wish]),
            ("GET", "http://conda.anaconda.org/a", &[host, wish]),
            ("GET", "/a", &[("Host", "a b"), wish]),
            ("GET", "/a", &[wish]),
        ] {
            assert_eq!(sent(method, target, headers, None), None, "{method} {target} {headers:?}");
        }
    }
}
