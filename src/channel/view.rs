//! What may be shown of channels and packages: the same JSON for the command line and the API.
//!
//! Belongs here: shapes. Does not: looking things up.

use serde::Serialize;
use serde_json::Value;

use super::{ChannelSettings, row};
use crate::http::date::rfc3339 as time;
use crate::policy::HostedRule;
use crate::store::model::{Channel, Package};

/// A hosted channel.
#[derive(Clone, PartialEq, Debug, Serialize, utoipa::ToSchema)]
pub struct ChannelView {
    /// As in URLs.
    pub name: String,
    /// Stays the same when it is renamed.
    pub id: String,
    /// Whether everybody may read it.
    pub public: bool,
    /// For people.
    pub description: String,
    /// Most bytes of packages.
    pub quota: Option<u64>,
    /// Those that count.
    pub settings: ChannelSettings,
    /// Which of them are written in the rules, and can only be changed there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub in_rules: Vec<&'static str>,
    /// When.
    pub created: String,
    /// Not served since then.
    pub deleted: Option<String>,
    /// Of the row.
    pub revision: u64,
}

impl ChannelView {
    /// Of a row, and what the rules say of the channel.
    #[must_use]
    pub fn new(channel: &Channel, rule: Option<&HostedRule>) -> Self {
        let settings = ChannelSettings::of(channel).unwrap_or_default().under(rule);
        let owns = rule.is_some_and(|rule| !rule.owns.is_empty()).then_some("owns");
        let upload = rule.is_some_and(|rule| rule.upload.is_some()).then_some("upload");
        Self {
            name: channel.name.clone(),
            id: channel.id.to_string(),
            public: channel.public,
            description: channel.description.clone(),
            quota: channel.quota,
            settings,
            in_rules: owns.into_iter().chain(upload).collect(),
            created: time(channel.created),
            deleted: channel.deleted_at.map(time),
            revision: channel.revision,
        }
    }
}

/// A file of a hosted channel.
#[derive(Clone, PartialEq, Debug, Serialize, utoipa::ToSchema)]
pub struct PackageView {
    /// Where.
    pub subdir: String,
    /// Its name.
    pub file: String,
    /// Of the package.
    pub name: String,
    /// Of the package.
    pub version: Option<String>,
    /// Of the package.
    pub build: Option<String>,
    /// Of its bytes.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// `main` where no other was given.
    pub labels: Vec<String>,
    /// `listed`, `yanked`, `deleted`
    pub state: &'static str,
    /// When.
    pub uploaded: String,
    /// By whom: the id of a user.
    pub uploaded_by: String,
    /// Of the array of attestations, if there is one.
    pub attestations: Option<String>,
    /// What becomes of it under the rules, for whoever asked: `shown`; `left`: it left the index, and lock files still get it; `hidden`, likewise;
    /// `refused`; `unlisted`: no index can have it. Those that are not shown are told to who may write them or manage the channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub visibility: Option<&'static str>,
}

impl PackageView {
    /// Of a row, and what becomes of it.
    #[must_use]
    pub fn seen(package: &Package, visibility: &'static str) -> Self {
        Self { visibility: Some(visibility), ..Self::from(package) }
    }
}

impl From<&Package> for PackageView {
    fn from(package: &Package) -> Self {
        let record: Value = serde_json::from_slice(&package.record).unwrap_or_default();
        let text = |key: &str| record.get(key).and_then(Value::as_str).map(str::to_owned);
        Self {
            subdir: package.subdir.clone(),
            file: package.file.clone(),
            name: package.name.clone(),
            version: text("version"),
            build: text("build"),
            sha256: package.sha256.to_hex(),
            size: package.size,
            labels: row::labels_of(package),
            state: package.state.as_str(),
            uploaded: time(package.uploaded_at),
            uploaded_by: package.uploaded_by.to_string(),
            attestations: package.attestations.as_ref().map(ToString::to_string),
            visibility: None,
        }
    }
}
