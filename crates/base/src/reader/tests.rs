use super::{READERS_MAX, Reader, ReaderList};
use crate::Timestamp;

fn reader(name: &str, last: u64, restores: u64) -> Reader {
    Reader { name: name.into(), last: Timestamp::from_millis(last), restores }
}

#[test]
fn the_last_come_first_and_who_comes_again_is_counted() {
    let mut list = ReaderList::default();
    for (name, last) in [("a", 1), ("b", 2), ("a", 3), ("c", 2)] {
        list.add(reader(name, last, 1));
    }
    assert_eq!(list.readers(), [reader("a", 3, 2), reader("b", 2, 1), reader("c", 2, 1)]);
    list.add(reader("b", 1, u64::MAX));
    assert_eq!(list.readers()[1], reader("b", 2, u64::MAX), "what comes late is counted and is not the last");
}

#[test]
fn only_the_last_are_remembered() {
    let mut list = ReaderList::default();
    for number in 0..100 {
        list.add(reader(&number.to_string(), number, 1));
    }
    let names: Vec<_> = list.into_readers().iter().map(|reader| reader.name.parse::<usize>().unwrap()).collect();
    assert_eq!(names, (100 - READERS_MAX..100).rev().collect::<Vec<_>>());
}
