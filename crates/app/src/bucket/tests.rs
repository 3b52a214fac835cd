use std::collections::BTreeMap;
use std::fs;

use larder_remote::s3::CredentialSource;

use super::{Surroundings, bucket};
use crate::config::BucketSection;

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn section(url: &str) -> BucketSection {
    BucketSection { url: url.to_owned(), ..BucketSection::default() }
}

#[test]
fn without_an_address_there_is_no_bucket() {
    assert!(bucket(&BucketSection::default(), &BTreeMap::new()).unwrap().is_none());
    assert!(bucket(&section("cache"), &BTreeMap::new()).is_err());
}

#[test]
fn the_region_comes_from_the_configuration_else_the_environment_else_the_profile() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join(".aws")).unwrap();
    let home_name = home.path().to_str().unwrap();
    let region = |section: &BucketSection, pairs: &[(&str, &str)]| {
        let mut all = variables(pairs);
        all.insert("HOME".into(), home_name.into());
        bucket(section, &all).map(|bucket| format!("{:?}", bucket.unwrap()))
    };
    let error = region(&section("s3://cache"), &[]).unwrap_err();
    assert!(error.hint().unwrap().contains("bucket.region"), "{error}");
    fs::write(home.path().join(".aws/config"), "[default]\nregion = from-profile\n").unwrap();
    assert!(region(&section("s3://cache"), &[]).unwrap().contains("s3.from-profile.amazonaws.com"));
    let environment = [("AWS_DEFAULT_REGION", "from-default"), ("AWS_REGION", "from-environment")];
    assert!(region(&section("s3://cache"), &environment).unwrap().contains("s3.from-environment.amazonaws.com"));
    let configured = BucketSection { region: "from-settings".into(), ..section("s3://cache") };
    assert!(region(&configured, &environment).unwrap().contains("s3.from-settings.amazonaws.com"));
}

#[test]
fn places_for_credentials_are_there_when_the_environment_leads_to_them() {
    let names = |pairs: &[(&str, &str)]| {
        let environment = variables(pairs);
        let surroundings = Surroundings { environment: &environment };
        let profile = surroundings.profile().unwrap();
        format!("{:?}", surroundings.sources(profile, None))
    };
    assert_eq!(names(&[]), "[Environment, Instance]");
    assert_eq!(names(&[("AWS_EC2_METADATA_DISABLED", "true")]), "[Environment]");
    assert_eq!(names(&[("AWS_PROFILE", "ci")]), "[Environment, Profile, Instance]");
    let identity = [("AWS_ROLE_ARN", "arn"), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere")];
    assert_eq!(names(&identity), "[Environment, WebIdentity, Instance]");
}

#[test]
fn a_platforms_token_is_read_from_its_file_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let environment = variables(&[("AWS_ROLE_ARN", "arn"), ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap())]);
    let sources = Surroundings { environment: &environment }.sources(None, Some("eu-west-1"));
    let Some(CredentialSource::WebIdentity(identity)) = sources.into_iter().nth(1) else { panic!("no identity") };
    assert_eq!(identity.endpoint, "https://sts.eu-west-1.amazonaws.com");
    assert!((identity.token)().unwrap_err().message().contains("token"));
    for token in ["one", "two"] {
        fs::write(&file, token).unwrap();
        assert_eq!((identity.token)().unwrap(), token);
    }
}
