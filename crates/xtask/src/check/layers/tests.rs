use super::*;
use crate::graph::tests::graph;

fn only_violation(crates: &[(&str, &[&str])]) -> String {
    let wrong = violations(&graph(crates));
    assert_eq!(wrong.len(), 1, "{wrong:#?}");
    wrong.into_iter().next().unwrap()
}

#[test]
fn the_intended_shape_passes() {
    let wrong = violations(&graph(&[
        ("larder-base", &["bytes", "sha2"]),
        ("larder-store", &["larder-base", "tokio", "heed", "dev:larder-testkit"]),
        ("larder-cache", &["larder-base", "tokio", "dev:larder-testkit"]),
        ("larder-tree", &["larder-base", "larder-proto"]),
        ("larder-remote", &["larder-base", "larder-proto", "hyper", "hyper-rustls"]),
        ("larder-door", &["larder-cache", "larder-base", "axum"]),
        ("door-ci", &["larder-door", "larder-cache", "larder-base", "larder-tree", "larder-proto", "axum"]),
        ("larder-testkit", &["larder-base", "larder-cache", "larder-store", "larder-tree"]),
        ("larder", &["larder-store", "larder-remote", "larder-door", "door-ci", "clap", "dev:larder-testkit"]),
        ("xtask", &["toml"]),
    ]));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_dependency_that_points_up_is_found() {
    let wrong = only_violation(&[("larder-store", &["larder-cache"])]);
    assert!(wrong.starts_with("larder-store: larder-cache") && wrong.contains("may know base"), "{wrong}");
}

#[test]
fn a_door_that_names_a_sibling_is_found_even_in_its_tests() {
    assert!(only_violation(&[("door-ci", &["door-http"])]).contains("names a door"));
    assert!(only_violation(&[("door-ci", &["dev:door-http"])]).contains("dev-dependencies"));
}

#[test]
fn a_door_that_names_the_store_or_a_remote_tier_is_found() {
    assert!(only_violation(&[("door-ci", &["larder-store"])]).contains("larder-store"));
    assert!(only_violation(&[("door-ci", &["larder-remote"])]).contains("larder-remote"));
}

#[test]
fn the_testkit_is_for_tests() {
    assert!(only_violation(&[("larder", &["larder-testkit"])]).contains("larder-testkit"));
}

#[test]
fn an_outside_crate_is_found_behind_others() {
    let wrong = only_violation(&[("larder-base", &["fastcdc"]), ("fastcdc", &["tokio"])]);
    assert!(wrong.contains("larder-base -> fastcdc -> tokio"), "{wrong}");
    assert!(only_violation(&[("larder-tree", &["tokio"])]).contains("must not be part of tree"));
    assert!(only_violation(&[("larder-cache", &["http"])]).contains("must not be part of cache"));
}

#[test]
fn an_outside_crate_away_from_its_owner_is_found() {
    assert!(only_violation(&[("larder-store", &["clap"])]).contains("only app may name clap"));
    assert!(only_violation(&[("larder", &["heed"])]).contains("only store may name heed"));
    assert!(only_violation(&[("door-http", &["hyper"])]).contains("only remote, app"));
}

#[test]
fn a_second_client_or_tls_provider_is_found_with_the_way_to_it() {
    let wrong = only_violation(&[("larder", &["some-sdk"]), ("some-sdk", &["reqwest"])]);
    assert!(wrong.contains("second HTTP client") && wrong.contains("larder -> some-sdk -> reqwest"), "{wrong}");
    assert!(only_violation(&[("larder", &["dev:native-tls"])]).contains("second TLS provider"));
}

#[test]
fn two_versions_of_a_single_crate_are_found() {
    let mut twice = graph(&[("larder", &["rustls"])]);
    twice.packages.push(Package { name: "rustls".into(), member: false, targets: vec![], needs: vec![] });
    assert!(violations(&twice)[0].contains("2 versions of rustls"));
}

#[test]
fn a_crate_without_a_layer_is_found() {
    assert!(only_violation(&[("larder-extras", &[])]).contains("does not know this crate"));
}

#[test]
fn the_architecture_page_has_the_same_table() {
    let page = include_str!("../../../../../ARCHITECTURE.md");
    let rows: Vec<(&str, &str)> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split_once("` | "))
        .filter_map(|(name, rest)| Some((name, rest.split_once(" |")?.0)))
        .collect();
    for layer in LAYERS {
        let words = layer.words().replace('`', "");
        assert!(
            rows.iter().any(|&(name, may)| name == layer.name && may.replace('`', "") == words),
            "ARCHITECTURE.md needs a row that begins with | `{}` | {words} |",
            layer.name
        );
    }
}
