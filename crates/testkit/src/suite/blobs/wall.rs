use bytes::Bytes;
use larder_base::chunk::MAX_LEN;
use larder_base::{ByteRange, Digest, ErrorKind};

use super::{Subject, namespace};
use crate::content::noise;
use crate::stream::{in_pieces, then_failing};

/// Names that are near one another in some order or some folding.
const NEAR: [&str; 6] = ["a", "A", "ab", "a.", "a-", "b"];

pub(super) async fn a_blob_is_absent_in_every_other_namespace(subject: Subject) {
    for content in [Bytes::new(), noise(1, 100), noise(2, MAX_LEN + 1)] {
        let digest = subject.put(&namespace("a"), &content).await;
        for other in &NEAR[1..] {
            subject.assert_absent(&namespace(other), digest.hash, &format!("a blob of namespace a, in {other},")).await;
        }
        assert!(subject.read(&namespace("a"), digest, ByteRange::ALL).await == content);
    }
}

/// Else a name would be enough to get at the bytes of another namespace, and a refusal would tell that they exist.
pub(super) async fn another_namespace_must_bring_the_bytes_itself(subject: Subject) {
    for content in [noise(1, 100), noise(2, MAX_LEN + 1)] {
        let digest = subject.put(&namespace("a"), &content).await;
        for brought in [Bytes::new(), noise(3, content.len()), content.slice(1..)] {
            let body = in_pieces(&brought, 100_000);
            let refused = subject.blobs.put(&namespace("b"), Some(&digest.hash), None, body).await;
            assert_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::Invalid));
            subject.assert_absent(&namespace("b"), digest.hash, "a blob that was not brought").await;
        }
        let body = then_failing(&content.slice(..50), ErrorKind::Unavailable);
        subject.try_put(&namespace("b"), &content, body).await.expect_err("half a body is not the blob");
        subject.assert_absent(&namespace("b"), digest.hash, "a blob that was half brought").await;
    }
}

pub(super) async fn a_blob_may_be_put_in_several_namespaces(subject: Subject) {
    let content = noise(1, 2 * MAX_LEN);
    for name in NEAR {
        subject.put(&namespace(name), &content).await;
    }
    for name in NEAR {
        assert!(subject.read(&namespace(name), Digest::of(&content), ByteRange::ALL).await == content, "in {name}");
    }
}
