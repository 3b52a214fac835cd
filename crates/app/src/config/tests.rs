use std::collections::BTreeMap;

use larder_door::Origins;

use super::{Config, Durability, Layers, SETTINGS, Span};

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn from_file(text: &str) -> Result<Config, String> {
    let mut layers = Layers::new();
    layers.file("larder.toml", text).map_err(|error| error.to_string())?;
    layers.config().map_err(|error| error.to_string())
}

#[test]
fn nothing_needs_to_be_configured() {
    let config = Layers::new().config().unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:7979");
    assert!(config.check(false).is_ok());
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let mut layers = Layers::new();
    layers.file("larder.toml", "listen = '127.0.0.1:1'\nquota = '1 GiB'\n[store]\nretention = '1h'").unwrap();
    layers.environment(
        &variables(&[("LARDER_LISTEN", "127.0.0.1:2"), ("LARDER_STORE_DURABILITY", "relaxed")]),
        &["http"],
    );
    layers.flag("--listen", "listen", "127.0.0.1:3");
    let config = layers.config().unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:3");
    assert_eq!(config.quota.unwrap().bytes(), 1 << 30);
    assert_eq!(config.store.retention, Span(std::time::Duration::from_secs(3600)));
    assert_eq!(config.store.durability, Durability::Relaxed);
}

#[test]
fn a_door_gets_its_own_variables() {
    let mut layers = Layers::new();
    layers.environment(
        &variables(&[("LARDER_DOOR_HTTP_MAX_VALUE", "5"), ("LARDER_DOOR_OTHER_X", "1"), ("LARDER_TOKEN", "t")]),
        &["http"],
    );
    let config = layers.config().unwrap();
    assert_eq!(config.door, "[http]\nmax_value = 5".parse::<toml::Table>().unwrap());
}

#[test]
fn unknown_keys_name_the_nearest_and_their_file() {
    assert_eq!(
        from_file("qouta = '1 GiB'").unwrap_err(),
        "read configuration: unknown key `qouta`; did you mean `quota`? (from larder.toml)"
    );
    assert_eq!(
        from_file("[store]\nretentoin = '1h'").unwrap_err(),
        "read configuration: unknown key `retentoin` in [store]; did you mean `retention`? (from larder.toml)"
    );
}

#[test]
fn a_bad_value_says_what_it_should_be_and_where_it_stands() {
    let mut layers = Layers::new();
    layers.environment(&variables(&[("LARDER_QUOTA", "lots")]), &[]);
    let message = layers.config().unwrap_err().to_string();
    assert!(message.contains("\"lots\" is not a size"), "{message}");
    assert!(message.contains("the environment variable LARDER_QUOTA"), "{message}");
}

#[test]
fn an_address_that_others_reach_needs_credentials() {
    let open = from_file("listen = '0.0.0.0:7979'").unwrap();
    let error = open.check(false).unwrap_err();
    assert!(error.hint().unwrap().contains("[[credentials]]"));
    let hash = larder_base::ContentHash::of(b"token").to_hex();
    let closed = from_file(&format!(
        "listen = '0.0.0.0:7979'\n[[credentials]]\nname = 'ci'\ntoken_sha256 = '{hash}'\nwrite = 'trusted'"
    ));
    assert!(closed.unwrap().check(false).is_ok());
}

#[test]
fn empty_variables_ask_for_nothing_and_slips_are_told() {
    let mut layers = Layers::new();
    let given = variables(&[("LARDER_QUOTA", ""), ("LARDER_DATA", "123"), ("LARDER_STORE_RETENTON", "1h")]);
    layers.environment(&given, &[]);
    let config = layers.config().unwrap();
    assert_eq!((config.quota, config.data), (None, Some("123".into())));
    let slips = super::misspelt(&given);
    assert_eq!(
        slips,
        ["LARDER_STORE_RETENTON is no setting and is not looked at; did you mean LARDER_STORE_RETENTION?"]
    );
}

