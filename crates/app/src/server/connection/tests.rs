use super::*;

#[test]
fn a_request_is_whole_once_its_head_and_all_of_its_body_are_there() {
    let put = b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-LENGTH: 5\r\nX: y\r\n\r\nvalue";
    assert!(is_whole_request(put));
    for cut in 0..put.len() {
        assert!(!is_whole_request(&put[..cut]), "{cut} bytes of it");
    }
    assert!(is_whole_request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(is_whole_request(b"PUT /x HTTP/1.1\r\ncontent-length: 0\r\n\r\n"));
}

#[test]
fn what_cannot_be_told_to_be_whole_is_not() {
    assert!(!is_whole_request(b""));
    assert!(!is_whole_request(b"PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "of no known length");
    assert!(!is_whole_request(b"PUT /x HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\nvalue"));
    assert!(!is_whole_request(b"PUT /x HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\nvalue"));
    assert!(!is_whole_request(b"\x00\x01the middle of a body\r\n\r\n"));
    let two = b"GET / HTTP/1.1\r\n\r\nPUT /x HTTP/1.1\r\nContent-Length: 5\r\n\r\n";
    assert!(!is_whole_request(two), "the body of the second is to come");
    assert!(!is_whole_request(b"VGhlIHRhaWw\r\n\r\n"), "the rest of a head");
    assert!(!is_whole_request(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    let long = [&b"PUT /"[..], &[b'x'; HEAD_MAX], b" HTTP/1.1\r\n\r\n"].concat();
    assert!(!is_whole_request(&long), "a head longer than is looked at");
}
