//! The description of the API as a page.
//!
//! Descriptions are texts in which names stand between backticks, as code; they are marked up here, after everything in them is escaped.
//!
//! Belongs here: from the document to lines of the page. Does not: the document (`api`).

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::Extension;
use axum::response::Response;
use serde_json::Value;

use super::desk::Desk;
use super::page::{self, Page};

/// A description as HTML.
type Marked = String;

struct Parameter {
    name: String,
    place: String,
    kind: String,
    required: bool,
    about: Marked,
}

struct Reply {
    status: String,
    about: Marked,
    kind: String,
}

struct Operation {
    id: String,
    method: String,
    colour: &'static str,
    path: String,
    summary: Marked,
    parameters: Vec<Parameter>,
    body: String,
    /// What the body is in: `JSON`, or a media type.
    media: String,
    replies: Vec<Reply>,
}

struct Section {
    name: String,
    about: Marked,
    operations: Vec<Operation>,
}

struct Field {
    name: String,
    kind: String,
    required: bool,
    about: Marked,
}

struct Shape {
    name: String,
    about: Marked,
    fields: Vec<Field>,
    kind: String,
}

#[derive(Template)]
#[template(path = "api.html")]
struct ApiPage {
    page: Page,
    about: Vec<Marked>,
    address: String,
    sections: Vec<Section>,
    shapes: Vec<Shape>,
}

