use proptest::prelude::*;

use super::*;

/// A digest as ccache sends it: 20 bytes.
const KEY: [u8; 20] = [
    0xfe, 0xe3, 0xc0, 0x0e, 0x7b, 0xb2, 0x8c, 0x2c, 0x0c, 0x94, 0x3a, 0x1e, 0x1b, 0xf0, 0x10, 0xbe, 0x40, 0x54, 0xe3,
    0xb5,
];

fn decode(bytes: &[u8]) -> Vec<Result<Request, UnknownRequest>> {
    decode_in_steps(bytes, bytes.len().max(1))
}

/// What comes out when the bytes arrive `step` at a time.
fn decode_in_steps(bytes: &[u8], step: usize) -> Vec<Result<Request, UnknownRequest>> {
    let mut decoder = Decoder::default();
    let mut requests = Vec::new();
    for piece in bytes.chunks(step) {
        decoder.room().extend_from_slice(piece);
        loop {
            match decoder.next() {
                Ok(None) => break,
                Ok(Some(request)) => requests.push(Ok(request)),
                Err(unknown) => {
                    requests.push(Err(unknown));
                    return requests;
                }
            }
        }
    }
    requests
}

/// A request as ccache writes it.
fn encode(request: &Request) -> Vec<u8> {
    let keyed = |tag: u8, key: &Bytes| [&[tag, key.len() as u8][..], key].concat();
    match request {
        Request::Get(key) => keyed(0, key),
        Request::Put { key, overwrite, value } => {
            let flags = [u8::from(*overwrite)];
            [&keyed(1, key)[..], &flags, &(value.len() as u64).to_ne_bytes(), value].concat()
        }
        Request::PutTooLarge => panic!("this is not sent as such"),
        Request::Remove(key) => keyed(2, key),
        Request::Stop => vec![3],
        Request::Info => vec![4],
        Request::Exists(key) => keyed(5, key),
    }
}

fn written(answer: &Answer) -> Vec<u8> {
    let mut out = BytesMut::new();
    answer.write_head(&mut out);
    if let Answer::Value(value) = answer {
        out.extend_from_slice(value);
    }
    out.to_vec()
}

/// The bytes that ccache 4.14.2 and a helper exchange in a cold and a warm compilation, with shorter values.
#[test]
fn a_compilation_as_ccache_makes_it() {
    let key = || Bytes::from_static(&KEY);
    let value = Bytes::from_static(b"\xcc\xac\x01");
    let head = |tag: u8| [&[tag, 20][..], &KEY].concat();
    let sent = [
        vec![4],
        head(0),
        [&head(1)[..], &[0], &3_u64.to_ne_bytes(), b"\xcc\xac\x01"].concat(),
        [&head(1)[..], &[1], &0_u64.to_ne_bytes()].concat(),
        head(0),
        head(2),
        head(5),
        vec![3],
    ];
    let understood = [
        Request::Info,
        Request::Get(key()),
        Request::Put { key: key(), overwrite: false, value: value.clone() },
        Request::Put { key: key(), overwrite: true, value: Bytes::new() },
        Request::Get(key()),
        Request::Remove(key()),
        Request::Exists(key()),
        Request::Stop,
    ];
    assert_eq!(decode(&sent.concat()), understood.map(Ok));

    assert_eq!(GREETING, [1, 3, 0, 1, 2]);
    assert_eq!(written(&Answer::Done), [0]);
    assert_eq!(written(&Answer::Noop), [1]);
    assert_eq!(written(&Answer::Failed("no".into())), [2, 2, b'n', b'o']);
    assert_eq!(written(&Answer::Value(value)), [&[0][..], &3_u64.to_ne_bytes(), b"\xcc\xac\x01"].concat());
    let info = Answer::Info("me".into(), vec!["a".into(), String::new()]);
    assert_eq!(written(&info), [2, b'm', b'e', 2, 1, b'a', 0]);
}

#[test]
fn an_unknown_request_is_an_error() {
    assert_eq!(decode(&[4, 6, 0]), [Ok(Request::Info), Err(UnknownRequest(6))]);
    assert_eq!(decode(&[0xff]), [Err(UnknownRequest(0xff))]);
}

#[test]
fn a_value_that_is_too_large_is_read_over_and_the_next_request_understood() {
    let length = VALUE_MAX + 1;
    let mut decoder = Decoder::default();
    let room = decoder.room();
    room.extend_from_slice(&[1, 1, b'k', 0]);
    room.extend_from_slice(&length.to_ne_bytes());
    let piece = vec![0; 1 << 20];
    for _ in 0..length / piece.len() as u64 {
        assert_eq!(decoder.next(), Ok(None));
        assert!(decoder.is_midway());
        decoder.room().extend_from_slice(&piece);
        assert!(decoder.room().len() <= 2 << 20, "what is dropped is not held");
    }
    decoder.room().extend_from_slice(&[0, 4]);
    assert_eq!(decoder.next(), Ok(Some(Request::PutTooLarge)));
    assert_eq!(decoder.next(), Ok(Some(Request::Info)));
    assert!(!decoder.is_midway());
}

#[test]
fn a_length_that_is_claimed_costs_nothing_before_its_bytes_come() {
    for length in [VALUE_MAX, VALUE_MAX + 1, u64::MAX] {
        let mut decoder = Decoder::default();
        decoder.room().extend_from_slice(&[1, 0, 0]);
        decoder.room().extend_from_slice(&length.to_ne_bytes());
        assert_eq!(decoder.next(), Ok(None));
        assert!(decoder.room().capacity() < 1 << 20);
    }
}

#[test]
fn a_message_is_cut_at_255_bytes_between_characters() {
    let message = written(&Answer::Failed("é".repeat(200)));
    assert_eq!((message[0], usize::from(message[1]), message.len()), (2, 254, 256));
    assert!(std::str::from_utf8(&message[2..]).is_ok());
    let info = written(&Answer::Info(String::new(), vec![String::new(); 300]));
    assert_eq!((info[1], info.len()), (255, 257));
}

fn any_request() -> impl Strategy<Value = Request> {
    let key = || prop::collection::vec(any::<u8>(), 0..=255).prop_map(Bytes::from);
    let value = prop::collection::vec(any::<u8>(), 0..2000).prop_map(Bytes::from);
    prop_oneof![
        key().prop_map(Request::Get),
        (key(), any::<bool>(), value).prop_map(|(key, overwrite, value)| Request::Put { key, overwrite, value }),
        key().prop_map(Request::Remove),
        Just(Request::Stop),
        Just(Request::Info),
        key().prop_map(Request::Exists),
    ]
}

proptest! {
    #[test]
    fn requests_are_understood_however_their_bytes_arrive(
        requests in prop::collection::vec(any_request(), 0..8),
        step in 1..3000_usize,
    ) {
        let sent: Vec<u8> = requests.iter().flat_map(encode).collect();
        let expected: Vec<_> = requests.into_iter().map(Ok).collect();
        prop_assert_eq!(decode_in_steps(&sent, step), expected);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic_and_the_same_in_any_steps(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        step in 1..40_usize,
    ) {
        prop_assert_eq!(decode_in_steps(&bytes, step), decode(&bytes));
    }
}
