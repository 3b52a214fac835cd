use prost::Message;

use super::*;
use crate::manifest::EncodedTree;

#[test]
fn a_file_node_has_the_bytes_that_the_protocol_says() {
    let node = FileNode {
        name: "a".into(),
        digest: Some(Digest { hash: "ff".into(), size_bytes: 3 }),
        is_executable: true,
        node_properties: Some(NodeProperties {
            properties: vec![NodeProperty { name: "n".into(), value: "v".into() }],
            mtime: Some(Timestamp { seconds: 1, nanos: 2 }),
            unix_mode: Some(0o755),
        }),
    };
    let expected = [
        &[0x0a, 1, b'a'][..],
        &[0x12, 6, 0x0a, 2, b'f', b'f', 0x10, 3],
        &[0x20, 1],
        &[0x32, 19],
        &[0x0a, 6, 0x0a, 1, b'n', 0x12, 1, b'v'],
        &[0x12, 4, 0x08, 1, 0x10, 2],
        &[0x1a, 3, 0x08, 0xed, 0x03],
    ]
    .concat();
    assert_eq!(node.encode_to_vec(), expected);
}

#[test]
fn a_symlink_and_a_directory_keep_their_properties_under_their_own_numbers() {
    let properties = NodeProperties { unix_mode: Some(1), ..Default::default() };
    let link = SymlinkNode { name: "l".into(), target: "t".into(), node_properties: Some(properties.clone()) };
    assert_eq!(link.encode_to_vec(), [0x0a, 1, b'l', 0x12, 1, b't', 0x22, 4, 0x1a, 2, 0x08, 1]);
    let directory = Directory { node_properties: Some(properties), ..Default::default() };
    assert_eq!(directory.encode_to_vec(), [0x2a, 4, 0x1a, 2, 0x08, 1]);
}

#[test]
fn an_encoded_tree_is_a_tree_on_the_wire() {
    let child = Directory { symlinks: vec![SymlinkNode::default()], ..Default::default() };
    let root = Directory {
        directories: vec![DirectoryNode { name: "d".into(), digest: Some(Digest::default()) }],
        ..Default::default()
    };
    let tree = Tree { root: Some(root.clone()), children: vec![child.clone(), Directory::default()] };
    let encoded = EncodedTree {
        root: root.encode_to_vec().into(),
        children: vec![child.encode_to_vec().into(), Directory::default().encode_to_vec().into()],
    };
    assert_eq!(encoded.encode_to_vec(), tree.encode_to_vec());
    assert_eq!(EncodedTree::decode(tree.encode_to_vec().as_slice()).unwrap(), encoded);
}
