//! JSON Schemas (draft 7) of the settings and of the rules, for editors.
//!
//! That of the settings is made from the table of keys. That of the rules is a file, which tests hold against the code that reads
//! rules. A schema sees less than `condagate check`: not what several values mean together, nor what is on the machine.
//!
//! Belongs here: what a shape looks like in a schema. Does not: the keys ([`super::keys`]).

use serde_json::{Map, Value, json};

use super::keys::{Default, KEYS, Key, SECTIONS, Shape};

/// The schema of the rules.
pub const RULES: &str = include_str!("../../deploy/schema/condagate-rules.schema.json");

/// The schema of the settings.
#[must_use]
pub fn settings() -> Value {
    let mut root = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Settings of condagate",
        "description": "Later layers win: /etc/condagate/*.yaml in name order, $CONDAGATE_CONFIG, --config, variables, flags.",
    });
    if let (Some(root), Value::Object(rest)) = (root.as_object_mut(), map_of("")) {
        root.extend(rest);
    }
    root
}

/// The schema of a section and of all below it.
fn map_of(section: &str) -> Value {
    let mut properties = Map::new();
    for key in KEYS.iter().filter(|key| key.section() == section) {
        properties.insert(key.name().to_owned(), value_of(key));
    }
    let below = |path: &str| match path.rsplit_once('.') {
        Some((above, _)) => above == section,
        None => section.is_empty(),
    };
    for child in SECTIONS.iter().filter(|child| below(child.path)) {
        let mut schema = map_of(child.path);
        schema["description"] = child.says.into();
        let name = child.path.rsplit('.').next().unwrap_or(child.path);
        properties.insert(name.to_owned(), schema);
    }
    // A section without anything below it counts as absent.
    json!({"type": ["object", "null"], "additionalProperties": false, "properties": properties})
}

fn value_of(key: &Key) -> Value {
    let mut schema = of_shape(key.shape);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), describe(key).into());
        match key.default {
            Default::Text(text) if !key.is_list() => {
                schema.insert("default".to_owned(), typed(key.shape, text));
            }
            Default::Nothing(example) | Default::Depends(_, example) => {
                schema.insert("examples".to_owned(), json!([typed(key.shape, example)]));
            }
            Default::Text(_) => {}
        }
    }
    schema
}

fn describe(key: &Key) -> String {
    match key.default {
        Default::Depends(what, _) => format!("{} Default: {what}.", key.says),
        Default::Text(_) | Default::Nothing(_) => key.says.to_owned(),
    }
}

fn typed(shape: Shape, text: &str) -> Value {
    match shape {
        Shape::Number(..) => text.parse::<u64>().map_or_else(|_| text.into(), Value::from),
        Shape::Flag => (text == "true").into(),
        _ => text.into(),
    }
}

const SIZE: &str = r"^[0-9]+(\.[0-9]+)? *([kKmMgGtT][iI]?)?[bB]$";
const DURATION: &str = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$";

fn of_shape(shape: Shape) -> Value {
    match shape {
        // A name or path that looks like a number is text all the same.
        Shape::Text | Shape::Path => json!({"type": ["string", "number", "boolean"], "minLength": 1}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Duration => json!({"type": "string", "pattern": DURATION}),
        Shape::Size => json!({"type": "string", "pattern": SIZE}),
        Shape::Number(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Shape::OneOf(words) => json!({"enum": words}),
        Shape::Url(schemes) => {
            json!({"type": "string", "pattern": format!("^({})://[^?#]+$", schemes.join("|"))})
        }
        Shape::Addresses => some(
            &json!({"type": "string", "pattern": r"^([0-9.]+|\[[0-9a-fA-F:.]+(%.+)?\]|localhost):[0-9]{1,5}$"}),
            1,
        ),
        Shape::Networks => some(&json!({"type": "string", "pattern": r"^[0-9a-fA-F:.]+(/[0-9]{1,3})?$"}), 0),
        Shape::Room => json!({"type": "string", "pattern": format!("({SIZE})|(^([0-9]|[1-8][0-9]|90) *%$)")}),
        Shape::Level => {
            json!({"type": "string", "pattern": "^ *([^,]*=)?([oO][fF][fF]|[eE][rR][rR][oO][rR]|[wW][aA][rR][nN]|[iI][nN][fF][oO]|[dD][eE][bB][uU][gG]|[tT][rR][aA][cC][eE]) *(,|$)"})
        }
        Shape::Access => {
            json!({"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": "^(on|off|true|false)$|/"}]})
        }
        Shape::Database => {
            json!({"type": ["string", "number", "boolean"], "pattern": "^[A-Za-z0-9_-]{1,63}$", "not": {"enum": ["admin", "local", "config"]}})
        }
        Shape::Issuers => some(&issuer(), 0),
        Shape::Webhooks => some(&webhook(), 0),
        Shape::MailLists => some(&mail_list(), 0),
        Shape::Certificates => some(&certificate(), 0),
    }
}

/// One value or a list of them.
fn some(one: &Value, least: u64) -> Value {
    json!({"anyOf": [one, {"type": "array", "items": one, "minItems": least}]})
}

fn issuer() -> Value {
    let words: Vec<_> = super::auth::ALGORITHMS.iter().map(|(word, _)| *word).collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["issuer", "audience"],
        "properties": {
            "issuer": {"type": "string", "pattern": "^https?://", "description": "What `iss` says, letter by letter."},
            "audience": {"type": "string", "maxLength": 255, "description": "What `aud` must have."},
            "jwks_url": {"type": "string", "pattern": "^https?://", "description": "Its keys; without it, what its own description names."},
            "user_claim": {"type": "string", "description": "Which claim is the user's name.", "default": "sub"},
            "groups_claim": {"type": "string", "description": "Which claim is the names of the user's groups."},
            "algorithms": some(&json!({"enum": words}), 1),
        },
    })
}

fn events() -> Value {
    let words: Vec<_> = super::notify::EVENTS.iter().map(|(word, _)| *word).collect();
    let mut events = some(&json!({"enum": words}), 1);
    events["description"] = "Default: all of them.".into();
    events
}

fn webhook() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["url"],
        "anyOf": [{"required": ["secret_file"]}, {"required": ["secret_env"]}],
        "properties": {
            "url": {"type": "string", "pattern": "^https?://", "description": "Where to."},
            "secret_file": {"type": "string", "description": "A file with the secret that messages are signed with."},
            "secret_env": {"type": "string", "description": "A variable with it."},
            "events": events(),
        },
    })
}

fn certificate() -> Value {
    let file =
        |says: &str| json!({"type": ["string", "number", "boolean"], "minLength": 1, "description": says});
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["certificate", "key"],
        "properties": {
            "certificate": file("A file (PEM) with the certificate, and behind it those that lead to its root."),
            "key": file("A file (PEM) with its private key."),
        },
    })
}

fn mail_list() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["to"],
        "properties": {
            "to": some(&json!({"type": "string", "pattern": "^[^@ ]+@[^@ ]+$"}), 1),
            "events": events(),
        },
    })
}

#[cfg(test)]
mod tests;
