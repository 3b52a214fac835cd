use larder_base::ContentHash;
use larder_base::chunk::MAX_LEN;

use super::{Subject, namespace};
use crate::content::noise;

pub(super) async fn nothing_asked_is_nothing_missing(subject: Subject) {
    let ns = namespace("ns");
    assert_eq!(subject.blobs.missing(&ns, &[]).await.expect("missing succeeds"), []);
    subject.put(&ns, &noise(1, 10)).await;
    assert_eq!(subject.blobs.missing(&ns, &[]).await.expect("missing succeeds"), []);
}

pub(super) async fn order_and_duplicates_are_kept(subject: Subject) {
    let ns = namespace("ns");
    let mut present = Vec::new();
    for seed in 0..4 {
        present.push(subject.put(&ns, &noise(seed, 100)).await.hash);
    }
    // As many, and in an order that no sorting by hash gives.
    let absent: Vec<_> = (0..40_u64).map(|n| ContentHash::of(&n.to_le_bytes())).collect();
    let mut asked = absent.clone();
    asked.extend([present[2], absent[7], present[0], present[0], absent[7], absent[0], present[3]]);
    let mut expected = absent.clone();
    expected.extend([absent[7], absent[7], absent[0]]);
    assert_eq!(subject.blobs.missing(&ns, &asked).await.expect("missing succeeds"), expected);
    assert_eq!(subject.blobs.missing(&ns, &present).await.expect("missing succeeds"), []);
}

pub(super) async fn a_blob_is_present_once_it_was_put(subject: Subject) {
    let ns = namespace("ns");
    for len in [0, 1, MAX_LEN, MAX_LEN + 1, 2 * MAX_LEN + 7] {
        let content = noise(1, len);
        let hash = ContentHash::of(&content);
        assert_eq!(subject.blobs.missing(&ns, &[hash]).await.expect("missing succeeds"), [hash], "{len} bytes");
        subject.put(&ns, &content).await;
        assert_eq!(subject.blobs.missing(&ns, &[hash]).await.expect("missing succeeds"), [], "{len} bytes");
    }
}