#[test]
fn every_setting_in_the_table_is_a_key_and_its_default_is_the_default() {
    for setting in SETTINGS {
        let written = setting.default.replace("$XDG_DATA_HOME", "/data");
        let text = match setting.key.split_once('.') {
            Some((table, key)) => format!("[{table}]\n{key} = {written}"),
            None => format!("{} = {written}", setting.key),
        };
        let config = from_file(&text).unwrap_or_else(|error| panic!("{}: {error}", setting.key));
        let plain = Config { data: config.data.clone(), origins: config.origins.clone(), ..Config::default() };
        assert_eq!(format!("{config:?}"), format!("{plain:?}"), "{}", setting.key);
    }
}

#[test]
fn a_bucket_is_a_section_with_variables_of_the_same_names() {
    let config = from_file("[bucket]\nurl = 's3://cache/p'\npath_style = true").unwrap();
    assert_eq!((config.bucket.url.as_str(), config.bucket.path_style.chosen()), ("s3://cache/p", Some(true)));
    let mut layers = Layers::new();
    let given =
        [("LARDER_BUCKET_URL", "s3://cache"), ("LARDER_BUCKET_REGION", "1"), ("LARDER_BUCKET_PATH_STYLE", "false")];
    layers.environment(&variables(&given), &[]);
    let config = layers.config().unwrap();
    assert_eq!((config.bucket.region.as_str(), config.bucket.path_style.chosen()), ("1", Some(false)));
    assert_eq!(Layers::new().config().unwrap().bucket.path_style.chosen(), None);
    let message = from_file("[bucket]\npath_style = 'sometimes'").unwrap_err();
    assert!(message.contains("\"sometimes\" is not true, false"), "{message}");
    let message = from_file("[bucket]\nendpiont = 'x'").unwrap_err();
    assert!(message.contains("did you mean `endpoint`?"), "{message}");
}

#[test]
fn a_namespace_may_have_limits_of_its_own() {
    let text =
        "[limits]\nnamespace_quota = '50 GB'\n[namespaces.big]\nquota = 'none'\n[namespaces.'a~b']\nowner_quota = 5";
    let config = from_file(text).unwrap();
    assert_eq!(config.limits.namespace_quota.0, Some(50_000_000_000));
    assert_eq!(config.namespaces["big"].quota.unwrap().0, None);
    assert_eq!((config.namespaces["a~b"].quota, config.namespaces["a~b"].owner_quota.unwrap().0), (None, Some(5)));
    let message = from_file("[limits]\nnamespace_quota = 'lots'").unwrap_err();
    assert!(message.contains("\"lots\" is not a size"), "{message}");
    assert!(from_file("[limits]\nnamespace_qouta = 5").unwrap_err().contains("did you mean `namespace_quota`?"));
}

#[test]
fn tokens_that_were_given_out_are_credentials() {
    assert!(from_file("listen = '0.0.0.0:7979'").unwrap().check(true).is_ok());
}

#[test]
fn a_credential_that_would_carry_a_pull_request_elsewhere_is_refused() {
    let hash = larder_base::ContentHash::of(b"token").to_hex();
    let config = from_file(&format!(
        "[[credentials]]\nname = 'ci'\ntoken_sha256 = '{hash}'\nread = ['pr/7', 'trusted']\nwrite = 'trusted'"
    ));
    assert!(super::CredentialSection::rights(&config.unwrap().credentials, &Origins::default()).is_err());
}

