use super::{ServerUrl, escape};

fn server(text: &str) -> Result<ServerUrl, String> {
    text.parse().map_err(|error: larder_base::Error| error.to_string())
}

#[test]
fn references_are_resolved_as_in_a_browser() {
    let url = server("https://cache.example:8443/larder/").unwrap();
    assert_eq!(url.as_str(), "https://cache.example:8443/larder");
    assert_eq!(url.resolve("ci/v1/a", "runs/1?x=2"), "https://cache.example:8443/larder/ci/v1/a/runs/1?x=2");
    assert_eq!(url.resolve("ci/v1/a", "/elsewhere"), "https://cache.example:8443/elsewhere");
    assert_eq!(url.resolve("ci/v1/a", "http://bucket/x"), "http://bucket/x");
}

#[test]
fn what_is_no_address_is_refused_with_the_form_of_one() {
    for wrong in ["", "localhost:7979", "ftp://host", "http://", "http://h?x=1", "http://user:secret@h", "http://h/#a"]
    {
        let message = server(wrong).unwrap_err();
        assert!(!message.contains("secret"), "{message}");
    }
    assert!(server("http://[::1]:7979").is_ok());
}

#[test]
fn a_socket_is_named_by_its_whole_path() {
    let url = server("unix:/run/larder.sock").unwrap();
    assert_eq!(url.as_str(), "unix:/run/larder.sock");
    let resolved = url.resolve("ci/v1/a", "runs/1");
    assert_eq!(resolved, "unix://2f72756e2f6c61726465722e736f636b/ci/v1/a/runs/1");
    assert_eq!(url.resolve("ci/v1/a", "/elsewhere"), "unix://2f72756e2f6c61726465722e736f636b/elsewhere");
    assert!(resolved.parse::<http::Uri>().is_ok());
    for wrong in ["unix:", "unix:relative.sock"] {
        assert!(server(wrong).is_err(), "{wrong}");
    }
    assert!(server(&format!("unix:/{}", "x".repeat(200))).is_err());
}

#[test]
fn escaped_text_has_no_character_with_a_meaning_in_a_url() {
    assert_eq!(escape("a/b?c=d&e f%é"), "a%2Fb%3Fc%3Dd%26e%20f%25%C3%A9");
    assert_eq!(escape("A-z_0.9~"), "A-z_0.9~");
}
