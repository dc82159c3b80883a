//! Why a package is refused, as sentences.
//!
//! Belongs here: [`InspectError`] and the flaws it is made of. Does not: status codes (`api`). What stands in an archive is quoted
//! escaped and shortened ([`shown`]), because it goes to logs and terminals.

use std::io;

use crate::conda::archive::ArchiveName;

/// Who has to do something about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The package is wrong; another one has to be uploaded (422).
    Package,
    /// The package is larger, inside, than the gate takes (413).
    TooLarge,
    /// The gate's own disk; the same upload may work later (500).
    Disk,
}

/// Why nothing can be said of a package.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// Wheels have no `info/index.json`.
    #[error(
        "`{file}` is a wheel; build a .conda or .tar.bz2 package of it, only these can be published here"
    )]
    Wheel {
        /// Its name.
        file: ArchiveName,
    },
    /// The first bytes are those of something else.
    #[error(
        "`{file}` is no {wanted} archive: {found}; give the file the name of what it is, or build it again"
    )]
    NotThisFormat {
        /// Its name.
        file: ArchiveName,
        /// `.conda (zip)` or `.tar.bz2`.
        wanted: &'static str,
        /// A clause about what it is.
        found: &'static str,
    },
    /// The outer archive of a `.conda`.
    #[error(
        "the zip archive can't be used: {0}; build the package again with conda-build or rattler-build and upload all of it"
    )]
    Zip(#[from] ZipFlaw),
    /// The packing of a tar archive.
    #[error("`{part}` can't be unpacked: {flaw}; build the package again and upload all of it")]
    Packed {
        /// The zip member, or the file itself.
        part: String,
        /// What is wrong.
        flaw: PackedFlaw,
    },
    /// A tar archive as a whole.
    #[error("the tar archive in `{part}` can't be used: {flaw}; build the package again")]
    Tar {
        /// The zip member, or the file itself.
        part: String,
        /// What is wrong.
        flaw: TarFlaw,
    },
    /// One member of a tar archive.
    #[error(
        "`{path}` in `{part}` {flaw}; take it out of the package or rename it, and build the package again"
    )]
    Member {
        /// The zip member, or the file itself.
        part: String,
        /// The member, escaped.
        path: String,
        /// What is wrong, as a predicate.
        flaw: MemberFlaw,
    },
    /// A limit of the gate's.
    #[error(
        "the package has more than {limit} {what}, which is the most that is taken here; split the package, or ask the gate's administrator"
    )]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A file that says what the package is.
    #[error("`{file}` in the package {flaw}; correct the recipe and build the package again")]
    Metadata {
        /// Which file.
        file: &'static str,
        /// What is wrong, as a predicate.
        flaw: MetadataFlaw,
    },
    /// The name of the file says something else than the package.
    #[error(
        "the file is called `{file}`, but its info/index.json has the {what} `{inside}`; upload it under the name it was built with"
    )]
    Disagrees {
        /// The file's name.
        file: ArchiveName,
        /// `name`, `version` or `build`.
        what: &'static str,
        /// What index.json says, escaped.
        inside: String,
    },
    /// A name that no client may be given (CEP 26).
    #[error(
        "the {what} `{text}` is none that conda packages may have: {rule} (CEP 26); correct the recipe and build the package again"
    )]
    NotCep26 {
        /// `name`, `version` or `build string`.
        what: &'static str,
        /// What it is.
        text: String,
        /// What the rule is.
        rule: &'static str,
    },
    /// The received file can't be read back. Not the uploader's fault.
    #[error("the received file can't be read back: {0}; check the gate's disk and upload again")]
    Disk(#[source] io::Error),
    /// The received file is not what was written. Not the uploader's fault.
    #[error(
        "the received file has {found} bytes, but {wanted} were written; check the gate's disk and upload again"
    )]
    Length {
        /// Bytes written and hashed.
        wanted: u64,
        /// Bytes there are.
        found: u64,
    },
}

impl InspectError {
    /// Whose fault it is.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Disk(_) | Self::Length { .. } => Fault::Disk,
            Self::TooMuch { .. } => Fault::TooLarge,
            _ => Fault::Package,
        }
    }
}

