use super::*;

#[test]
fn only_a_name_that_comes_or_goes_may_change_the_change_time_of_what_is_unwritten() {
    let time = |seconds| FileTime { seconds, nanos: 5 };
    let earlier = FileStat {
        kind: NodeKind::File,
        device: 1,
        inode: 2,
        size: 3,
        mtime: time(4),
        ctime: time(5),
        mode: 0o644,
        names: 1,
    };
    let later = |change: fn(&mut FileStat)| {
        let mut later = earlier;
        change(&mut later);
        later.is_unwritten_since(&earlier)
    };
    assert!(later(|_| {}));
    assert!(later(|stat| (stat.ctime.seconds, stat.names) = (6, 2)));
    assert!(!later(|stat| stat.ctime.seconds = 6));
    assert!(!later(|stat| (stat.ctime.seconds, stat.names, stat.mtime.seconds) = (6, 2, 6)));
    assert!(!later(|stat| stat.inode = 9));
    assert!(!later(|stat| stat.size = 9));
}
