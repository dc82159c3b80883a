//! What the owner of a channel has set: kept as a JSON object in the channel's row.
//!
//! Belongs here: reading it, and what it says about an upload. Does not: `access:` and `policy:` of the rules.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::HostError;
use crate::policy::{HostedRule, NameGlobs, UploadRules};
use crate::store::model::Channel;

/// What the owner of a channel has set.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChannelSettings {
    /// Names that never come from anywhere else in a virtual channel, as globs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owns: Vec<String>,
    /// What uploads must be.
    #[serde(skip_serializing_if = "UploadRules::is_empty")]
    pub upload: UploadRules,
}

/// What is asked about an upload.
pub(super) struct Candidate<'a> {
    pub(super) name: &'a str,
    pub(super) size: u64,
    pub(super) record: &'a Map<String, Value>,
    pub(super) about: Option<&'a Value>,
    pub(super) has_attestation: bool,
}

impl ChannelSettings {
    /// Of a row.
    ///
    /// # Errors
    /// [`HostError::Internal`] where they can't be read.
    pub fn of(channel: &Channel) -> Result<Self, HostError> {
        if channel.settings.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(&channel.settings).map_err(|error| {
            HostError::Internal(format!(
                "the settings of the channel `{}` can't be read ({error}); set them again with `condagate channel set`",
                channel.name
            ))
        })
    }

    /// As they stand in a row.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Strings, numbers and flags: this can't fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What is wrong with them.
    ///
    /// # Errors
    /// [`HostError::Invalid`]
    pub fn check(&self) -> Result<(), HostError> {
        for (what, globs) in [("owns", &self.owns), ("names", &self.upload.names)] {
            NameGlobs::new(globs.clone())
                .map_err(|why| HostError::Invalid(format!("`{what}` of a channel's settings: {why}")))?;
        }
        Ok(())
    }
}

impl ChannelSettings {
    /// With what the rules say of the channel instead of what its owner has set.
    #[must_use]
    pub fn under(self, rule: Option<&HostedRule>) -> Self {
        let Some(rule) = rule else { return self };
        let owns = if rule.owns.is_empty() { self.owns } else { rule.owns.texts().to_vec() };
        Self { owns, upload: rule.upload.clone().unwrap_or(self.upload) }
    }

    /// What is to be stored of these, where the rules say some of them. What is there already stays; anything else can't be set.
    pub(super) fn beside(
        mut self,
        name: &str,
        rule: Option<&HostedRule>,
        was: &Self,
    ) -> Result<Self, HostError> {
        let Some(rule) = rule else { return Ok(self) };
        let written = |key: &str| {
            Err(HostError::Conflict(format!(
                "`{key}` of the channel `{name}` is written in the rules of this gate, in its entry under `channels`; it can only be changed there"
            )))
        };
        if !rule.owns.is_empty() {
            if self.owns != was.owns && self.owns != rule.owns.texts() {
                return written("owns");
            }
            self.owns.clone_from(&was.owns);
        }
        if let Some(upload) = &rule.upload {
            if self.upload != was.upload && self.upload != *upload {
                return written("upload");
            }
            self.upload = was.upload.clone();
        }
        Ok(self)
    }

    /// What they say of an upload.
    pub(super) fn admit(&self, upload: &Candidate<'_>) -> Result<(), HostError> {
        admit(&self.upload, upload)
    }
}

/// What the rules of a channel say of an upload.
fn admit(rules: &UploadRules, upload: &Candidate<'_>) -> Result<(), HostError> {
    let refuse = |why: String| Err(HostError::Forbidden(format!("{why}; nothing was published")));
    if let Some(max) = rules.max_size.filter(|max| *max < upload.size) {
        return Err(HostError::TooLarge(format!(
            "this channel takes packages of up to {max} bytes, this one has {}; nothing was published",
            upload.size
        )));
    }
    if !rules.names.is_empty() && !globs(&rules.names)?.contains(upload.name) {
        return refuse(format!(
            "this channel takes packages named {}, this one is `{}`",
            rules.names.join(", "),
            upload.name
        ));
    }
    let license = upload.record.get("license").and_then(Value::as_str).unwrap_or("");
    if !rules.licenses.is_empty() && !rules.licenses.iter().any(|known| known.eq_ignore_ascii_case(license)) {
        return refuse(format!(
            "this channel takes packages under {}, this one says `{license}`",
            rules.licenses.join(", ")
        ));
    }
    if let Some(missing) = rules.require.iter().find(|field| !says_something(upload, field)) {
        return refuse(format!(
            "this channel wants `{missing}` to be filled in (info/index.json or info/about.json)"
        ));
    }
    if rules.attestation && !upload.has_attestation {
        return refuse("this channel wants an attestation with every package".to_owned());
    }
    Ok(())
}

fn globs(texts: &[String]) -> Result<NameGlobs, HostError> {
    NameGlobs::new(texts.to_vec()).map_err(HostError::Internal)
}

fn says_something(upload: &Candidate<'_>, field: &str) -> bool {
    let says = |value: Option<&Value>| match value {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.trim().is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
        Some(_) => true,
    };
    says(upload.record.get(field)) || says(upload.about.and_then(|about| about.get(field)))
}
