use super::*;

fn options(max_maps: usize) -> BodyOptions {
    BodyOptions { runtime: Handle::current(), keep_small: true, max_maps }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n.wrapping_mul(31) >> 3).to_le_bytes()[0]).collect()
}

fn file(len: usize) -> (tempfile::NamedTempFile, Vec<u8>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes = pattern(len);
    file.as_file().write_all_at(&bytes, 0).unwrap();
    (file, bytes)
}

async fn collect(mut reader: BodyReader) -> (Vec<u8>, Vec<usize>) {
    let (mut all, mut sizes) = (Vec::new(), Vec::new());
    while let Some(chunk) = reader.next().await {
        let chunk = chunk.unwrap();
        sizes.push(chunk.len());
        all.extend_from_slice(&chunk);
    }
    (all, sizes)
}

#[tokio::test]
async fn every_range_of_every_size_in_every_mode() {
    const KIB: usize = 1024;
    for len in [0, 1, 64 * KIB, 64 * KIB + 1, 80 * KIB, 1024 * KIB + 81 * KIB, 3 * 1024 * KIB + 7] {
        let (file, bytes) = file(len);
        for (mode, max_maps) in [(BodyMode::Mapped, 100), (BodyMode::Mapped, 0), (BodyMode::Read, 100)] {
            let body = FileBody::open(file.path(), options(max_maps)).unwrap();
            assert_eq!(body.small().is_some(), len <= 64 * KIB);
            for (start, end) in
                [(0, len), (len / 3, len), (1, len.min(2)), (len / 2, len * 2 / 3), (len, len + 9)]
            {
                let (got, sizes) = collect(body.reader(start as u64..end as u64, mode)).await;
                let end = end.min(len);
                assert!(got == bytes[start.min(end)..end], "{len} {start}..{end} {mode:?}");
                assert!(sizes.iter().all(|size| (1..=1024 * KIB + 64 * KIB).contains(size)), "{sizes:?}");
            }
        }
    }
}

#[tokio::test]
async fn mapped_answers_end_with_a_piece_that_was_read() {
    let (file, _) = file(2 * 1024 * 1024);
    let body = FileBody::open(file.path(), options(100)).unwrap();
    let (_, sizes) = collect(body.reader(0..body.len(), BodyMode::Mapped)).await;
    assert_eq!(sizes.last(), Some(&(16 * 1024)));
    assert!(sizes[..sizes.len() - 1].iter().all(|size| *size >= 64 * 1024));
}

#[tokio::test]
async fn a_file_cut_while_it_is_sent_ends_in_an_error() {
    for mode in [BodyMode::Mapped, BodyMode::Read] {
        let (file, _) = file(3 * 1024 * 1024);
        let body = FileBody::open(file.path(), options(100)).unwrap();
        let mut reader = body.reader(0..body.len(), mode);
        assert!(reader.next().await.unwrap().is_ok());
        file.as_file().set_len(1024 * 1024).unwrap();
        let mut last = None;
        while let Some(chunk) = reader.next().await {
            last = Some(chunk.map(|_| ()));
        }
        assert_eq!(last.unwrap().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
