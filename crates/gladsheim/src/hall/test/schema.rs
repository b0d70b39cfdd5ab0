//! The schema for editors says what the reader says: the same keys, the same kinds of values, the same words.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use serde_json::Value;

use super::{EVERY_KEY, parse};
use crate::hall::SCHEMA;

thread_local! {
    /// Tables that were read on this thread, with the keys that each was asked for.
    static READ: RefCell<BTreeMap<String, BTreeSet<&'static str>>> = RefCell::default();
}

/// Takes down that a table was read.
pub(in crate::hall) fn was_read(name: &str, keys: &[&'static str]) {
    READ.with_borrow_mut(|read| {
        read.entry(name.to_owned()).or_default().extend(keys);
    });
}

fn schema() -> &'static Value {
    static PARSED: LazyLock<Value> =
        LazyLock::new(|| serde_json::from_str(SCHEMA).expect("is JSON"));
    &PARSED
}

/// Why the schema refuses a hall file, if it does.
pub(super) fn verdict(text: &str) -> Result<(), String> {
    let document: Value = toml::from_str(text).map_err(|error| error.to_string())?;
    let root = schema();
    check(root, root, &document).map_err(|error| format!("{error}\n{text}"))
}

/// A validator for what our schema uses of JSON Schema, draft 7; it knows no keyword beyond that.
fn check(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let all = |schemas: &Value| -> Vec<_> {
        let schemas = schemas.as_array().expect("is a list").iter();
        schemas.map(|schema| check(root, schema, value)).collect()
    };
    for (keyword, rule) in schema.as_object().expect("is an object") {
        let holds = match keyword.as_str() {
            "$schema" | "title" | "description" | "default" | "examples" | "definitions" => true,
            "$ref" => {
                let pointer = rule
                    .as_str()
                    .and_then(|text| text.strip_prefix('#'))
                    .unwrap();
                check(root, root.pointer(pointer).expect("is defined"), value)?;
                true
            }
            "type" => match rule.as_str().expect("is one type") {
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                "array" => value.is_array(),
                "object" => value.is_object(),
                other => panic!("type {other}"),
            },
            "enum" => rule.as_array().expect("is a list").contains(value),
            "const" => rule == value,
            "minimum" => value.as_f64().is_none_or(|n| n >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|n| n <= rule.as_f64().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| !text.is_empty()),
            "minItems" => value.as_array().is_none_or(|items| !items.is_empty()),
            "pattern" => {
                let pattern = regex_lite::Regex::new(rule.as_str().unwrap()).expect("is one");
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    check(root, rule, item)?;
                }
                true
            }
            "properties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    if let Some(rule) = rule.get(key) {
                        check(root, rule, value).map_err(|error| format!("{key}: {error}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    let known = schema.get("properties").and_then(|known| known.get(key));
                    match (known, rule) {
                        (Some(_), _) => {}
                        (None, Value::Bool(false)) => return Err(format!("unknown key {key}")),
                        (None, rule) => {
                            check(root, rule, value).map_err(|error| format!("{key}: {error}"))?;
                        }
                    }
                }
                true
            }
            "propertyNames" => {
                for key in value
                    .as_object()
                    .into_iter()
                    .flat_map(|fields| fields.keys())
                {
                    check(root, rule, &Value::from(key.as_str()))?;
                }
                true
            }
            "required" => {
                let mut keys = rule.as_array().unwrap().iter().filter_map(Value::as_str);
                value
                    .as_object()
                    .is_none_or(|fields| keys.all(|key| fields.contains_key(key)))
            }
            "dependencies" => value.as_object().is_none_or(|fields| {
                rule.as_object().unwrap().iter().all(|(key, needs)| {
                    let mut needs = needs.as_array().unwrap().iter().filter_map(Value::as_str);
                    !fields.contains_key(key) || needs.all(|needed| fields.contains_key(needed))
                })
            }),
            "allOf" => all(rule)
                .into_iter()
                .collect::<Result<Vec<()>, _>>()
                .map(|_| true)?,
            "anyOf" => all(rule).iter().any(Result::is_ok),
            "oneOf" => all(rule).iter().filter(|verdict| verdict.is_ok()).count() == 1,
            "not" => check(root, rule, value).is_err(),
            other => panic!("keyword {other}"),
        };
        if !holds {
            return Err(format!("{value} is against {keyword} {rule}"));
        }
    }
    Ok(())
}

/// The part of the schema that is about a table, by the name that the reader has for it.
fn of_table<'a>(root: &'a Value, name: &str) -> &'a Value {
    let service = &root["definitions"]["service"]["properties"];
    let words: Vec<_> = name.trim_matches(['[', ']', '`']).split('.').collect();
    match words[..] {
        ["the hall file"] => root,
        ["groups", _] => &root["properties"]["groups"]["additionalProperties"],
        ["services", _] => &root["definitions"]["service"],
        ["services", _, section] => &service[section],
        ["services", _, section, below] => &service[section]["properties"][below],
        ["depends_on", _] => &service["depends_on"]["anyOf"][1]["additionalProperties"]["anyOf"][1],
        [section] => &root["properties"][section],
        [section, below, lowest] => {
            &root["properties"][section]["properties"][below]["properties"][lowest]
        }
        [section, below] => &root["properties"][section]["properties"][below],
        _ => panic!("{name}"),
    }
}

/// How many objects with a fixed set of keys there are.
fn count_tables(schema: &Value) -> usize {
    let here = usize::from(schema.get("additionalProperties") == Some(&Value::Bool(false)));
    let below = match schema {
        Value::Object(fields) => fields.values().map(count_tables).sum(),
        Value::Array(items) => items.iter().map(count_tables).sum(),
        _ => 0,
    };
    here + below
}

