use bytes::Bytes;
use futures_util::StreamExt;
use larder_base::{ErrorKind, chunk, collect};

use super::{Gathered, gather};

fn body(pieces: &[usize]) -> larder_base::BlobStream {
    let pieces: Vec<_> = pieces.iter().map(|&len| Ok(Bytes::from(vec![7; len]))).collect();
    Box::pin(futures_util::stream::iter(pieces))
}

#[tokio::test]
async fn a_value_of_one_chunk_is_gathered_and_a_larger_one_streams_whole() {
    for pieces in [vec![], vec![1], vec![chunk::MAX_LEN], vec![1000; 2000]] {
        let total: usize = pieces.iter().sum();
        match gather(body(&pieces), u64::MAX).await.unwrap() {
            Gathered::Whole(value) => assert_eq!(value.len(), total),
            Gathered::Rest(_) => panic!("{total} bytes are one chunk"),
        }
    }
    let Gathered::Rest(stream) = gather(body(&[chunk::MAX_LEN, 1, 500]), u64::MAX).await.unwrap() else {
        panic!("one byte more than a chunk streams");
    };
    assert_eq!(collect(stream, usize::MAX).await.unwrap().len(), chunk::MAX_LEN + 501);
}

#[tokio::test]
async fn the_limit_holds_wherever_it_is_crossed() {
    let kind = |result: Result<Gathered, larder_base::Error>| result.err().map(|error| error.kind());
    assert_eq!(kind(gather(body(&[10, 10]), 19).await), Some(ErrorKind::TooLarge));
    assert_eq!(kind(gather(body(&[10, 10]), 20).await), None);
    let limit = chunk::MAX_LEN as u64 + 5;
    let Gathered::Rest(mut stream) = gather(body(&[chunk::MAX_LEN, 5, 1]), limit).await.unwrap() else {
        panic!("larger than a chunk");
    };
    let mut last = None;
    while let Some(piece) = stream.next().await {
        last = Some(piece);
    }
    assert_eq!(last.unwrap().unwrap_err().kind(), ErrorKind::TooLarge);
}
