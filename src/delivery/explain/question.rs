//! What can be asked, and what a URL, a path or a spec means.
//!
//! Belongs here: reading questions. Does not: answering them.

use serde::{Deserialize, Serialize};

use super::{ExplainError, Explainer};
use crate::conda::archive::ArchiveName;
use crate::conda::channel::{ChannelName, ChannelRef};
use crate::conda::spec::{Spec, without_channel};
use crate::conda::subdir::Subdir;
use crate::conda::url::{self, Route};
use crate::snapshot::{HostTarget, Place};

/// A question: about one file, or about all records that a spec fits.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// A package file: its URL at this gate or at a host that the gate stands for, or its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// conda's `MatchSpec`, or the name of a package file: `xz`, `conda-forge/linux-64::xz >=5.6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<String>,
    /// With `spec`: this channel only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// With `spec`: this subdir only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subdir: Option<String>,
    /// Also: whether this user may have it.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub as_user: Option<String>,
}

/// What this gate is called from outside.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OwnAddress {
    /// The host of `public_url`, lower case.
    pub host: Option<String>,
    /// Its path, which is taken off.
    pub base: String,
}

/// A question that makes sense.
#[derive(Debug)]
pub(super) enum Asked<'q> {
    Url(&'q str),
    Spec(Box<Wanted>),
}

/// Records that are looked for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub spec: Spec,
    pub channel: Option<ChannelRef>,
    pub subdir: Option<Subdir>,
}

/// A package file, found under the rules.
pub(super) struct File {
    pub place: Place,
    pub asked: ChannelRef,
    pub subdir: Subdir,
    pub archive: ArchiveName,
}

impl Question {
    /// Tells a URL or path from a spec by its looks.
    #[must_use]
    pub fn guess(text: &str) -> Self {
        let last = text.rsplit('/').next().unwrap_or(text);
        let is_file = text.contains('/') && ArchiveName::parse(last).is_some();
        let is_spec = text.contains("::");
        if !is_spec && (text.contains("://") || text.starts_with('/') || is_file) {
            Self { url: Some(text.to_owned()), ..Self::default() }
        } else {
            Self { spec: Some(text.to_owned()), ..Self::default() }
        }
    }

    pub(super) fn parse(&self) -> Result<Asked<'_>, ExplainError> {
        match (&self.url, &self.spec) {
            (Some(_), None) if self.channel.is_some() || self.subdir.is_some() => {
                Err(ExplainError::MisplacedPlace)
            }
            (Some(url), None) => Ok(Asked::Url(url)),
            (None, Some(spec)) => self.wanted(spec).map(Box::new).map(Asked::Spec),
            _ => Err(ExplainError::OneThing),
        }
    }

    fn wanted(&self, text: &str) -> Result<Wanted, ExplainError> {
        let rest = without_channel(text);
        let before = text.trim_start().strip_suffix(rest).and_then(|before| before.strip_suffix("::"));
        let (channel, subdir) = before.map_or(Ok((None, None)), place_of)?;
        let given = self.channel.as_deref().map(channel_of).transpose()?;
        let subdir_given = self.subdir.as_deref().map(subdir_of).transpose()?;
        Ok(Wanted {
            spec: Spec::parse(&spec_text(rest)).map_err(ExplainError::Spec)?,
            channel: given.or(channel),
            subdir: subdir_given.or(subdir),
        })
    }
}

/// The name of a package file stands for the one record that has it.
fn spec_text(text: &str) -> String {
    let archive = ArchiveName::parse(text.trim());
    match archive.as_ref().and_then(|archive| Some((archive.parts()?.0, archive))) {
        Some((name, archive)) => format!("{name}[fn=\"{archive}\"]"),
        None => text.to_owned(),
    }
}

/// `conda-forge` or `conda-forge/linux-64`, also as a URL.
fn place_of(text: &str) -> Result<(Option<ChannelRef>, Option<Subdir>), ExplainError> {
    let path = match text.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => text,
    };
    let path = path.trim_matches('/');
    match path.rsplit_once('/') {
        Some((channel, subdir)) if Subdir::is_known(subdir) => {
            Ok((Some(channel_of(channel)?), Some(subdir_of(subdir)?)))
        }
        _ => Ok((Some(channel_of(path)?), None)),
    }
}

fn channel_of(text: &str) -> Result<ChannelRef, ExplainError> {
    let wrong = || ExplainError::ChannelName(text.to_owned());
    let (name, label) = match text.split_once("/label/") {
        Some((name, label)) => (name, Some(label)),
        None => (text, None),
    };
    if label.is_some_and(|label| !ChannelRef::is_label(label)) {
        return Err(wrong());
    }
    Ok(ChannelRef { name: ChannelName::parse(name).ok_or_else(wrong)?, label: label.map(Into::into) })
}

