//! A browser without a screen: keeps cookies, opens pages, fills in forms.
//!
//! Belongs here: what any browser does. Does not: scripts (`web_browser` has a real one).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::Gate;
use super::client::{Answer, Request};
use super::people::PASSWORD;

/// See the module's description.
pub struct Browser {
    address: SocketAddr,
    cookies: BTreeMap<String, String>,
    /// Of the last page with a form.
    pub csrf: String,
    /// Sent with every request.
    headers: Vec<(String, String)>,
}

impl Browser {
    /// A new one.
    pub fn new(gate: &Gate) -> Self {
        Self::at(gate.address())
    }

    /// A new one at an address.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, cookies: BTreeMap::new(), csrf: String::new(), headers: Vec::new() }
    }

    /// That sends this header, too.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Somebody who has signed in.
    pub fn of(gate: &Gate, name: &str) -> Self {
        let mut browser = Self::new(gate);
        let answer = browser.sign_in(name, PASSWORD);
        assert_eq!(answer.status, 303, "{}", answer.text());
        browser
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    /// Puts a cookie there.
    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// Sends a request with the cookies, and keeps those of the answer.
    pub fn send(&mut self, request: Request) -> Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = request;
        if !cookies.is_empty() {
            request = request.header("Cookie", &cookies.join("; "));
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = request.send(self.address);
        for (name, value) in &answer.headers {
            let Some((pair, rest)) = value.split_once(';').filter(|_| name == "set-cookie") else { continue };
            let (name, value) = pair.split_once('=').expect("a cookie");
            assert!(rest.contains("HttpOnly") && rest.contains("SameSite=Lax"), "{value}");
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let text = answer.text();
        if let Some((_, rest)) = text.split_once("name=\"csrf\" value=\"") {
            rest.split('"').next().unwrap_or_default().clone_into(&mut self.csrf);
        }
        answer
    }

    /// Opens a page.
    pub fn open(&mut self, path: &str) -> Answer {
        self.send(Request::get(path).header("Accept", "text/html"))
    }

    /// Opens a page that has to be there.
    pub fn page(&mut self, path: &str) -> String {
        String::from_utf8(self.open(path).expect(200)).expect("text")
    }

    /// Sends a form with the token of the last page.
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("csrf", &self.csrf);
        form.extend_pairs(fields);
        let request = Request::new("POST", path).body(form.finish().as_bytes());
        self.send(request.header("Content-Type", "application/x-www-form-urlencoded"))
    }

    /// Sends a form that leads to another page, and opens that.
    pub fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.post(path, fields);
        assert_eq!(answer.status, 303, "{path}: {}", answer.text());
        let next = answer.must("location").to_owned();
        self.page(&next)
    }

    /// Opens the form and signs in.
    pub fn sign_in(&mut self, name: &str, password: &str) -> Answer {
        self.page("/-/ui/channels");
        self.post("/-/ui/sign-in", &[("username", name), ("password", password)])
    }
}
