use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Origins, read_table};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sample {
    count: u32,
    bytes: u64,
    level: i32,
    data: PathBuf,
    flag: bool,
    kind: Option<Kind>,
    inner: BTreeMap<String, Inner>,
    list: Vec<Inner>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Text,
    Json,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only what refuses them is looked at")]
struct Inner {
    name: String,
}

fn origins() -> Origins {
    let mut origins = Origins::default();
    for key in ["count", "bytes", "level", "data", "flag", "kind", "inner.x.name", "inner.y", "list", "inner.z.extra"] {
        origins.note(format!("top.{key}"), key);
    }
    origins
}

fn refusal(text: &str) -> String {
    let error = read_table::<Sample>("top", text.parse().unwrap(), &origins()).unwrap_err();
    error.message().to_owned()
}

#[test]
fn a_value_of_the_wrong_type_is_told_by_its_key_what_it_must_be_and_where_it_stands() {
    for (text, said) in [
        ("count = -1", "top.count must be a whole number from 0 to 4294967295 (from count)"),
        ("count = 5000000000", "top.count must be a whole number from 0 to 4294967295 (from count)"),
        ("bytes = 'a, expected b'", "top.bytes must be a whole number, 0 or more (from bytes)"),
        ("level = 'x'", "top.level must be a whole number (from level)"),
        ("data = 5", "top.data must be a path in quotes (from data)"),
        ("flag = 'yes'", "top.flag must be true or false (from flag)"),
        ("kind = 'xml'", "top.kind must be \"text\" or \"json\" (from kind)"),
        ("kind = 3", "top.kind must be text in quotes (from kind)"),
        ("inner.x.name = 3", "top.inner.x.name must be text in quotes (from inner.x.name)"),
        ("inner.y = 3", "top.inner.y must be a table; write [top.inner.y] (from inner.y)"),
    ] {
        assert_eq!(refusal(text), said, "{text}");
    }
}

#[test]
fn an_item_of_a_list_is_told_by_its_number() {
    for (text, said) in [
        ("list = { name = 'a' }", "top.list must be a list; write [[top.list]] (from list)"),
        ("list = 3", "top.list must be a list (from list)"),
        ("list = [{ name = 'a' }, {}]", "top.list number 2 lacks `name` (from list)"),
        ("list = [{ name = 1 }]", "top.list number 1, name must be text in quotes (from list)"),
        ("list = [3]", "top.list number 1 must be a table (from list)"),
        (
            "list = [{ name = 'a', nmae = 'b' }]",
            "unknown key `nmae` in top.list number 1; did you mean `name`? (from list)",
        ),
    ] {
        assert_eq!(refusal(text), said, "{text}");
    }
}

#[test]
fn an_unknown_key_is_told_with_its_table_and_origin() {
    assert_eq!(refusal("conut = 1"), "unknown key `conut` in [top]; did you mean `count`?");
    assert_eq!(
        refusal("inner.z.extra = 1"),
        "unknown key `extra` in [top.inner.z]; the keys there are name (from inner.z.extra)"
    );
}