pub(super) async fn show(Extension(desk): Extension<Desk>) -> Response {
    let document = &*desk.web.document;
    let about = text(&document["info"], "description");
    page::show(&ApiPage {
        page: desk.page("api"),
        about: about.split("\n\n").map(marked).collect(),
        address: desk.entrance.address.to_string(),
        sections: sections(document),
        shapes: shapes(document),
    })
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Escaped, with what stands between backticks as code.
fn marked(text: &str) -> Marked {
    let mut marked = String::with_capacity(text.len() + 16);
    let parts = text.split('`').count();
    for (n, part) in text.split('`').enumerate() {
        // A backtick without another one is a backtick.
        let is_code = n % 2 == 1 && n + 1 < parts;
        match (n, is_code) {
            (_, true) => marked.push_str("<code>"),
            (n, false) if n % 2 == 1 => marked.push('`'),
            _ => {}
        }
        for c in part.chars() {
            match c {
                '&' => marked.push_str("&#38;"),
                '<' => marked.push_str("&#60;"),
                '>' => marked.push_str("&#62;"),
                '"' => marked.push_str("&#34;"),
                '\'' => marked.push_str("&#39;"),
                c => marked.push(c),
            }
        }
        if is_code {
            marked.push_str("</code>");
        }
    }
    marked
}

fn told(value: &Value, key: &str) -> Marked {
    marked(value.get(key).and_then(Value::as_str).unwrap_or_default())
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn entries<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(key).and_then(Value::as_object).into_iter().flatten()
}

/// A type in words: `text`, `list of UserView`, `number or null`.
fn kind(schema: &Value) -> String {
    if let Some(shape) = schema.get("$ref").and_then(Value::as_str) {
        return shape.rsplit('/').next().unwrap_or_default().to_owned();
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<_> =
            values.iter().filter_map(Value::as_str).map(|value| format!("“{value}”")).collect();
        return values.join(" or ");
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if schema.get(key).is_some() {
            let all: Vec<_> = list(schema, key).map(kind).collect();
            return all.join(if key == "allOf" { " with " } else { " or " });
        }
    }
    let word = |name: &str| match name {
        "array" => format!("list of {}", kind(&schema["items"])),
        "string" => "text".to_owned(),
        "boolean" => "true or false".to_owned(),
        "integer" | "number" => "number".to_owned(),
        other => other.to_owned(),
    };
    match schema.get("type") {
        Some(Value::String(name)) => word(name),
        Some(Value::Array(names)) => {
            let all: Vec<_> = names.iter().filter_map(Value::as_str).map(word).collect();
            all.join(" or ")
        }
        _ => "anything".to_owned(),
    }
}

/// The type of what is sent or answered, whatever its media type.
fn content(holder: &Value) -> String {
    let schema = entries(holder, "content").next().map(|(_, content)| &content["schema"]);
    schema.map(kind).unwrap_or_default()
}

fn operation(method: &str, (server, path): (&str, &str), said: &Value) -> Operation {
    let parameter = |one: &Value| Parameter {
        name: text(one, "name"),
        place: text(one, "in"),
        kind: kind(&one["schema"]),
        required: one["required"].as_bool().unwrap_or(false),
        about: told(one, "description"),
    };
    let reply = |(status, one): (&String, &Value)| Reply {
        status: if status == "default" { "else".to_owned() } else { status.clone() },
        about: told(one, "description"),
        kind: content(one),
    };
    Operation {
        id: text(said, "operationId"),
        method: method.to_ascii_uppercase(),
        colour: match method {
            "get" => "info",
            "delete" => "bad",
            _ => "good",
        },
        path: format!("{server}{path}"),
        summary: told(said, "summary"),
        parameters: list(said, "parameters").map(parameter).collect(),
        body: content(&said["requestBody"]),
        media: match entries(&said["requestBody"], "content").next().map(|(media, _)| media.as_str()) {
            Some("application/json") | None => "JSON".to_owned(),
            Some(other) => other.to_owned(),
        },
        replies: entries(said, "responses").map(reply).collect(),
    }
}

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn sections(document: &Value) -> Vec<Section> {
    let one = |tag: &Value| {
        let name = text(tag, "name");
        let mut operations = Vec::new();
        for (path, item) in entries(document, "paths") {
            // Some are where packages are.
            let server = if item.get("servers").is_some() { "" } else { "/-" };
            for method in METHODS {
                let said = item.get(method).filter(|said| list(said, "tags").any(|tag| tag == name.as_str()));
                operations.extend(said.map(|said| operation(method, (server, path), said)));
            }
        }
        Section { name, about: told(tag, "description"), operations }
    };
    list(document, "tags").map(one).filter(|section| !section.operations.is_empty()).collect()
}

fn shapes(document: &Value) -> Vec<Shape> {
    let one = |(name, schema): (&String, &Value)| {
        let required: BTreeSet<_> = list(schema, "required").filter_map(Value::as_str).collect();
        let field = |(name, one): (&String, &Value)| Field {
            name: name.clone(),
            kind: kind(one),
            required: required.contains(name.as_str()),
            about: told(one, "description"),
        };
        let fields: Vec<_> = entries(schema, "properties").map(field).collect();
        let kind = if fields.is_empty() { kind(schema) } else { String::new() };
        Shape { name: name.clone(), about: told(schema, "description"), fields, kind }
    };
    entries(&document["components"], "schemas").map(one).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{kind, marked};

    #[test]
    fn what_stands_between_backticks_is_code_and_nothing_is_markup() {
        for (text, html) in [
            ("a `b` c", "a <code>b</code> c"),
            ("`a`", "<code>a</code>"),
            ("`a` and `<b>`", "<code>a</code> and <code>&#60;b&#62;</code>"),
            ("one ` alone", "one ` alone"),
            ("`a` and ` alone", "<code>a</code> and ` alone"),
            ("<script>`&\"'", "&#60;script&#62;`&#38;&#34;&#39;"),
            ("", ""),
        ] {
            assert_eq!(marked(text), html, "{text}");
        }
    }

    #[test]
    fn types_are_said_in_words() {
        for (schema, words) in [
            (json!({"$ref": "#/components/schemas/User"}), "User"),
            (json!({"type": ["string", "null"]}), "text or null"),
            (json!({"type": "array", "items": {"type": "integer"}}), "list of number"),
            (json!({"oneOf": [{"type": "null"}, {"$ref": "#/x/Y"}]}), "null or Y"),
            (json!({"type": "string", "enum": ["a", "b"]}), "“a” or “b”"),
            (json!({}), "anything"),
        ] {
            assert_eq!(kind(&schema), words);
        }
    }
}
