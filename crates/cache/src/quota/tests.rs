use std::collections::BTreeMap;

use larder_base::{ErrorKind, Namespace};

use super::{Limits, Quotas, Usage};

fn namespace(name: &str) -> Namespace {
    name.parse().unwrap()
}

#[test]
fn a_namespace_has_its_own_limits_or_those_of_all() {
    let quotas = Quotas::default();
    assert!(quotas.check_fits(&namespace("any"), u64::MAX).is_ok());
    let own = Limits { namespace: Some(100), owner: Some(10) };
    let all = Limits { namespace: Some(50), owner: None };
    quotas.set_limits(all, BTreeMap::from([(namespace("own"), own)]));
    for (name, fits, not) in [("other", 50, 51), ("own", 10, 11)] {
        assert!(quotas.check_fits(&namespace(name), fits).is_ok());
        let error = quotas.check_fits(&namespace(name), not).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.message().contains(&format!("{not} bytes")) && error.message().contains(name), "{error}");
    }
}

#[test]
fn a_change_is_told_once_and_a_namespace_without_entries_is_forgotten() {
    let quotas = Quotas::default();
    quotas.note_change(&namespace("a"));
    quotas.note_change(&namespace("a"));
    assert_eq!(quotas.take_changed().into_iter().collect::<Vec<_>>(), [namespace("a")]);
    assert!(quotas.take_changed().is_empty());
    quotas.record(&namespace("a"), Usage { entries: 1, ..Usage::default() });
    assert_eq!(quotas.usage().len(), 1);
    quotas.record(&namespace("a"), Usage::default());
    assert!(quotas.usage().is_empty());
}
