use std::os::unix::net::UnixListener as StdListener;

use super::*;

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_socket_is_for_its_user_alone_and_gone_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let (listener, file) = bind(&path).await.unwrap();
    assert_eq!(mode(&path), 0o600);
    UnixStream::connect(&path).await.unwrap();
    drop((listener, file));
    assert!(!path.exists());
}

#[tokio::test]
async fn the_socket_of_a_helper_that_died_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    drop(StdListener::bind(&path).unwrap());
    assert!(path.exists());
    let (_listener, _file) = bind(&path).await.unwrap();
    UnixStream::connect(&path).await.unwrap();
}

#[tokio::test]
async fn a_helper_that_lives_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let _living = StdListener::bind(&path).unwrap();
    let error = bind(&path).await.unwrap_err();
    assert!(error.to_string().contains("already serving"), "{error}");
    UnixStream::connect(&path).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = tempfile::NamedTempFile::new_in(&folder).unwrap().into_temp_path();
    let error = bind(&path).await.unwrap_err();
    assert!(error.to_string().contains("no socket"), "{error}");
    assert!(path.exists());
}

#[tokio::test]
async fn a_path_that_cannot_be_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("s".repeat(200)), folder.path().join("absent/socket")] {
        let error = bind(&path).await.unwrap_err();
        assert!(error.hint().unwrap().contains("107 bytes"), "{error}");
    }
}

#[tokio::test]
async fn another_helper_s_socket_at_the_same_path_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let (first, first_file) = bind(&path).await.unwrap();
    // Someone tidied up, and another helper began.
    tempfile::TempPath::try_from_path(&path).unwrap().close().unwrap();
    let (_second, _second_file) = bind(&path).await.unwrap();
    drop((first, first_file));
    UnixStream::connect(&path).await.unwrap();
}
