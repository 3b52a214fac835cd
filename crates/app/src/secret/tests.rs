use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::secret_of;

#[test]
fn a_secret_is_made_once_and_is_its_owners_alone() {
    let data = tempfile::tempdir().unwrap();
    let secret = secret_of(data.path()).unwrap();
    assert_eq!(secret_of(data.path()).unwrap(), secret);
    let mode = fs::metadata(data.path().join("secret")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let other = tempfile::tempdir().unwrap();
    assert_ne!(secret_of(other.path()).unwrap(), secret);
    fs::write(data.path().join("secret"), "short").unwrap();
    assert!(secret_of(data.path()).unwrap_err().hint().is_some());
}
