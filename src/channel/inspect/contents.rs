//! What the members of a package are for: which part they stand in, what they must not be, and those of `info/` that are read.
//!
//! Belongs here: the rules of a package's layout (CEP 34, CEP 35). Does not: what the files of `info/` say (`index`, `paths_json`).

use std::io::{self, Read};

use super::error::{InspectError, MemberFlaw, MetadataFlaw};
use super::paths_json;
use super::run::Run;
use super::seen::{Kind, Seen};
use super::tarball::{Member, What, member_flaw};
use super::unpack::Part;
use super::{PathEntry, path};

/// Which members a tar archive may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Section {
    /// Those of `info/`.
    Info,
    /// All others.
    Pkg,
    /// All, in a `.tar.bz2`.
    Whole,
}

/// Below these, links in `info/` are nobody's business: copies of recipes and tests.
const LINKS_ALLOWED: [&str; 3] = ["info/recipe/", "info/test/", "info/tests/"];
const PNG: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// What has been read so far.
pub(super) struct Contents {
    seen: Seen,
    /// `info/index.json`
    pub index: Option<Vec<u8>>,
    /// `info/about.json`
    pub about: Option<Vec<u8>>,
    /// `info/run_exports.json`
    pub run_exports: Option<Vec<u8>>,
    /// Path below `info/` and text.
    pub licenses: Vec<(String, String)>,
    /// A PNG.
    pub icon: Option<Vec<u8>>,
    /// Files and links outside `info/`, as many as are listed.
    pub paths: Vec<PathEntry>,
    /// How many there are.
    pub path_count: u64,
    listed_bytes: usize,
    license_bytes: usize,
}

