//! JSON as people want to read it.
//!
//! Belongs here: lines of `key: value`. Does not: which keys there are.

use serde_json::Value;

use super::Terminal;

/// Keys whose numbers are bytes although their names don't end in `bytes`.
const BYTES: &[&str] = &["budget", "free", "keep_free", "bytes_in", "size"];

/// Prints an object as one line per key; deeper objects are indented.
pub(super) fn value(value: &Value, terminal: &mut Terminal<'_>) {
    let mut lines = Vec::new();
    collect(value, 0, &mut lines);
    for line in lines {
        terminal.line(line);
    }
}

fn collect(value: &Value, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let name = key.replace('_', " ");
                match value {
                    Value::Object(_) | Value::Array(_) => {
                        lines.push(format!("{indent}{name}:"));
                        collect(value, depth + 1, lines);
                    }
                    Value::Number(number) => {
                        lines.push(format!("{indent}{name}: {}", quantity(key, number)));
                    }
                    Value::String(text) => lines.push(format!("{indent}{name}: {text}")),
                    _ => lines.push(format!("{indent}{name}: {value}")),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, depth, lines)),
        Value::String(text) => lines.push(format!("{indent}{text}")),
        _ => lines.push(format!("{indent}{value}")),
    }
}

fn quantity(key: &str, number: &serde_json::Number) -> String {
    let is_bytes = key.ends_with("bytes") || BYTES.contains(&key);
    match number.as_u64().filter(|_| is_bytes) {
        Some(bytes) => readable(bytes),
        None => number.to_string(),
    }
}

/// `1.5 GiB`; a size for eyes, not for reading back.
pub(super) fn readable(bytes: u64) -> String {
    let mut rest = bytes;
    let mut fraction = 0;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if rest < 1024 {
            break;
        }
        fraction = rest % 1024 * 10 / 1024;
        rest /= 1024;
        unit = next;
    }
    if unit == "B" { format!("{rest} B") } else { format!("{rest}.{fraction} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_become_lines() {
        let mut lines = Vec::new();
        let json = serde_json::json!({
            "blobs": 3, "bytes": 1_610_612_736, "fills_started": 1, "mirrors": [{"name": "a", "healthy": true}],
            "free": 1023, "note": "x"
        });
        collect(&json, 0, &mut lines);
        assert_eq!(
            lines,
            [
                "blobs: 3",
                "bytes: 1.5 GiB",
                "fills started: 1",
                "mirrors:",
                "  name: a",
                "  healthy: true",
                "free: 1023 B",
                "note: x"
            ]
        );
    }
}