#[test]
fn the_schema_has_the_keys_of_the_reader_and_no_others() {
    let text = EVERY_KEY
        .replace(
            "{ freki = \"healthy\" }",
            "{ freki = { condition = \"healthy\", required = false } }",
        )
        .replace(
            "[resources.default_limits]",
            "[resources.default_limits]\npressure = {}",
        );
    parse(&text).expect("is good");
    let root = schema();
    let read = READ.take();
    for (name, keys) in &read {
        let properties = of_table(root, name)["properties"].as_object();
        let properties = properties.unwrap_or_else(|| panic!("{name} is not in the schema"));
        let known: BTreeSet<_> = properties.keys().map(String::as_str).collect();
        let keys: BTreeSet<_> = keys.iter().copied().collect();
        assert_eq!(known, keys, "{name}");
    }
    // One service's own table was read twice; the names of rlimits are no keys of a table.
    assert_eq!(count_tables(root), read.len(), "{:?}", read.keys());
}

/// Every key that has a value of its own, as it is written, with its schema.
fn leaves(root: &Value) -> Vec<(String, Value)> {
    let mut leaves = Vec::new();
    let tables = [
        ("", root),
        ("groups.web.", of_table(root, "groups.web")),
        ("services.a.", of_table(root, "services.a")),
    ];
    let mut open: Vec<_> = tables
        .map(|(path, schema)| (path.to_owned(), schema))
        .into();
    while let Some((path, schema)) = open.pop() {
        for (key, schema) in schema["properties"].as_object().expect("is a table") {
            let name = format!("{path}{key}");
            match name.as_str() {
                "services" | "groups" => {}
                "services.a.rlimits" => {
                    leaves.push((format!("{name}.core"), schema["properties"]["core"].clone()))
                }
                _ if schema.get("properties").is_some() => open.push((format!("{name}."), schema)),
                _ => leaves.push((name, schema.clone())),
            }
        }
    }
    leaves
}

/// A hall that is good but, perhaps, for `key`.
fn hall_with(key: &str, value: &str) -> String {
    let section = key.rsplit_once('.').map_or("", |(section, _)| section);
    let last = key.rsplit('.').next().unwrap_or_default();
    let mut text = format!("{key} = {value}\n");
    if key != "services.a.path" {
        text += "services.a.path = 'a'\n";
    }
    let checks = [
        "services.a.health",
        "services.a.readiness",
        "services.a.startup",
    ];
    if checks.contains(&section) && !["http", "grpc", "tcp", "exec", "process"].contains(&last) {
        text += &match last {
            "service" => format!("{section}.grpc = 'a:1'\n"),
            _ => format!("{section}.tcp = 'a:1'\n"),
        };
    }
    text
}

#[test]
fn the_schema_refuses_only_what_the_reader_refuses_and_every_wrong_type() {
    let values = [
        "true",
        "false",
        "0",
        "1",
        "-1",
        "300",
        "5000",
        "1.5",
        "-0.5",
        "''",
        "'x'",
        "'0s'",
        "'5s'",
        "'0m5ms'",
        "'64KiB'",
        "'7'",
        "'SIGHUP'",
        "'user:1'",
        "'a:1'",
        "'http://a:1/'",
        "'unix:/a'",
        "'022'",
        "[]",
        "['x']",
        "['tcp:1']",
        "['group:x', 'tcp:[::1]:1']",
        "[1]",
        "[300]",
        "{}",
        "{ x = 'y' }",
        "{ x = 1 }",
        "{ a = {} }",
    ];
    for (key, _) in leaves(schema()) {
        for value in values {
            let text = hall_with(&key, value);
            let (reader, schema) = (parse(&text), verdict(&text));
            match (&reader, &schema) {
                (Ok(_), Err(error)) => panic!("only the schema refuses it: {error}"),
                (Err(error), Ok(())) => assert!(
                    !error.to_string().contains(": expected a")
                        || error.to_string().contains("such as")
                        || error.to_string().contains("\"unix:SOCKET:/PATH\""),
                    "a wrong type is nothing to the schema: {error}\n{text}"
                ),
                (Ok(_), Ok(())) | (Err(_), Err(_)) => {}
            }
        }
    }
}

#[test]
fn the_schema_has_the_words_of_the_reader() {
    let mut seen = 0;
    for (key, schema) in leaves(schema()) {
        let one_of = |words: &Value| -> BTreeSet<String> {
            let words = words.as_array().expect("is a list").iter();
            words
                .map(|word| word.as_str().expect("is a word").to_owned())
                .collect()
        };
        if let Some(words) = schema.get("enum") {
            let error = parse(&hall_with(&key, "'?'"))
                .expect_err("is no word")
                .to_string();
            let (_, known) = error.split_once("is none of ").expect("lists the words");
            let known = known.lines().next().unwrap_or_default().split("; ").next();
            let known = known.unwrap_or_default().split(", ").map(str::to_owned);
            assert_eq!(one_of(words), known.collect(), "{key}");
            seen += 1;
        }
        if let Some(words) = schema["items"].get("enum") {
            for word in one_of(words) {
                parse(&hall_with(&key, &format!("['{word}']"))).expect("is known");
            }
            seen += 1;
        }
    }
    assert!(seen >= 9, "{seen}");
}

#[test]
fn halls_of_the_project_are_good_by_the_schema() {
    for text in [
        EVERY_KEY,
        include_str!("../../../../../config/gladsheim.toml"),
        include_str!("../../../../../examples/demo/gladsheim.toml"),
        include_str!("../../../../../examples/jobs/gladsheim.toml"),
    ] {
        verdict(text).expect("is good");
    }
}