#[test]
fn a_value_of_the_wrong_type_is_told_by_key_and_file_and_what_it_must_be() {
    let size = "a size such as \"50 GiB\"";
    for (text, said) in [
        ("quota = true", &*format!("quota must be {size}")),
        ("quota = -5", &*format!("quota must be {size}")),
        ("[bucket]\nquota = true", &*format!("bucket.quota must be {size}")),
        ("[limits]\nowner_quota = 1.5", &*format!("limits.owner_quota must be {size}, or \"none\"")),
        ("[namespaces.big]\nquota = []", &*format!("namespaces.big.quota must be {size}, or \"none\"")),
        ("store = 3", "store must be a table; write [store]"),
        ("data = 5", "data must be a path in quotes"),
        ("listen = 7979", "listen must be an address in quotes, such as \"127.0.0.1:7979\""),
        ("socket_mode = 660", "socket_mode must be permissions in quotes, such as \"660\""),
        ("[store]\nretention = 3", "store.retention must be a time span such as \"3h\""),
        ("[store]\ndurability = 'no'", "store.durability must be \"full\" or \"relaxed\""),
        ("[log]\nformat = 'xml'", "log.format must be \"text\" or \"json\""),
        ("[log]\nlevel = 3", "log.level must be a level such as \"info\""),
        ("[log]\nlevel = 'inof'", "log.level: \"inof\" is no level; did you mean info?"),
        ("[upstream]\nspool_entries = -1", "upstream.spool_entries must be a whole number from 0 to 4294967295"),
        ("[bucket]\ndirect = 3", "bucket.direct: 3 is not true or false"),
        ("[stor]", "unknown key `stor`; did you mean `store`?"),
        ("[stor]\nretention = '3h'", "unknown key `stor`; did you mean `store`?"),
        ("[credentials]\nname = 'ci'", "credentials must be a list; write [[credentials]]"),
        ("[[credentials]]\nname = 'ci'", "credentials number 1 lacks `token_sha256`"),
        ("quota = 5", "quota: \"5\" is less than a store needs, 16.0 MiB; did you mean \"5 GiB\"?"),
        ("quota = '1KiB'", "quota: \"1KiB\" is less than a store needs, 16.0 MiB"),
    ] {
        assert_eq!(from_file(text).unwrap_err(), format!("read configuration: {said} (from larder.toml)"), "{text}");
    }
}

#[test]
fn a_variable_of_the_wrong_type_is_told_by_its_name() {
    let refusal = |name: &str, value: &str| {
        let mut layers = Layers::new();
        layers.file("larder.toml", "[upstream]\nspool_entries = 5\n[store]\nretention = '1h'").unwrap();
        layers.environment(&variables(&[(name, value)]), &[]);
        layers.config().unwrap_err().message().to_owned()
    };
    for (name, value, said) in [
        ("LARDER_LOG_LEVEL", "debgu", "log.level: \"debgu\" is no level; did you mean debug?"),
        ("LARDER_QUOTA", "5", "quota: \"5\" is less than a store needs, 16.0 MiB; did you mean \"5 GiB\"?"),
        ("LARDER_UPSTREAM_SPOOL_ENTRIES", "many", "upstream.spool_entries must be a whole number from 0 to 4294967295"),
    ] {
        assert_eq!(refusal(name, value), format!("{said} (from the environment variable {name})"));
    }
}

#[test]
fn a_table_that_is_none_in_the_file_is_not_made_one_by_a_variable() {
    let mut layers = Layers::new();
    layers.file("larder.toml", "store = 3").unwrap();
    layers.environment(&variables(&[("LARDER_STORE_RETENTION", "1h")]), &[]);
    let message = layers.config().unwrap_err().message().to_owned();
    assert_eq!(message, "store must be a table; write [store] (from larder.toml)");
}

#[test]
fn what_is_out_of_bounds_is_told_with_its_file() {
    let refusal = |text: &str| from_file(text).unwrap().check(false).unwrap_err().message().to_owned();
    let said = refusal("[store]\ncompression_level = 99");
    assert_eq!(said, "store.compression_level is 99; it must be -7 to 19 (from larder.toml)");
    let said = refusal("[store]\nsegment_size = 5");
    assert_eq!(said, "store.segment_size must be 1 MiB to 1 GiB (from larder.toml)");
}

#[test]
fn a_credential_that_cannot_be_used_is_told_by_its_name() {
    let hash = larder_base::ContentHash::of(b"token").to_hex();
    let text = format!(
        "[[credentials]]\nname = 'one'\ntoken_sha256 = '{hash}'\n[[credentials]]\nname = 'two'\ntoken_sha256 = 'zz'"
    );
    let config = from_file(&text).unwrap();
    let error = super::CredentialSection::rights(&config.credentials, &config.origins).unwrap_err();
    assert_eq!(
        error.message(),
        "credential \"two\": token_sha256: a token's hash is the 64 hexadecimal digits of its SHA-256 (from larder.toml)"
    );
}