impl Contents {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            seen: Seen::new(),
            index: None,
            about: None,
            run_exports: None,
            licenses: Vec::new(),
            icon: None,
            paths: Vec::new(),
            path_count: 0,
            listed_bytes: 0,
            license_bytes: 0,
        }
    }

    /// Checks a member of `part` and takes what is wanted of it.
    pub fn meet(
        &mut self,
        run: &Run<'_>,
        part: &Part,
        section: Section,
        member: &Member,
        bytes: &mut dyn Read,
    ) -> Result<(), InspectError> {
        let flaw = |flaw| member_flaw(part, &member.path, flaw);
        let path = path::clean(&member.path, run.limits.path).map_err(flaw)?;
        if path.is_empty() {
            // The top itself, from `tar .`.
            let is_dir = matches!(member.what, What::Plain(Kind::Dir));
            return if is_dir { Ok(()) } else { Err(flaw(MemberFlaw::EmptyPart)) };
        }
        let is_info = check_place(path, section).map_err(flaw)?;
        let kind = self.check_links(run, path, member).map_err(flaw)?;
        self.seen.add(path, kind).map_err(flaw)?;
        run.at_most_members(self.seen.len())?;
        let is_file = matches!(member.what, What::Plain(Kind::File));
        if is_info && !is_file && kind != Kind::Dir && !LINKS_ALLOWED.iter().any(|top| path.starts_with(top))
        {
            return Err(flaw(MemberFlaw::InfoLink));
        }
        if is_info && is_file {
            let mut contents = InfoFile { run, part, size: member.size, bytes };
            self.read_info(path, &mut contents)
        } else {
            if !is_info && kind != Kind::Dir {
                self.list(run, path, kind, member.size);
            }
            Ok(())
        }
    }

    /// What lies at the path once the member is there.
    fn check_links(&self, run: &Run<'_>, at: &str, member: &Member) -> Result<Kind, MemberFlaw> {
        match &member.what {
            What::Plain(kind) => Ok(*kind),
            What::Symlink(target) => path::check_target(at, target).map(|()| Kind::Symlink),
            What::HardLink(target) => {
                let file = path::clean(target, run.limits.path).ok().filter(|file| !file.is_empty());
                let is_file = file.is_some_and(|file| self.seen.get(file) == Some(Kind::File));
                let flaw = || MemberFlaw::HardLink { target: super::error::shown(target) };
                is_file.then_some(Kind::File).ok_or_else(flaw)
            }
        }
    }

    fn list(&mut self, run: &Run<'_>, path: &str, kind: Kind, size: u64) {
        self.path_count += 1;
        let bytes = self.listed_bytes + path.len();
        if self.paths.len() < run.limits.listed && bytes <= run.limits.listed_bytes {
            self.listed_bytes = bytes;
            self.paths.push(PathEntry { path: path.to_owned(), size, is_link: kind == Kind::Symlink });
        }
    }

    fn read_info(&mut self, path: &str, file: &mut InfoFile<'_, '_>) -> Result<(), InspectError> {
        match path {
            "info/index.json" => self.index = Some(file.whole("info/index.json")?),
            "info/about.json" => self.about = Some(file.whole("info/about.json")?),
            "info/run_exports.json" => self.run_exports = Some(file.whole("info/run_exports.json")?),
            "info/paths.json" => file.check_paths()?,
            "info/icon.png" => {
                self.icon = file.small(file.run.limits.icon)?.filter(|bytes| bytes.starts_with(&PNG));
            }
            _ if is_license(path) && self.license_bytes < 4 * file.run.limits.license => {
                let limit = file.run.limits.license;
                let left = 4 * limit - self.license_bytes;
                let text = file.small(limit.min(left))?.and_then(|bytes| String::from_utf8(bytes).ok());
                if let Some(text) = text {
                    self.license_bytes += path.len() + text.len();
                    self.licenses.push((path["info/".len()..].to_owned(), text));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn is_license(path: &str) -> bool {
    path.starts_with("info/licenses/") || path == "info/LICENSE.txt" || path == "info/license.txt"
}

/// Whether the path is in `info/`, if it may stand in this section.
fn check_place(path: &str, section: Section) -> Result<bool, MemberFlaw> {
    let first = path.split('/').next().unwrap_or(path);
    let is_info = first == "info";
    if !is_info && first.eq_ignore_ascii_case("info") {
        return Err(MemberFlaw::LikeInfo);
    }
    let fits = match section {
        Section::Info => is_info,
        Section::Pkg => !is_info,
        Section::Whole => true,
    };
    if fits { Ok(is_info) } else { Err(MemberFlaw::WrongPart) }
}

/// A file in `info/` that is about to be read.
struct InfoFile<'a, 'b> {
    run: &'a Run<'a>,
    part: &'a Part,
    size: u64,
    bytes: &'b mut dyn Read,
}

impl InfoFile<'_, '_> {
    /// All of a file that has to be there in full.
    fn whole(&mut self, name: &'static str) -> Result<Vec<u8>, InspectError> {
        let limit = self.run.limits.metadata;
        if self.size > limit {
            return Err(InspectError::Metadata { file: name, flaw: MetadataFlaw::TooLong { limit } });
        }
        self.read()
    }

    /// All of a file, or nothing if it is longer than that.
    fn small(&mut self, limit: usize) -> Result<Option<Vec<u8>>, InspectError> {
        if self.size > limit as u64 { Ok(None) } else { self.read().map(Some) }
    }

    fn read(&mut self) -> Result<Vec<u8>, InspectError> {
        let mut bytes = Vec::new();
        self.bytes.read_to_end(&mut bytes).map_err(|error| self.broken(&error))?;
        if bytes.len() as u64 == self.size {
            return Ok(bytes);
        }
        Err(self.broken(&io::ErrorKind::UnexpectedEof.into()))
    }

    fn check_paths(&mut self) -> Result<(), InspectError> {
        let metadata = |flaw| InspectError::Metadata { file: "info/paths.json", flaw };
        let limit = self.run.limits.paths_json;
        if self.size > limit {
            return Err(metadata(MetadataFlaw::TooLong { limit }));
        }
        let checked = paths_json::check(&mut *self.bytes, self.run.limits.path);
        checked.map_err(|flaw| self.run.why().unwrap_or_else(|| metadata(flaw)))
    }

    fn broken(&self, error: &io::Error) -> InspectError {
        let flaw = super::error::TarFlaw::Broken(error.to_string());
        self.run.why().unwrap_or_else(|| InspectError::Tar { part: self.part.name.clone(), flaw })
    }
}
