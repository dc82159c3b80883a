//! The description of the API (OpenAPI 3.1): made of the code, and kept as `deploy/docs/openapi.json`, so that a change of it is seen.
//!
//! Belongs here: what all operations have in common. Does not: single ones (beside what they describe, or in `described`).

use std::sync::LazyLock;

use serde_json::{Value, json};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::{Control, described, described_routes};

const ABOUT: &str = "What people and programs do with a gateway beside downloading. Credentials: a token or the access token of a session as \
    `Authorization: Bearer`, or a token as `X-API-Key`. Who may not read a channel is told no more than who asks for one that is not there.\n\n\
    Lists come in pages: `limit` rows, and `next` is what to give as `after`. Refusals are problem documents (RFC 9457). `ETag`, `If-None-Match` and \
    `If-Match` work where an answer has an `ETag`: a write with `If-Match` is refused with 412 where somebody else was faster. POST takes an \
    `Idempotency-Key`: the same caller with the same key gets the first answer again, for ten minutes.";

static TEXT: LazyLock<String> = LazyLock::new(|| {
    // Strings and objects: this can't fail.
    serde_json::to_string_pretty(&document()).unwrap_or_default() + "\n"
});

/// The description as it is served.
#[must_use]
pub fn text() -> &'static str {
    &TEXT
}

/// The description.
#[must_use]
pub fn document() -> Value {
    let (_, found): (axum::Router<Control>, OpenApi) = OpenApiRouter::with_openapi(described::document())
        .nest("/api/v1", described_routes())
        .split_for_parts();
    let mut document = serde_json::to_value(&found).unwrap_or_default();
    document["info"] = json!({
        "title": "condagate",
        "version": env!("CARGO_PKG_VERSION"),
        "description": ABOUT,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    });
    document["servers"] = json!([{"url": "/-", "description": "the gateway that this document comes from"}]);
    document["components"]["securitySchemes"] = json!({
        "bearer": {"type": "http", "scheme": "bearer", "description": "a token, or the access token of a session"},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "a token"},
    });
    document["security"] = json!([{}, {"bearer": []}, {"key": []}]);
    let items = document["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in items {
        if !path.starts_with("/api/") && path != "/jwks.json" {
            item["servers"] = json!([{"url": "/", "description": "where clients get packages"}]);
        }
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            if ["get", "put", "post", "patch", "delete"].contains(&method.as_str()) {
                finish(method, operation);
            }
        }
    }
    document
}

/// What every operation has.
fn finish(method: &str, operation: &mut Value) {
    let problem = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
    operation["responses"]["default"] = json!({"description": "why not", "content": problem});
    let responses = operation["responses"].as_object_mut().into_iter().flat_map(serde_json::Map::values_mut);
    for response in responses {
        if response["description"].as_str().is_none_or(str::is_empty) {
            response["description"] = json!("as asked");
        }
    }
    if method == "post" {
        let key = json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "the same caller with the same key gets the first answer again",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        });
        match operation["parameters"].as_array_mut() {
            Some(parameters) => parameters.push(key),
            None => operation["parameters"] = json!([key]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `CONDAGATE_UPDATE=1 cargo test --lib document` writes the file anew.
    #[test]
    fn the_file_says_what_the_code_says() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/docs/openapi.json");
        if std::env::var_os("CONDAGATE_UPDATE").is_some() {
            std::fs::write(&file, text()).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            kept == text(),
            "the API is not as {} says; look at what changed with `CONDAGATE_UPDATE=1 cargo test --lib document` and `git diff`",
            file.display()
        );
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_says_what_it_does() {
        let document = document();
        let (mut names, mut count) = (std::collections::BTreeSet::new(), 0);
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap().iter().filter(|(key, _)| *key != "servers") {
                let name = operation["operationId"]
                    .as_str()
                    .unwrap_or_else(|| panic!("{method} {path} has no name"));
                assert!(names.insert(name.to_owned()), "{name} is there twice");
                assert!(
                    operation["summary"].as_str().is_some_and(|said| !said.is_empty()),
                    "{method} {path}"
                );
                count += 1;
            }
        }
        assert!(count > 60, "{count}");
    }
}
