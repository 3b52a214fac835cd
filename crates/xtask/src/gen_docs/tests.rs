use super::*;

fn pages(of: &[(&str, &str)]) -> Pages {
    of.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn equal_pages_pass() {
    let same = pages(&[("cli.md", "a"), ("config.md", "b")]);
    assert!(differences(&same, &same.clone()).is_empty());
}

#[test]
fn a_stale_a_missing_and_a_surplus_page_are_found() {
    let wrong =
        differences(&pages(&[("cli.md", "old"), ("gone.md", "")]), &pages(&[("cli.md", "new"), ("config.md", "")]));
    assert_eq!(wrong.len(), 3);
    assert!(wrong[0].contains("cli.md: is not what"));
    assert!(wrong[1].contains("config.md: is missing"));
    assert!(wrong[2].contains("gone.md: the binary does not"));
}

#[test]
fn a_folder_that_is_not_there_has_no_pages() {
    assert!(read(Path::new("/nonexistent/of/all/places")).unwrap().is_empty());
}

#[test]
fn a_binary_that_writes_nothing_is_excused_until_the_first_page_is_kept() {
    let failed = || Err("no such command".to_owned());
    let kept = pages(&[("cli.md", "a")]);
    assert!(matches!(compare(&Pages::new(), failed()), Ok(Outcome::Excused(_))));
    assert!(matches!(compare(&Pages::new(), Ok(Pages::new())), Ok(Outcome::Excused(_))));
    assert!(compare(&kept, failed()).is_err());
    assert!(matches!(compare(&kept, Ok(Pages::new())), Ok(Outcome::Failed(_))));
    assert!(matches!(compare(&Pages::new(), Ok(kept)), Ok(Outcome::Failed(_))));
}
