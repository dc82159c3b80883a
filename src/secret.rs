//! Values that must not be printed: [`Secret`] hides everything, [`SafeUrl`] masks the credentials of a URL.
//!
//! Belongs here: wrappers whose `Debug` and `Display` are safe by construction. Does not: reading
//! secrets from files (`config`), checking them (`auth`).

use std::fmt;

/// A value that prints as `***`; [`Secret::reveal`] is the only way to it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the one place that sends or compares it.
    pub const fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Read as what it holds; what a parser says of a mistake may repeat it, so that is not to be printed.
impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Secret<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

/// A URL whose printed form has no user info, no query and no `/t/<token>/`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SafeUrl(url::Url);

impl SafeUrl {
    /// Wraps a parsed URL.
    #[must_use]
    pub const fn new(url: url::Url) -> Self {
        Self(url)
    }

    /// Parses an absolute URL.
    ///
    /// # Errors
    /// What `url` says is wrong; the message never repeats the input.
    pub fn parse(text: &str) -> Result<Self, url::ParseError> {
        url::Url::parse(text).map(Self)
    }

    /// The URL itself, credentials included: for sending, never for printing.
    #[must_use]
    pub const fn reveal(&self) -> &url::Url {
        &self.0
    }
}

impl fmt::Display for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.0.scheme())?;
        if !self.0.username().is_empty() || self.0.password().is_some() {
            f.write_str("***@")?;
        }
        f.write_str(self.0.host_str().unwrap_or(""))?;
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(&mask_path(self.0.path()))?;
        if self.0.query().is_some() {
            f.write_str("?***")?;
        }
        Ok(())
    }
}

impl fmt::Debug for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The same path with what follows each `/t/` replaced by `***`.
///
/// conda finds tokens anywhere in a path (`conda/common/url.py`, `split_conda_url_easy_parts`), so every
/// `t` segment counts, percent-encoded or not.
#[must_use]
pub fn mask_path(path: &str) -> String {
    let mut masked = String::with_capacity(path.len());
    let mut after_t = false;
    for (i, segment) in path.split('/').enumerate() {
        if i > 0 {
            masked.push('/');
        }
        if after_t && !segment.is_empty() {
            masked.push_str("***");
            after_t = false;
            continue;
        }
        masked.push_str(segment);
        after_t = (after_t && segment.is_empty()) || matches!(segment, "t" | "T" | "%74" | "%54");
    }
    masked
}

/// A text with what stands before the `@` of URLs in it replaced by `***`.
#[must_use]
pub fn mask_urls(text: &str) -> String {
    let mut parts = text.split("://");
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for rest in parts {
        masked.push_str("://");
        // Where the host ends; a password may have any other sign in it.
        let end = rest.find(|c: char| c.is_whitespace() || "\"'<>,]}".contains(c)).unwrap_or(rest.len());
        let (url, behind) = rest.split_at(end);
        match url.rsplit_once('@') {
            Some((_, host)) => {
                masked.push_str("***@");
                masked.push_str(host);
            }
            None => masked.push_str(url),
        }
        masked.push_str(behind);
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_print_without_credentials() {
        let url = SafeUrl::parse("https://me:pw@h.example:8443/t/tk-1/x?sig=abc").unwrap();
        assert_eq!(url.to_string(), "https://***@h.example:8443/t/***/x?***");
        assert_eq!(format!("{:?}", Secret::new("pw")), "***");
    }

    #[test]
    fn urls_in_a_text_lose_their_passwords() {
        let text =
            "a: {urls: [http://u:p/@x@h:1/b, https://plain/@c]} # http://me@h\nproxy: 'socks5://a b@c'";
        let masked = "a: {urls: [http://***@h:1/b, https://***@c]} # http://***@h\nproxy: 'socks5://a b@c'";
        assert_eq!(mask_urls(text), masked);
        assert_eq!(mask_urls("nothing to hide"), "nothing to hide");
    }

    #[test]
    fn tokens_are_masked_anywhere() {
        assert_eq!(mask_path("/conda/t/abc/x/noarch/a.conda"), "/conda/t/***/x/noarch/a.conda");
        assert_eq!(mask_path("/t//abc/x"), "/t//***/x");
        assert_eq!(mask_path("/%74/abc"), "/%74/***");
        assert_eq!(mask_path("/T/abc/x"), "/T/***/x");
        assert_eq!(mask_path("/noarch/t"), "/noarch/t");
    }
}
