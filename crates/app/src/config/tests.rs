use std::collections::BTreeMap;

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
    assert_eq!(config.quota.unwrap().0, 1 << 30);
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
        let plain = Config { data: config.data.clone(), ..Config::default() };
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
    assert!(super::CredentialSection::rights(&config.unwrap().credentials).is_err());
}
