use super::*;

#[test]
fn a_misspelt_check_is_refused_with_the_names_there_are() {
    let error = check_arguments(&["--only", "layer"]).unwrap_err();
    assert!(error.contains("`layer`") && error.contains("layers"), "{error}");
}

#[test]
fn an_option_without_its_value_is_refused() {
    assert!(check_arguments(&["--only"]).unwrap_err().contains("needs the name"));
}

#[test]
fn options_add_up() {
    let (selection, skips) = check_arguments(&["--only", "layers", "--only", "sizes", "--forbid-skips"]).unwrap();
    assert_eq!(selection.only, ["layers", "sizes"]);
    assert_eq!(skips, Skips::Forbidden);
}

#[test]
fn an_unknown_command_is_refused() {
    assert!(run(&["chekc".to_owned()]).unwrap_err().contains("`chekc`"));
}