/// What can be wrong with the zip archive of a `.conda`. `member` is a name, escaped.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ZipFlaw {
    #[error("it does not end with the end of a zip archive; it was cut, or something was added")]
    NoEnd,
    #[error("its end says otherwise than its directory: {0}")]
    End(&'static str),
    #[error("it has {found} members, a .conda has three: metadata.json, pkg-….tar.zst and info-….tar.zst")]
    Count { found: u64 },
    #[error("its directory is broken")]
    Directory,
    #[error("its member `{member}` is encrypted")]
    Encrypted { member: String },
    #[error("its member `{member}` is compressed; the members of a .conda are stored")]
    Compressed { member: String },
    #[error("its member `{member}` has zip features that clients read differently")]
    Features { member: String },
    #[error("its member `{member}` has sizes that contradict each other")]
    Sizes { member: String },
    #[error("its member `{member}` is described differently at its own place than in the directory")]
    Differs { member: String },
    #[error("its member `{member}` overlaps another one, or there are bytes before it that belong to none")]
    Place { member: String },
    #[error("there are bytes between its last member and its directory")]
    Gap,
    #[error("its member `{member}` is there twice")]
    Twice { member: String },
    #[error(
        "its member `{member}` is none that a .conda of this name has; the package was renamed or is no conda package"
    )]
    Unexpected { member: String },
    #[error("its member `{member}` does not have the checksum it should have")]
    Checksum { member: String },
}

/// What can be wrong with what a tar archive is packed in.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PackedFlaw {
    #[error("the {codec} data is broken ({what})")]
    Broken { codec: &'static str, what: String },
    #[error("the {codec} data is cut")]
    Cut { codec: &'static str },
    #[error("there is more behind the end of the {codec} data, which some clients read and some don't")]
    More { codec: &'static str },
}

/// What can be wrong with a tar archive as a whole.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TarFlaw {
    #[error("it is broken ({0})")]
    Broken(String),
    #[error("its end is missing")]
    NoEnd,
    #[error("there is something behind its end")]
    Behind,
    #[error("it ends with a header for a member that does not follow")]
    Dangling,
    #[error("it has a header for all members that changes what they are (`{0}`)")]
    Global(String),
}

/// What can be wrong with a member of a tar archive, completing "`path` …".
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum MemberFlaw {
    #[error("has a name that is not UTF-8, or has control characters")]
    NotText,
    #[error("has a backslash in its name, which is a separator on Windows")]
    Backslash,
    #[error("has an absolute name")]
    Absolute,
    #[error("begins with a drive letter")]
    Drive,
    #[error("has a name that leaves the package (`..`)")]
    Parent,
    #[error("has an empty or `.` part in its name")]
    EmptyPart,
    #[error("has a longer name than the {limit} bytes that are taken here")]
    TooLong { limit: usize },
    #[error("is more than {limit} directories deep")]
    TooDeep { limit: usize },
    #[error("is there twice")]
    Twice,
    #[error("lies below something that is a file or a link, or is one where others lie below")]
    BelowFile,
    #[error("is neither a file nor a directory nor a link (tar type {0:?})")]
    Kind(char),
    #[error("is stored sparse, which some clients can't read")]
    Sparse,
    #[error("has a header that clients read differently ({0})")]
    Header(&'static str),
    #[error("has no file's size, but is said to have contents")]
    HasContents,
    #[error("is a link without a target")]
    NoTarget,
    #[error("is a link to `{target}`, which leaves the package")]
    LinkLeaves { target: String },
    #[error("is a link to `{target}`, which goes up again after it went down; write it without the detour")]
    LinkDetour { target: String },
    #[error("is a hard link to `{target}`, which is no file that comes before it")]
    HardLink { target: String },
    #[error("is a link; what says what the package is must be a file")]
    InfoLink,
    #[error("stands in the wrong part of the package: info/ and nothing else belongs in info-….tar.zst")]
    WrongPart,
    #[error("is `info` in other letters, which is the same on some systems")]
    LikeInfo,
}

/// What can be wrong with a file that says what the package is, completing "`file` …".
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum MetadataFlaw {
    #[error("is missing")]
    Missing,
    #[error("is longer than {limit} bytes")]
    TooLong { limit: u64 },
    #[error("is no JSON that every client reads the same ({what})")]
    Json { what: String },
    #[error("is no JSON object")]
    NotAnObject,
    #[error("can't be read by clients ({what})")]
    Unreadable { what: String },
    #[error("has the package format {found}; only 2 is known")]
    Format { found: String },
    #[error("lists the file `{path}`, which {flaw}")]
    Path { path: String, flaw: MemberFlaw },
    #[error("has the dependency `{spec}`, which clients can't read ({what})")]
    Spec { spec: String, what: String },
    #[error("has the subdir `{subdir}`, which is none that a channel can have")]
    Subdir { subdir: String },
    #[error("says neither `subdir` nor, as old packages do, a known `platform` and `arch`")]
    NoSubdir,
}

/// Bytes of somebody else's, fit for a message: escaped, at most 120 characters.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(480)]);
    let mut out: String = text.escape_debug().take(120).collect();
    if bytes.len() > 480 || text.escape_debug().nth(120).is_some() {
        out.push('…');
    }
    out
}
