use larder_base::{ErrorKind, Timestamp};

use super::Signer;

const NOON: Timestamp = Timestamp::from_millis(1_000_000);

#[test]
fn a_signature_is_good_for_its_permission_and_its_time_only() {
    let signer = Signer::new(&[7; 32]);
    let signature = signer.sign("PUT part 1", NOON);
    let verify = |permission, expires, signature: &str, now| {
        signer.verify(permission, expires, signature, now).map_err(|error| error.kind())
    };
    assert_eq!(verify("PUT part 1", NOON, &signature, NOON), Ok(()));
    let later = Timestamp::from_millis(1_000_001);
    assert_eq!(verify("PUT part 1", NOON, &signature, later), Err(ErrorKind::Denied));
    assert_eq!(verify("PUT part 1", later, &signature, NOON), Err(ErrorKind::Denied));
    assert_eq!(verify("PUT part 2", NOON, &signature, NOON), Err(ErrorKind::Denied));
    assert_eq!(verify("PUT part 1", NOON, "short", NOON), Err(ErrorKind::Denied));
    assert!(Signer::new(&[8; 32]).verify("PUT part 1", NOON, &signature, NOON).is_err());
}