fn subdir_of(text: &str) -> Result<Subdir, ExplainError> {
    Subdir::parse(text).ok_or_else(|| ExplainError::Subdir(text.to_owned()))
}

impl Explainer<'_> {
    /// What a URL or path means. A host that belongs to no upstream counts as the gate's own: it has many names.
    pub(super) fn find_file(&self, text: &str) -> Result<File, ExplainError> {
        let parsed = ::url::Url::parse(text).ok().filter(::url::Url::has_host);
        let (foreign, path) = match &parsed {
            Some(url) => self.foreign(url),
            None => (None, format!("/{}", text.trim_start_matches('/'))),
        };
        let base = if foreign.is_some() { "" } else { self.own.base.trim_end_matches('/') };
        let target = url::parse_below(&path, base)?;
        let Route::Package { channel: asked, subdir, archive } = target.route else {
            return Err(ExplainError::NoPackage);
        };
        let place = match foreign {
            // Other hosts' channels of such a name are never asked for.
            Some(_) if self.view.is_hosted(&asked.name) => self.place(&asked.name),
            Some(host) => {
                let channel = self.view.channel_on(&host, &asked.name);
                channel.map(|channel| Place::Source(channel.for_audience(self.audience)))
            }
            None => self.place(&asked.name),
        };
        let place = place.ok_or_else(|| self.nowhere(&asked))?;
        Ok(File { place, asked, subdir, archive })
    }

    /// The upstream that a URL means, if it is not this gate, and the path there.
    fn foreign(&self, url: &::url::Url) -> (Option<HostTarget>, String) {
        let path = url.path().to_owned();
        let Some(host) = url.host_str().map(str::to_ascii_lowercase) else { return (None, path) };
        if self.own.host.as_ref() == Some(&host) {
            return (None, path);
        }
        if let Some(target) = self.view.host(&host) {
            return (Some(target), path);
        }
        self.view.mirrored(url).map_or((None, path), |(target, rest)| (Some(target), rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_specs_are_told_apart() {
        for (text, is_url) in [
            ("http://gate/conda-forge/noarch/a-1-0.conda", true),
            ("/conda-forge/noarch/a-1-0.conda", true),
            ("conda-forge/noarch/a-1-0.tar.bz2", true),
            ("a-1-0.conda", false),
            ("xz >=5.6", false),
            ("conda-forge/linux-64::xz 5.6.*", false),
            ("https://conda.anaconda.org/conda-forge::xz", false),
        ] {
            assert_eq!(Question::guess(text).url.is_some(), is_url, "{text}");
        }
    }

    #[test]
    fn places_in_front_of_specs() {
        let wanted = |spec: &str, channel: Option<&str>| {
            let channel = channel.map(str::to_owned);
            let question = Question { spec: Some(spec.to_owned()), channel, ..Question::default() };
            let Asked::Spec(wanted) = question.parse().unwrap() else { panic!("a spec") };
            let place = wanted.channel.map(|channel| channel.to_string()).unwrap_or_default();
            (wanted.spec.text().to_owned(), place, wanted.subdir.map(|s| s.to_string()).unwrap_or_default())
        };
        let parts = |spec, channel| {
            let (spec, channel, subdir) = wanted(spec, channel);
            format!("{spec}|{channel}|{subdir}")
        };
        assert_eq!(parts("xz", None), "xz||");
        assert_eq!(parts("xz >=5", Some("c")), "xz >=5|c|");
        assert_eq!(parts("conda-forge::xz", None), "xz|conda-forge|");
        assert_eq!(parts("pkgs/main/linux-64::xz 5.*", None), "xz 5.*|pkgs/main|linux-64");
        assert_eq!(parts("team/label/dev::xz", None), "xz|team/label/dev|");
        assert_eq!(parts("https://h.example.org/team/noarch::xz", None), "xz|team|noarch");
        assert_eq!(parts("a-1.0-0.conda", None), "a[fn=\"a-1.0-0.conda\"]||");
    }

    #[test]
    fn questions_without_sense() {
        let ask =
            |json: &str| serde_json::from_str::<Question>(json).unwrap().parse().map(|_| ()).unwrap_err();
        assert!(matches!(ask("{}"), ExplainError::OneThing));
        assert!(matches!(ask(r#"{"url":"/a","spec":"b"}"#), ExplainError::OneThing));
        assert!(matches!(ask(r#"{"url":"/a","channel":"b"}"#), ExplainError::MisplacedPlace));
        assert!(matches!(ask(r#"{"spec":"xz >="}"#), ExplainError::Spec(_)));
        assert!(matches!(ask(r#"{"spec":"a b::xz"}"#), ExplainError::Spec(_)));
        assert!(matches!(ask(r#"{"spec":"-x::xz"}"#), ExplainError::ChannelName(_)));
        assert!(matches!(ask(r#"{"spec":"xz","subdir":"linux"}"#), ExplainError::Subdir(_)));
    }
}
