use larder_base::ErrorKind;

use super::{BucketConfig, BucketUrl};

fn config(url: &str) -> BucketConfig {
    BucketConfig::new(url.parse().unwrap())
}

#[test]
fn an_address_is_a_name_and_perhaps_a_prefix() {
    for (text, name, prefix) in [
        ("s3://cache", "cache", ""),
        ("s3://cache/", "cache", ""),
        ("s3://my.cache-1/larder", "my.cache-1", "larder/"),
        ("s3://cache/a/b/", "cache", "a/b/"),
    ] {
        let url: BucketUrl = text.parse().unwrap();
        assert_eq!((url.name(), url.prefix()), (name, prefix), "{text}");
    }
}

#[test]
fn addresses_that_would_reach_another_place_are_refused() {
    for text in [
        "cache",
        "s3://",
        "s3://ab",
        "s3://Cache",
        "s3://ca/../x",
        "s3://cache/../other",
        "s3://cache/a//b",
        "s3://cache/a b",
        "s3://cache/%2e",
        "s3://-cache",
        "s3://user@cache",
        "https://cache",
        "s3://cache?x=1",
    ] {
        let error = text.parse::<BucketUrl>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        assert!(error.hint().is_some(), "{text}");
    }
}

#[test]
fn a_directory_bucket_is_told_by_its_name_and_lives_at_its_zone() {
    let name = "s3://cache--use1-az4--x-s3/p";
    assert_eq!(name.parse::<BucketUrl>().unwrap().zone(), Some("use1-az4"));
    assert_eq!("s3://base--name--usw2-az1--x-s3".parse::<BucketUrl>().unwrap().zone(), Some("usw2-az1"));
    assert_eq!("s3://cache--use1-az4".parse::<BucketUrl>().unwrap().zone(), None);
    let amazons = BucketConfig { region: Some("us-east-1".into()), ..config(name) };
    let place = amazons.place().unwrap();
    let url = "https://cache--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com/p/a/b";
    assert!(place.is_directory());
    assert_eq!(place.url(Some("a/b")).as_str(), url);
    let own = BucketConfig { endpoint: Some("http://127.0.0.1:9000".into()), ..config(name) };
    let place = own.place().unwrap();
    assert!(place.is_directory());
    assert_eq!(place.url(Some("a")).as_str(), "http://127.0.0.1:9000/cache--use1-az4--x-s3/p/a");
}

#[test]
fn a_directory_buckets_name_without_its_zone_is_refused() {
    for text in ["s3://cache--x-s3", "s3://a----x-s3", "s3://my.cache--use1-az4--x-s3"] {
        let error = text.parse::<BucketUrl>().unwrap_err();
        assert!(error.message().contains("zone") && error.hint().unwrap().contains("--ZONE--x-s3"), "{text}: {error}");
    }
}

#[test]
fn a_directory_bucket_is_listed_by_whole_folders() {
    let place = |url: &str| BucketConfig { region: Some("r".into()), ..config(url) }.place().unwrap();
    let (general, directory) = (place("s3://cache/p"), place("s3://cache--z--x-s3/p"));
    for (start, whole, folder) in [("", "p/", "p/"), ("a", "p/a", "p/"), ("a/b/", "p/a/b/", "p/a/b/")] {
        assert_eq!((general.list_start(start), directory.list_start(start)), (whole.to_owned(), folder.to_owned()));
    }
    assert_eq!(place("s3://cache--z--x-s3").list_start("ab"), "");
}

#[test]
fn amazons_buckets_have_a_host_of_their_own_and_others_stand_in_the_path() {
    let amazons = BucketConfig { region: Some("eu-west-1".into()), ..config("s3://cache/p") };
    assert_eq!(amazons.place().unwrap().url(Some("a/b")).as_str(), "https://cache.s3.eu-west-1.amazonaws.com/p/a/b");
    // A certificate for *.s3.REGION does not cover a name with dots.
    let dotted = BucketConfig { region: Some("eu-west-1".into()), ..config("s3://my.cache") };
    assert_eq!(dotted.place().unwrap().url(None).as_str(), "https://s3.eu-west-1.amazonaws.com/my.cache/");
    let own = BucketConfig { endpoint: Some("http://127.0.0.1:9000".into()), ..config("s3://cache/p") };
    assert_eq!(own.place().unwrap().url(Some("a")).as_str(), "http://127.0.0.1:9000/cache/p/a");
    let hosted = BucketConfig {
        endpoint: Some("https://store.example".into()),
        path_style: Some(false),
        ..config("s3://cache")
    };
    assert_eq!(hosted.place().unwrap().url(Some("a")).as_str(), "https://cache.store.example/a");
}

#[test]
fn what_cannot_be_reached_is_refused_with_the_setting_to_change() {
    let endpoint = |endpoint: &str| BucketConfig { endpoint: Some(endpoint.into()), ..config("s3://cache") };
    for bad in [
        config("s3://cache"),
        endpoint("minio:9000"),
        endpoint("ftp://host"),
        endpoint("https://user:pass@host"),
        BucketConfig { path_style: Some(false), ..endpoint("http://127.0.0.1:9000") },
        BucketConfig { region: Some("eu west".into()), ..config("s3://cache") },
        BucketConfig { region: Some("r".into()), path_style: Some(true), ..config("s3://cache--z--x-s3") },
    ] {
        let error = bad.place().unwrap_err();
        assert!(error.hint().is_some(), "{bad:?}: {error}");
        assert!(!error.to_string().contains("pass@"), "{error}");
    }
}

#[test]
fn names_that_a_url_would_resolve_away_are_no_objects() {
    let place = BucketConfig { region: Some("r".into()), ..config("s3://cache/p") }.place().unwrap();
    for bad in ["", ".", "..", "a/../b", "/a", "a/", "a//b", "a?b", "a b", "a%2fb", "é"] {
        assert!(place.check_key(bad).is_err(), "{bad:?}");
    }
    assert!(place.check_key(&"a".repeat(1022)).is_ok());
    assert!(place.check_key(&"a".repeat(1023)).is_err());
    place.check_key("segments/3f/0000-a_b.seg").unwrap();
}
