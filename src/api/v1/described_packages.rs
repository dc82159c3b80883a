//! The descriptions of what is answered elsewhere: packages of the team's own channels and their labels (`channels`, `search`), uploads (`dialects`).
//!
//! Belongs here: shapes and sentences. Does not: answering.

#![expect(dead_code, reason = "descriptions: their code is elsewhere")]

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::answers::Listed;
use crate::channel::view::PackageView;

/// What is described here.
pub(super) fn document() -> utoipa::openapi::OpenApi {
    Described::openapi()
}

#[derive(OpenApi)]
#[openapi(paths(
    packages,
    package,
    delete_package,
    yank,
    restore,
    relabel,
    copy,
    search,
    package_labels,
    labels,
    promote,
    label,
    rename_label,
    delete_label,
    upload,
    put_package
))]
struct Described;

#[derive(Serialize, ToSchema)]
struct Packages {
    packages: Vec<PackageView>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct PackageWhole {
    package: PackageView,
    /// As it stands in the index.
    record: Value,
    /// What the package says of itself; null where that is not known.
    contents: Value,
}

#[derive(Serialize, ToSchema)]
struct PackageChanged {
    /// `channel/subdir/file`
    package: String,
    /// Whether there was anything to change.
    changed: bool,
}

#[derive(Deserialize, ToSchema)]
struct Reason {
    /// For the audit trail.
    reason: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct LabelChange {
    add: Option<Vec<String>>,
    remove: Option<Vec<String>>,
}

#[derive(Serialize, ToSchema)]
struct Labels {
    labels: Vec<String>,
}

#[derive(Deserialize, ToSchema)]
struct CopyTo {
    /// The other channel.
    to: String,
    labels: Option<Vec<String>>,
}

#[derive(Serialize, ToSchema)]
struct Copied {
    to: String,
    /// Whether it was not there before.
    changed: bool,
}

/// Packages of a hosted channel that you are told of, in the order of subdirs and file names; a page may have fewer than `limit`.
#[utoipa::path(get, path = "/api/v1/channels/{channel}/-/packages", tag = "channels", operation_id = "listChannelPackages", params(("channel" = String, Path), Listed, ("name" = Option<String>, Query, description = "only this package"), ("subdir" = Option<String>, Query), ("label" = Option<String>, Query)), responses((status = 200, body = Packages)))]
fn packages() {}

/// A package of a hosted channel.
#[utoipa::path(get, path = "/api/v1/channels/{channel}/-/packages/{subdir}/{file}", tag = "channels", operation_id = "getPackage", params(("channel" = String, Path), ("subdir" = String, Path), ("file" = String, Path)), responses((status = 200, body = PackageWhole), (status = 304)))]
fn package() {}

/// Deletes a package; for a week it can be restored.
#[utoipa::path(delete, path = "/api/v1/channels/{channel}/-/packages/{subdir}/{file}", tag = "channels", operation_id = "deletePackage", params(("channel" = String, Path), ("subdir" = String, Path), ("file" = String, Path)), responses((status = 200, body = PackageChanged)))]
fn delete_package() {}

/// Takes a package out of the index; lock files that name it still get it.
#[utoipa::path(post, path = "/api/v1/channels/{channel}/-/packages/{subdir}/{file}/yank", tag = "channels", operation_id = "yankPackage", params(("channel" = String, Path), ("subdir" = String, Path), ("file" = String, Path)), request_body = Reason, responses((status = 200, body = PackageChanged)))]
fn yank() {}

/// Puts a package that was yanked or deleted back into the index.
#[utoipa::path(post, path = "/api/v1/channels/{channel}/-/packages/{subdir}/{file}/restore", tag = "channels", operation_id = "restorePackage", params(("channel" = String, Path), ("subdir" = String, Path), ("file" = String, Path)), request_body = Reason, responses((status = 200, body = PackageChanged)))]
fn restore() {}

/// Changes the labels of a package.
#[utoipa::path(post, path = "/api/v1/channels/{channel}/-/packages/{subdir}/{file}/labels", tag = "channels", operation_id = "changeLabels", params(("channel" = String, Path), ("subdir" = String, Path), ("file" = String, Path)), request_body = LabelChange, responses((status = 200, body = Labels)))]
fn relabel() {}

/// The labels of a package.
#[utoipa::path(get, path = "/api/v1/channels/{channel}/-/packages/{subdir}/{file}/labels", tag = "labels", operation_id = "getPackageLabels", params(("channel" = String, Path), ("subdir" = String, Path), ("file" = String, Path)), responses((status = 200, body = Labels)))]
fn package_labels() {}

/// A label, with how much has it.
#[derive(Serialize, ToSchema)]
struct ChannelLabel {
    label: String,
    files: u64,
    bytes: u64,
}

#[derive(Serialize, ToSchema)]
struct ChannelLabels {
    labels: Vec<ChannelLabel>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

/// A label for all files that have another one.
#[derive(Deserialize, ToSchema)]
struct LabelGiven {
    /// The one that they get as well.
    label: String,
    /// The one that they have.
    from: String,
    /// Only files of this package.
    package: Option<String>,
    /// Only files of this version.
    version: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct LabelRenamed {
    /// Its new name.
    label: String,
}

#[derive(Serialize, ToSchema)]
struct LabelsChanged {
    /// Files.
    changed: u64,
}

/// Labels of a hosted channel, or of one package in it, in their order; files that you are told of are counted. Files without a label have `main`.
#[utoipa::path(get, path = "/api/v1/channels/{channel}/-/labels", tag = "labels", operation_id = "listLabels", params(("channel" = String, Path), Listed, ("name" = Option<String>, Query, description = "only this package")), responses((status = 200, body = ChannelLabels)))]
fn labels() {}

/// Gives a label to all files that have another one: what was tried out is promoted.
#[utoipa::path(post, path = "/api/v1/channels/{channel}/-/labels", tag = "labels", operation_id = "promoteLabel", params(("channel" = String, Path)), request_body = LabelGiven, responses((status = 200, body = LabelsChanged)))]
fn promote() {}

/// A label of a hosted channel. Slashes in its name stay as they are.
#[utoipa::path(get, path = "/api/v1/channels/{channel}/-/labels/{label}", tag = "labels", operation_id = "getLabel", params(("channel" = String, Path), ("label" = String, Path), ("name" = Option<String>, Query, description = "only this package")), responses((status = 200, body = ChannelLabel)))]
fn label() {}

/// Renames a label: all its files get another one instead.
#[utoipa::path(patch, path = "/api/v1/channels/{channel}/-/labels/{label}", tag = "labels", operation_id = "renameLabel", params(("channel" = String, Path), ("label" = String, Path)), request_body = LabelRenamed, responses((status = 200, body = LabelsChanged)))]
fn rename_label() {}

/// Takes a label from all its files. Where some have no other, `instead` says which one they get.
#[utoipa::path(delete, path = "/api/v1/channels/{channel}/-/labels/{label}", tag = "labels", operation_id = "deleteLabel", params(("channel" = String, Path), ("label" = String, Path), ("instead" = Option<String>, Query, description = "for files that have no other label")), responses((status = 200, body = LabelsChanged)))]
fn delete_label() {}

/// What is published now.
#[derive(Serialize, ToSchema)]
struct Published {
    /// False where these very bytes were there already.
    created: bool,
    channel: String,
    subdir: String,
    file: String,
    sha256: String,
    md5: String,
    size: u64,
}

/// What is published now, and where.
#[derive(Serialize, ToSchema)]
struct PublishedAt {
    #[serde(flatten)]
    published: Published,
    /// Where clients get it.
    url: String,
}

/// What the sender says of the bytes, and of what is there.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
struct Sent {
    /// Digests (RFC 9530): `sha-256=:base64:` is compared.
    #[param(rename = "Content-Digest")]
    content_digest: Option<String>,
    /// In hexadecimal digits; likewise `X-Checksum-Md5` and `X-Checksum-Sha1`.
    #[param(rename = "X-Checksum-Sha256")]
    sha256: Option<String>,
    /// `*`: only where there is no such package.
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
    /// Only where the package is this one; for `force`.
    #[param(rename = "If-Match")]
    if_match: Option<String>,
}

/// Publishes a package: the body is the file, as long as it is. The same bytes again are a success; other bytes under a name that is taken are refused.
#[utoipa::path(put, path = "/api/v1/channels/{channel}/-/packages/{subdir}/{file}", tag = "uploads", operation_id = "uploadPackage", params(("channel" = String, Path), ("subdir" = String, Path), ("file" = String, Path), ("label" = Option<Vec<String>>, Query, description = "labels, each by itself; `main` where none is said"), ("force" = Option<bool>, Query, description = "takes the place of other bytes, where the channel allows it"), Sent), request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses((status = 201, body = Published), (status = 200, description = "it was there already", body = Published)))]
fn upload() {}

/// The same at the address where clients get it: what `curl -T` and clients of Artifactory do. Labels are in the path, as `/{channel}/label/{label}/{subdir}/{file}`.
#[utoipa::path(put, path = "/{channel}/{subdir}/{file}", tag = "uploads", operation_id = "putPackage", params(("channel" = String, Path), ("subdir" = String, Path), ("file" = String, Path), ("force" = Option<bool>, Query), Sent), request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses((status = 201, body = PublishedAt), (status = 200, description = "it was there already", body = PublishedAt)))]
fn put_package() {}

/// Copies a package to another hosted channel.
#[utoipa::path(post, path = "/api/v1/channels/{channel}/-/packages/{subdir}/{file}/copy", tag = "channels", operation_id = "copyPackage", params(("channel" = String, Path), ("subdir" = String, Path), ("file" = String, Path)), request_body = CopyTo, responses((status = 200, body = Copied)))]
fn copy() {}

#[derive(Serialize, ToSchema)]
struct FoundPackage {
    channel: String,
    #[serde(flatten)]
    package: PackageView,
    /// The file in it that was asked for.
    #[schema(required = false)]
    path: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct FoundPackages {
    found: Vec<FoundPackage>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

/// Packages of hosted channels: by one of `name`, `spec` and `file`. `listPackages` finds names in all channels.
#[utoipa::path(get, path = "/api/v1/search", tag = "channels", operation_id = "search", params(
    ("name" = Option<String>, Query, description = "a part of a name, or a glob"),
    ("spec" = Option<String>, Query, description = "such as numpy >=2"),
    ("file" = Option<String>, Query, description = "a path in packages, a glob of paths, or the name of a file"),
    ("channel" = Option<String>, Query, description = "only this channel"),
    Listed
), responses((status = 200, body = FoundPackages)))]
fn search() {}
