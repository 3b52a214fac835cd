use proptest::prelude::*;

use super::{ContentHash, Digest, HashFunction, Hasher};

const BOTH: [HashFunction; 2] = [HashFunction::Sha256, HashFunction::Blake3];

#[test]
fn the_functions_are_the_published_ones() {
    let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let blake = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
    assert_eq!(HashFunction::Sha256.hash(b"abc").to_hex(), sha);
    assert_eq!(HashFunction::Blake3.hash(b"abc").to_hex(), blake);
}

#[test]
fn equal_bytes_under_two_functions_are_two_names() {
    let [sha, blake] = BOTH.map(|function| function.hash(b"abc"));
    assert_ne!(sha.to_key(), blake.to_key());
    // Not even the same digits make two functions' hashes one.
    assert_ne!(ContentHash::new(HashFunction::Blake3, *sha.as_bytes()), sha);
    assert!(sha.names(b"abc") && blake.names(b"abc"));
    assert!(!ContentHash::new(HashFunction::Blake3, *sha.as_bytes()).names(b"abc"));
}

#[test]
fn an_unknown_function_is_no_hash() {
    let mut key = HashFunction::Blake3.hash(b"").to_key();
    assert_eq!(ContentHash::from_key(&key), Some(HashFunction::Blake3.hash(b"")));
    key[0] = 3;
    assert_eq!(ContentHash::from_key(&key), None);
}

#[test]
fn hexadecimal_of_another_length_is_refused() {
    let hex = HashFunction::Blake3.hash(b"x").to_hex();
    assert_eq!(ContentHash::from_hex(HashFunction::Blake3, &hex.to_uppercase()), Ok(HashFunction::Blake3.hash(b"x")));
    assert!(ContentHash::from_hex(HashFunction::Blake3, &hex[1..]).is_err());
    assert!(ContentHash::from_hex(HashFunction::Blake3, &hex.replace(&hex[..1], "g")).is_err());
}

proptest! {
    #[test]
    fn pieces_hash_as_the_whole(content in proptest::collection::vec(any::<u8>(), 0..5000), at in 0_usize..5000) {
        for function in BOTH {
            let (first, second) = content.split_at(at.min(content.len()));
            let mut hasher = Hasher::expecting(Some(&function.hash(b"")));
            hasher.update(first);
            hasher.update(second);
            prop_assert_eq!(hasher.finish(), Digest::by(function, &content));
        }
    }
}
