//! The cookies of the pages: of somebody who signed in, of a guest's forms, of a message to be shown once, of the colours.
//!
//! Belongs here: reading and writing them. Does not: what they mean (`desk`, `identity`).

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::auth::credential::SESSION_COOKIE;
use crate::secret::Secret;

/// Tells one browser from another before anybody signed in: forms prove with it that they are the gate's own.
const GUEST: &str = "condagate_guest";
const FLASH: &str = "condagate_flash";
const THEME: &str = "condagate_theme";
/// The longest message that is carried.
const LONGEST: usize = 1500;

/// What came along.
#[derive(Clone, Default)]
pub(super) struct Cookies {
    pub(super) session: Option<Secret<String>>,
    pub(super) guest: Option<Secret<String>>,
    pub(super) flash: Option<String>,
    pub(super) theme: Option<String>,
}

impl Cookies {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        for (name, value) in lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('=')) {
            let value = value.trim().to_owned();
            match name.trim() {
                SESSION_COOKIE => found.session = Some(Secret::new(value)),
                GUEST => found.guest = Some(Secret::new(value)),
                FLASH => {
                    let text = percent_decode_str(&value).decode_utf8().ok();
                    found.flash = text.map(std::borrow::Cow::into_owned).filter(|text| !text.is_empty());
                }
                THEME => found.theme = Some(value),
                _ => {}
            }
        }
        found
    }
}

/// Writes cookies for one gate.
pub(super) struct Baker<'a> {
    /// The base path.
    pub(super) base: &'a str,
    /// Whether they may travel encrypted only.
    pub(super) secure: bool,
}

impl Baker<'_> {
    fn bake(&self, name: &str, value: &str, life: Option<Duration>) -> Option<HeaderValue> {
        let path = if self.base.is_empty() { "/" } else { self.base };
        let secure = if self.secure { "; Secure" } else { "" };
        let life = life.map_or_else(String::new, |life| format!("; Max-Age={}", life.as_secs()));
        let text = format!("{name}={value}; Path={path}; HttpOnly; SameSite=Lax{secure}{life}");
        HeaderValue::from_str(&text).ok()
    }

    pub(super) fn session(&self, secret: &Secret<String>, life: Duration) -> Option<HeaderValue> {
        self.bake(SESSION_COOKIE, secret.reveal(), Some(life))
    }

    pub(super) fn no_session(&self) -> Option<HeaderValue> {
        self.bake(SESSION_COOKIE, "", Some(Duration::ZERO))
    }

    pub(super) fn guest(&self, secret: &Secret<String>) -> Option<HeaderValue> {
        self.bake(GUEST, secret.reveal(), None)
    }

    pub(super) fn flash(&self, text: &str) -> Option<HeaderValue> {
        let text: String = text.chars().take(LONGEST).collect();
        self.bake(
            FLASH,
            &utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string(),
            Some(Duration::from_mins(1)),
        )
    }

    pub(super) fn no_flash(&self) -> Option<HeaderValue> {
        self.bake(FLASH, "", Some(Duration::ZERO))
    }

    /// `dark`, `light`, or whatever the system likes.
    pub(super) fn theme(&self, theme: &str) -> Option<HeaderValue> {
        let life = if theme == "auto" { Duration::ZERO } else { Duration::from_hours(24 * 365) };
        self.bake(THEME, theme, Some(life))
    }
}
