use super::{Element, escape};

#[test]
fn text_is_read_with_its_entities_and_without_prefixes() {
    let document = br#"<?xml version="1.0"?>
        <s:List xmlns:s="urn:x"><s:ETag>&quot;a&amp;b&#39;&quot;</s:ETag><Empty/><Key>k<![CDATA[<1>]]></Key><Key>2</Key></s:List>"#;
    let list = Element::parse(document).unwrap();
    assert_eq!(list.name, "List");
    assert_eq!(list.text("ETag"), Some("\"a&b'\""));
    assert_eq!(list.text("Empty"), None);
    assert_eq!(list.all("Key").map(|key| key.text.as_str()).collect::<Vec<_>>(), ["k<1>", "2"]);
    assert!(list.need("Missing").unwrap_err().message().contains("Missing"));
}

#[test]
fn what_is_no_document_is_an_error() {
    let deep = "<a>".repeat(100_000);
    for bad in ["", "   ", "hello", "<a>", "<a></b>", "</a>", "<a>&#xFFFFFFFF;</a>", deep.as_str()] {
        assert!(Element::parse(bad.as_bytes()).is_err(), "{bad:.20}");
    }
    assert!(Element::parse(&[b'<', 0xff, b'>']).is_err());
}

#[test]
fn an_entity_that_the_document_declares_expands_to_nothing() {
    let bomb = br#"<!DOCTYPE x [<!ENTITY b "bbbbbbbbbb">]><x><y>&b;&b;</y></x>"#;
    assert_eq!(Element::parse(bomb).unwrap().text("y"), None);
}

#[test]
fn escaped_text_is_read_back() {
    let text = "<\"a\" & 'b'>";
    let document = format!("<x><y>{}</y></x>", escape(text));
    assert_eq!(Element::parse(document.as_bytes()).unwrap().text("y"), Some(text));
}
