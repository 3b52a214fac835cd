use serde::Deserialize;

use super::Section;
use crate::Origins;

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
struct Sample {
    max_value: u64,
    read_only: bool,
}

fn parse(text: &str) -> Result<Sample, String> {
    let section = Section::new("http", text.parse().unwrap());
    section.parse().map_err(|error| error.to_string())
}

#[test]
fn an_absent_section_is_the_default() {
    assert_eq!(parse(""), Ok(Sample::default()));
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let message = parse("max_vlaue = 3").unwrap_err();
    assert_eq!(message, "read configuration: unknown key `max_vlaue` in [door.http]; did you mean `max_value`?");
    let message = parse("zzz = 3").unwrap_err();
    assert_eq!(
        message,
        "read configuration: unknown key `zzz` in [door.http]; the keys there are max_value, read_only"
    );
}

#[test]
fn a_wrong_type_names_the_key_and_where_it_came_from() {
    let message = parse("max_value = 'many'").unwrap_err();
    assert_eq!(message, "read configuration: door.http.max_value must be a whole number, 0 or more");
    let mut origins = Origins::default();
    origins.note("door.http.max_value", "larder.toml");
    let section = Section::new("http", "max_value = 'many'".parse().unwrap()).with_origins(origins);
    let message = section.parse::<Sample>().unwrap_err().to_string();
    assert!(message.ends_with("0 or more (from larder.toml)"), "{message}");
}
