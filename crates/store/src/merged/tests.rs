use larder_base::{Error, ErrorKind};

use super::{Merged, Source};

fn source(rows: &'static [(&'static str, Option<&'static str>)]) -> Source<'static> {
    Box::new(rows.iter().map(|(key, row)| Ok((key.as_bytes(), row.map(str::as_bytes)))))
}

#[test]
fn of_one_key_the_first_source_counts_wherever_the_others_are() {
    let newest = source(&[("b", None), ("d", Some("1"))]);
    let middle = source(&[]);
    let oldest = source(&[("a", Some("3")), ("b", Some("3")), ("c", Some("3")), ("d", Some("3")), ("e", None)]);
    let rows: Vec<_> = Merged::new([newest, middle, oldest]).map(Result::unwrap).collect();
    let wanted: [(&[u8], Option<&[u8]>); 5] =
        [(b"a", Some(b"3")), (b"b", None), (b"c", Some(b"3")), (b"d", Some(b"1")), (b"e", None)];
    assert_eq!(rows, wanted);
    assert_eq!(Merged::new([]).count(), 0);
}

#[test]
fn a_source_that_fails_is_told_of() {
    let failing: Source<'_> =
        Box::new([Ok((&b"c"[..], None)), Err(Error::new(ErrorKind::Failed, "read", "the disk"))].into_iter());
    let mut rows = Merged::new([source(&[("a", None), ("d", None)]), failing]);
    let keys: Vec<_> = rows.by_ref().map_while(|row| row.ok().map(|(key, _)| key)).collect();
    assert_eq!(keys, [b"a", b"c"], "and not the one behind it, for which there may be another row");
}
